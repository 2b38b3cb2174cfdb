// core/rate_limiter.h — token bucket: at most `per_second` requests a second, with a burst of a tenth of a
// second's worth (at least 1).
#pragma once

#include "core/time.h"

namespace outboxd {

class RateLimiter {
 public:
  // Starts with a full bucket. per_second 0 = no limit.
  RateLimiter(double per_second, Timestamp now);
  // Tokens in the bucket stay, as far as the new burst has room for them.
  void Configure(double per_second);
  // Takes one token if there is one. A clock that steps back adds nothing, takes nothing away, and is the
  // clock from then on.
  bool TryTake(Timestamp now);
  // Whether TryTake would succeed; takes note of the time as well.
  bool MayTake(Timestamp now);
  // How long until TryTake can succeed; 0 when it can now. At most a day: ask again then.
  Milliseconds Wait(Timestamp now) const;

 private:
  bool IsUnlimited() const { return !(per_second_ > 0); }
  double Burst() const;
  double TokensAt(Timestamp now) const;

  double per_second_;
  double tokens_;
  Timestamp updated_;
};

}  // namespace outboxd
