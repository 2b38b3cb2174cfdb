// core/rate_limiter.h — token bucket: at most `per_second` requests a second, with a burst of a tenth of a
// second's worth (at least 1).
#pragma once

#include <optional>

#include "core/time.h"

namespace outboxd {

class RateLimiter {
 public:
  // Starts with a full bucket. nullopt, and what is not above 0: no limit.
  RateLimiter(std::optional<double> per_second, Timestamp now);
  // Tokens in the bucket stay, as far as the new burst has room for them.
  void Configure(std::optional<double> per_second);
  // Takes one token if there is one. A clock that steps back adds nothing, takes nothing away, and is the
  // clock from then on.
  bool TryTake(Timestamp now);
  // Fills the bucket up to `now`, as TryTake() does. Then HasToken() says whether TryTake() would succeed.
  void Advance(Timestamp now);
  bool HasToken() const;
  // How long until TryTake can succeed; 0 when it can now. At most a day: ask again then.
  Milliseconds Wait(Timestamp now) const;

 private:
  double Burst() const;
  double TokensAt(Timestamp now) const;

  std::optional<double> per_second_;
  double tokens_;
  Timestamp updated_;
};

}  // namespace outboxd
