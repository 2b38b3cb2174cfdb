#include "core/rate_limiter.h"

#include <algorithm>
#include <cmath>

namespace outboxd {
namespace {

// Sums of fractions come out a little short of the whole; without this Wait() could be over and the token
// still missing.
constexpr double kWholeToken = 1.0 - 1e-9;
constexpr double kMillisecondsPerSecond = 1000.0;
constexpr double kLongestWaitMs = 24.0 * 3600 * kMillisecondsPerSecond;

}  // namespace

RateLimiter::RateLimiter(double per_second, Timestamp now)
    : per_second_(per_second), tokens_(Burst()), updated_(now) {}

void RateLimiter::Configure(double per_second) {
  const bool was_unlimited = IsUnlimited();
  per_second_ = per_second;
  tokens_ = was_unlimited ? Burst() : std::min(tokens_, Burst());
}

bool RateLimiter::MayTake(Timestamp now) {
  tokens_ = TokensAt(now);
  updated_ = now;
  return IsUnlimited() || tokens_ >= kWholeToken;
}

bool RateLimiter::TryTake(Timestamp now) {
  if (!MayTake(now)) return false;
  if (!IsUnlimited()) tokens_ = std::max(0.0, tokens_ - 1.0);
  return true;
}

Milliseconds RateLimiter::Wait(Timestamp now) const {
  if (IsUnlimited()) return Milliseconds(0);
  const double missing = kWholeToken - TokensAt(now);
  if (missing <= 0) return Milliseconds(0);
  const double wait_ms = std::ceil(missing / per_second_ * kMillisecondsPerSecond);
  return Milliseconds(static_cast<Milliseconds::rep>(std::clamp(wait_ms, 1.0, kLongestWaitMs)));
}

double RateLimiter::Burst() const {
  return IsUnlimited() ? 1.0 : std::max(1.0, per_second_ / 10);
}

double RateLimiter::TokensAt(Timestamp now) const {
  if (now <= updated_ || IsUnlimited()) return tokens_;
  const double elapsed_s = static_cast<double>((now - updated_).count()) / kMillisecondsPerSecond;
  return std::min(Burst(), tokens_ + elapsed_s * per_second_);
}

}  // namespace outboxd
