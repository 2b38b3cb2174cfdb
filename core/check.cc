#include "core/check.h"

#include <poll.h>
#include <stdio.h>
#include <sys/poll.h>

#include <cstdio>
#include <cstdlib>

#ifndef _GLIBCXX_ASSERTIONS
#error "every build checks the bounds of containers (cmake/flags.cmake)"
#endif

namespace outboxd {

void CheckFailed(const char* file, int line, const char* condition) noexcept {
  // The end must not wait for somebody who does not read.
  pollfd error_output{fileno(stderr), POLLOUT, 0};
  if (::poll(&error_output, 1, 0) > 0)
    std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace outboxd
