// tests/support/stderr_capture.h — what this process writes to stderr while it lives, instead of showing it.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/support/temp_dir.h"

namespace outboxd::test {

class StderrCapture {
 public:
  StderrCapture() : shown_(dup(STDERR_FILENO)) {
    const int file = open((folder_ / "stderr").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (shown_ < 0 || file < 0 || dup2(file, STDERR_FILENO) < 0) std::abort();
    close(file);
  }
  ~StderrCapture() {
    dup2(shown_, STDERR_FILENO);
    close(shown_);
  }
  StderrCapture(const StderrCapture&) = delete;
  StderrCapture& operator=(const StderrCapture&) = delete;

  // How often `text` was written so far.
  std::size_t Count(std::string_view text) const {
    const std::string written = ReadFile(folder_ / "stderr");
    std::size_t count = 0;
    for (std::size_t at = written.find(text); at != std::string::npos; at = written.find(text, at + 1))
      ++count;
    return count;
  }

 private:
  TempDir folder_;
  int shown_;
};

}  // namespace outboxd::test
