// tests/support/temp_dir.h — a folder of one test's own, gone when the test ends. Its path is short enough
// for Unix sockets.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace outboxd {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& Path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

void WriteFile(const std::filesystem::path& file, std::string_view content);
std::string ReadFile(const std::filesystem::path& file);  // empty when it is not there

}  // namespace outboxd
