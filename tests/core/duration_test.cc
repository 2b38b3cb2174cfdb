#include "core/duration.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

namespace outboxd {
namespace {

TEST_CASE("duration: a whole number and its unit") {
  CHECK(ParseDuration("0s") == Milliseconds(0));
  CHECK(ParseDuration("500ms") == Milliseconds(500));
  CHECK(ParseDuration("30s") == std::chrono::seconds(30));
  CHECK(ParseDuration("10min") == std::chrono::minutes(10));
  CHECK(ParseDuration("10m") == std::chrono::minutes(10));
  CHECK(ParseDuration("72h") == std::chrono::hours(72));
  CHECK(ParseDuration("7d") == std::chrono::hours(7 * 24));
  for (const char* text : {"", "s", "-1s", "+1s", "1.5s", "1 s", " 1s", "1s ", "1w", "1S", "1h30m",
                           "99999999999999999999s", "9223372036854775807d"}) {
    CAPTURE(text);
    CHECK_FALSE(ParseDuration(text));
    CHECK_FALSE(ParseDuration(text, BareNumber::kIsSeconds));
  }
}

TEST_CASE("duration: a number without a unit is seconds where that is asked for") {
  CHECK_FALSE(ParseDuration("30"));
  CHECK(ParseDuration("30", BareNumber::kIsSeconds) == std::chrono::seconds(30));
  CHECK(ParseDuration("30ms", BareNumber::kIsSeconds) == Milliseconds(30));
  CHECK_FALSE(ParseDuration("9223372036854775807", BareNumber::kIsSeconds));
}

TEST_CASE("duration: shown in the largest unit that holds it exactly, and read back") {
  CHECK(ShowDuration(Milliseconds(0)) == "0s");
  CHECK(ShowDuration(Milliseconds(1500)) == "1500ms");
  CHECK(ShowDuration(std::chrono::seconds(90)) == "90s");
  CHECK(ShowDuration(std::chrono::minutes(10)) == "10min");
  CHECK(ShowDuration(std::chrono::hours(72)) == "3d");
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 2000; ++round) {
    const Milliseconds duration(static_cast<std::int64_t>(random() >> (1 + random() % 63)));
    REQUIRE(ParseDuration(ShowDuration(duration)) == duration);
  }
}

TEST_CASE("duration: a span shows its two largest units, rounded down") {
  CHECK(ShowSpan(Milliseconds(0)) == "0ms");
  CHECK(ShowSpan(Milliseconds(-5)) == "0ms");
  CHECK(ShowSpan(Milliseconds(450)) == "450ms");
  CHECK(ShowSpan(Milliseconds(12'900)) == "12s");
  CHECK(ShowSpan(Milliseconds(192'000)) == "3m 12s");
  CHECK(ShowSpan(Milliseconds(180'000)) == "3m");
  CHECK(ShowSpan(Milliseconds(3'660'000)) == "1h 1m");
  CHECK(ShowSpan(Milliseconds(2LL * 86'400'000 + 4LL * 3'600'000 + 59'000)) == "2d 4h");
}

}  // namespace
}  // namespace outboxd
