#include "core/check.h"

#include <cstdio>
#include <cstdlib>

#ifndef _GLIBCXX_ASSERTIONS
#error "every build checks the bounds of containers (cmake/flags.cmake)"
#endif

namespace outboxd {

void CheckFailed(const char* file, int line, const char* condition) noexcept {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace outboxd
