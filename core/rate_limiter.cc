#include "core/rate_limiter.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/time.h"

namespace outboxd {
namespace {

// Sums of fractions come out a little short of the whole; without this Wait() could be over and the token
// still missing.
constexpr double kWholeToken = 1.0 - 1e-9;
constexpr double kMillisecondsPerSecond = 1000.0;
constexpr double kLongestWaitMs = 24.0 * 3600 * kMillisecondsPerSecond;

std::optional<double> LimitOf(std::optional<double> per_second) {
  return per_second && *per_second > 0 ? per_second : std::nullopt;
}

}  // namespace

RateLimiter::RateLimiter(std::optional<double> per_second, Timestamp now)
    : per_second_(LimitOf(per_second)), tokens_(Burst()), updated_(now) {}

void RateLimiter::Configure(std::optional<double> per_second) {
  const bool was_unlimited = !per_second_;
  per_second_ = LimitOf(per_second);
  tokens_ = was_unlimited ? Burst() : std::min(tokens_, Burst());
}

void RateLimiter::Advance(Timestamp now) {
  tokens_ = TokensAt(now);
  updated_ = now;
}

bool RateLimiter::HasToken() const {
  return !per_second_ || tokens_ >= kWholeToken;
}

bool RateLimiter::TryTake(Timestamp now) {
  Advance(now);
  if (!HasToken()) return false;
  if (per_second_) tokens_ = std::max(0.0, tokens_ - 1.0);
  return true;
}

Milliseconds RateLimiter::Wait(Timestamp now) const {
  if (!per_second_) return Milliseconds(0);
  const double missing = kWholeToken - TokensAt(now);
  if (missing <= 0) return Milliseconds(0);
  const double wait_ms = std::ceil(missing / *per_second_ * kMillisecondsPerSecond);
  return Milliseconds(static_cast<Milliseconds::rep>(std::clamp(wait_ms, 1.0, kLongestWaitMs)));
}

double RateLimiter::Burst() const {
  return per_second_ ? std::max(1.0, *per_second_ / 10) : 1.0;
}

double RateLimiter::TokensAt(Timestamp now) const {
  if (now <= updated_ || !per_second_) return tokens_;
  const double elapsed_s = static_cast<double>((now - updated_).count()) / kMillisecondsPerSecond;
  return std::min(Burst(), tokens_ + elapsed_s * *per_second_);
}

}  // namespace outboxd
