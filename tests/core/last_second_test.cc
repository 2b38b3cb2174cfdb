#include "core/last_second.h"

#include <doctest/doctest.h>

#include <chrono>

#include "core/time.h"

using namespace outboxd;
using namespace std::chrono_literals;

TEST_CASE("last second: what is older counts no more, and a clock that is set starts anew") {
  constexpr Timestamp kStart = FromUnixMs(1'700'000'000'000);
  LastSecond second;
  CHECK(second.Count(kStart) == 0);
  second.Add(3, kStart);
  second.Add(4, kStart + 950ms);
  CHECK(second.Count(kStart + 999ms) == 7);
  CHECK(second.Count(kStart + 1000ms) == 4);
  CHECK(second.Count(kStart + 1899ms) == 4);
  CHECK(second.Count(kStart + 1900ms) == 0);
  second.Add(5, kStart + 1h);
  CHECK(second.Count(kStart + 1h) == 5);
  CHECK(second.Count(kStart) == 0);
  second.Add(1, kStart);
  CHECK(second.Count(kStart + 500ms) == 1);
}

TEST_CASE("last second: a time before 1970 is one like any other") {
  constexpr Timestamp kStart = FromUnixMs(-5'000);
  LastSecond second;
  second.Add(3, kStart);
  second.Add(4, kStart + 950ms);
  CHECK(second.Count(kStart + 999ms) == 7);
  CHECK(second.Count(kStart + 1100ms) == 4);
}
