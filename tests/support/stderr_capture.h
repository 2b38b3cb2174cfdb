// tests/support/stderr_capture.h — what this process writes to stderr while it lives, instead of showing it.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/support/temp_dir.h"

namespace outboxd::test {

class StderrCapture {
 public:
  StderrCapture() : shown_(dup(STDERR_FILENO)) {
    if (std::freopen((folder_ / "stderr").c_str(), "a", stderr) == nullptr) std::abort();
  }
  ~StderrCapture() {
    std::fflush(stderr);
    dup2(shown_, STDERR_FILENO);
    close(shown_);
  }
  StderrCapture(const StderrCapture&) = delete;
  StderrCapture& operator=(const StderrCapture&) = delete;

  // How often `text` was written so far.
  std::size_t Count(std::string_view text) const {
    std::fflush(stderr);
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
