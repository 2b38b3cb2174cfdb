#include "tests/support/temp_dir.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/support/give_up.h"

namespace outboxd {

TempDir::TempDir() {
  const char* root = std::getenv("TMPDIR");
  std::string name = std::string(root == nullptr ? "/tmp" : root) + "/outboxd.XXXXXX";
  if (mkdtemp(name.data()) == nullptr) GiveUp("cannot make " + name);
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void WriteFile(const std::filesystem::path& file, std::string_view content) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.flush();
  if (!out) GiveUp("cannot write " + file.string());
}

std::string ReadFile(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace outboxd
