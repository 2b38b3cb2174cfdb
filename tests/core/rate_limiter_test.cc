#include "core/rate_limiter.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <random>

namespace outboxd {
namespace {

constexpr Timestamp kStart = FromUnixMs(1'700'000'000'000);

int TakeAll(RateLimiter& limiter, Timestamp now) {
  int taken = 0;
  while (taken < 100'000 && limiter.TryTake(now)) ++taken;
  return taken;
}

TEST_CASE("rate limiter: the bucket starts full with a tenth of a second's worth, at least one") {
  for (const auto& [per_second, burst] :
       {std::pair{1000.0, 100}, {100.0, 10}, {10.0, 1}, {3.0, 1}, {0.5, 1}, {1005.0, 100}}) {
    CAPTURE(per_second);
    RateLimiter limiter(per_second, kStart);
    CHECK(TakeAll(limiter, kStart) == burst);
  }
}

TEST_CASE("rate limiter: no limit means that every request may go") {
  using Limit = std::optional<double>;
  for (const Limit per_second :
       {Limit(), Limit(0.0), Limit(-1.0), Limit(std::numeric_limits<double>::quiet_NaN())}) {
    RateLimiter limiter(per_second, kStart);
    CHECK(TakeAll(limiter, kStart) == 100'000);
    CHECK(limiter.Wait(kStart) == Milliseconds(0));
  }
}

TEST_CASE("rate limiter: an empty bucket fills at the rate and never beyond the burst") {
  RateLimiter limiter(1000, kStart);
  TakeAll(limiter, kStart);
  CHECK(limiter.Wait(kStart) == Milliseconds(1));
  CHECK(TakeAll(limiter, kStart + Milliseconds(1)) == 1);
  CHECK(TakeAll(limiter, kStart + Milliseconds(51)) == 50);
  CHECK(TakeAll(limiter, kStart + std::chrono::hours(1)) == 100);
}

TEST_CASE("rate limiter: a slow rate makes the next request wait its whole interval") {
  RateLimiter limiter(0.5, kStart);
  CHECK(limiter.TryTake(kStart));
  CHECK(limiter.Wait(kStart) == std::chrono::seconds(2));
  CHECK_FALSE(limiter.TryTake(kStart + Milliseconds(1999)));
  CHECK(limiter.TryTake(kStart + Milliseconds(2000)));
}

TEST_CASE("rate limiter: the wait for a rate near nothing stays bounded") {
  RateLimiter limiter(1e-300, kStart);
  CHECK(limiter.TryTake(kStart));
  CHECK(limiter.Wait(kStart) == std::chrono::hours(24));
}

TEST_CASE(
    "rate limiter: a clock that steps back adds nothing, takes nothing away and does not stop the filling") {
  RateLimiter limiter(1000, kStart);
  for (int i = 0; i < 90; ++i) REQUIRE(limiter.TryTake(kStart));
  const Timestamp earlier = kStart - std::chrono::hours(1);
  CHECK(TakeAll(limiter, earlier) == 10);
  CHECK(TakeAll(limiter, earlier) == 0);
  CHECK(TakeAll(limiter, earlier + Milliseconds(20)) == 20);
}

TEST_CASE(
    "rate limiter: who only asks whether there is a token is not kept waiting by a clock that stepped back") {
  RateLimiter limiter(20, kStart);
  while (limiter.TryTake(kStart)) {
  }
  const Timestamp earlier = kStart - std::chrono::hours(1);
  limiter.Advance(earlier);
  CHECK_FALSE(limiter.HasToken());
  limiter.Advance(earlier + limiter.Wait(earlier));
  CHECK(limiter.HasToken());
}

TEST_CASE("rate limiter: a new rate holds at once") {
  RateLimiter limiter(1000, kStart);
  limiter.Configure(50);
  CHECK(TakeAll(limiter, kStart) == 5);
  limiter.Configure(1000);
  CHECK(TakeAll(limiter, kStart) == 0);
  CHECK(TakeAll(limiter, kStart + Milliseconds(10)) == 10);
  limiter.Configure(std::nullopt);
  CHECK(TakeAll(limiter, kStart + Milliseconds(10)) == 100'000);
  limiter.Configure(20);
  CHECK(TakeAll(limiter, kStart + Milliseconds(10)) == 2);
}

TEST_CASE(
    "rate limiter: over any stretch of time no more leave than burst and rate allow, and waiting is always "
    "enough") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    const double per_second = std::uniform_real_distribution<double>(0.3, 3000)(random);
    CAPTURE(per_second);
    RateLimiter limiter(per_second, kStart);
    Timestamp now = kStart;
    double taken = 0;
    for (int step = 0; step < 500; ++step) {
      if (limiter.TryTake(now)) {
        ++taken;
      } else if (random() % 2 == 0) {
        const Milliseconds wait = limiter.Wait(now);
        REQUIRE(wait > Milliseconds(0));
        now += wait;
        REQUIRE(limiter.Wait(now) == Milliseconds(0));
        REQUIRE(limiter.TryTake(now));
        ++taken;
      } else {
        now += Milliseconds(random() % 20);
      }
      const double elapsed_s = std::chrono::duration<double>(now - kStart).count();
      REQUIRE(taken <= std::max(1.0, per_second / 10) + elapsed_s * per_second + 1e-3);
    }
  }
}

}  // namespace
}  // namespace outboxd
