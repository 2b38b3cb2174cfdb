#include "daemon/base/host_clock.h"

#include <doctest/doctest.h>

#include <chrono>

#include "daemon/base/wall_clock.h"

namespace outboxd {
namespace {

TEST_CASE("host clock: the boot has an id that stays, its clock goes on, and today the program is built") {
  const ClockReading first = ReadHostClock();
  const ClockReading second = ReadHostClock();
  CHECK(first.boot_id.size() == 32);
  CHECK(first.boot_id == second.boot_id);
  CHECK(first.boot > Milliseconds(0));
  CHECK(second.boot >= first.boot);
  CHECK(second.boot - first.boot < std::chrono::minutes(1));
  CHECK(WallClockNow() - first.wall < std::chrono::minutes(1));
  CHECK(first.IsSet());
  CHECK(first.built > FromUnixMs(1'700'000'000'000));
  CHECK_FALSE(first.is_synchronised);
}

TEST_CASE("host clock: the kernel can be asked whether the clock is synchronised") {
  const bool first = IsClockSynchronised();
  CHECK(IsClockSynchronised() == first);
}

}  // namespace
}  // namespace outboxd
