// daemon/base/wall_clock.h — the time of day, for what is written down and compared with what was. Waits are
// measured by the steady clock.
#pragma once

#include <chrono>

#include "core/time.h"

namespace outboxd {

// May jump, forward and back. Any thread.
inline Timestamp WallClockNow() {
  return std::chrono::floor<Milliseconds>(std::chrono::system_clock::now());
}

}  // namespace outboxd
