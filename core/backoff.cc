#include "core/backoff.h"

#include <algorithm>
#include <cstdint>

#include "core/time.h"

namespace outboxd {

Milliseconds ExponentialDelay(Milliseconds base, Milliseconds cap, std::uint32_t failures) {
  Milliseconds delay = std::min(base, cap);
  for (std::uint32_t i = 1; i < failures && delay < cap && delay > Milliseconds(0); ++i) {
    delay = delay > cap / 2 ? cap : delay * 2;
  }
  return delay;
}

Milliseconds WithFullJitter(Milliseconds delay, double random) {
  return Milliseconds(static_cast<Milliseconds::rep>(static_cast<double>(delay.count()) * random));
}

}  // namespace outboxd
