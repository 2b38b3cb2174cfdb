#include "core/check.h"

#include <poll.h>
#include <stdio.h>

#include <cstdio>
#include <cstdlib>

#ifndef _GLIBCXX_ASSERTIONS
#error "every build checks the bounds of containers (cmake/flags.cmake)"
#endif

namespace outboxd {

void CheckFailed(const char* file, int line, const char* condition) noexcept {
  // The end must not wait for somebody who does not read.
  // NOLINTBEGIN(misc-include-cleaner): poll.h is what POSIX names
  pollfd error_output{fileno(stderr), POLLOUT, 0};
  if (::poll(&error_output, 1, 0) > 0)
    // NOLINTEND(misc-include-cleaner)
    std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace outboxd
