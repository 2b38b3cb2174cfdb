// daemon/base/require.h — for what the daemon cannot begin without and only the system can refuse.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace outboxd {

// Unless `good`: writes `what` with errno's text to stderr and ends the process.
inline void Require(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::abort();
}

}  // namespace outboxd
