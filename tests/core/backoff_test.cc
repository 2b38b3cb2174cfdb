#include "core/backoff.h"

#include <doctest/doctest.h>

#include <chrono>
#include <limits>

namespace outboxd {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

TEST_CASE("backoff: the delay doubles with each failure, up to the cap") {
  CHECK(ExponentialDelay(seconds(1), seconds(600), 1) == seconds(1));
  CHECK(ExponentialDelay(seconds(1), seconds(600), 2) == seconds(2));
  CHECK(ExponentialDelay(seconds(1), seconds(600), 10) == seconds(512));
  CHECK(ExponentialDelay(seconds(1), seconds(600), 11) == seconds(600));
  CHECK(ExponentialDelay(seconds(1), seconds(600), std::numeric_limits<std::uint32_t>::max()) ==
        seconds(600));
}

TEST_CASE("backoff: a base above the cap counts as the cap, and nothing stays nothing") {
  CHECK(ExponentialDelay(hours(1), seconds(5), 1) == seconds(5));
  CHECK(ExponentialDelay(seconds(0), seconds(5), std::numeric_limits<std::uint32_t>::max()) == seconds(0));
  CHECK(ExponentialDelay(seconds(2), Milliseconds::max(), 200) == Milliseconds::max());
}

TEST_CASE("backoff: full jitter takes any part of the delay") {
  CHECK(WithFullJitter(seconds(8), 0) == seconds(0));
  CHECK(WithFullJitter(seconds(8), 0.25) == seconds(2));
  CHECK(WithFullJitter(seconds(8), 0.999999) < seconds(8));
}

}  // namespace
}  // namespace outboxd
