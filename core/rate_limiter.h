// core/rate_limiter.h — token bucket: at most `per_second` requests a second, with a burst of a tenth of a second's worth (at least 1).
#pragma once

#include <cstdint>
#include "core/time.h"

namespace outboxd {

class RateLimiter {
 public:
  // Starts with a full bucket. per_second 0 = no limit.
  RateLimiter(double per_second, Timestamp now);
  void Configure(double per_second);
  // Takes one token if there is one. A clock that steps back adds nothing and takes nothing away.
  bool TryTake(Timestamp now);
  // How long until TryTake can succeed; 0 when it can now.
  Milliseconds Wait(Timestamp now) const;
};

}  // namespace outboxd
