// core/backoff.h — exponential backoff with full jitter: how long to wait after so many failures. Pure.
#pragma once

#include <cstdint>

#include "core/time.h"

namespace outboxd {

// base × 2^(failures-1), at most `cap`. `failures` counts from 1.
Milliseconds ExponentialDelay(Milliseconds base, Milliseconds cap, std::uint32_t failures);

// Anything from nothing up to `delay`: `random` is uniform in [0, 1).
Milliseconds WithFullJitter(Milliseconds delay, double random);

}  // namespace outboxd
