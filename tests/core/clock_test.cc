#include "core/clock.h"

#include <doctest/doctest.h>

#include <chrono>

namespace outboxd {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr Timestamp kBuilt = FromUnixMs(1'790'000'000'000);

ClockReading At(Timestamp wall, Milliseconds boot) {
  return {wall, boot, "boot", false, kBuilt};
}

TEST_CASE("clock: a wall clock before the program was built was never set, and no later one is doubted") {
  CHECK_FALSE(At(kBuilt - Milliseconds(1), {}).IsSet());
  CHECK(At(kBuilt, {}).IsSet());
  CHECK(At(kBuilt + hours(24 * 3650), {}).IsSet());
  CHECK_FALSE(At(kBuilt, {}).IsTrusted());
  ClockReading synchronised = At(kBuilt, {});
  synchronised.is_synchronised = true;
  CHECK(synchronised.IsTrusted());
  synchronised.wall = FromUnixMs(100'000);
  CHECK_FALSE(synchronised.IsTrusted());
}

TEST_CASE("clock: a step of more than five seconds is one, in both directions, however long it takes") {
  ClockOffset offset;
  CHECK(offset.See(At(kBuilt, seconds(10))));
  CHECK(offset.known() == kBuilt.time_since_epoch() - seconds(10));
  CHECK_FALSE(offset.See(At(kBuilt + hours(1), hours(1) + seconds(10))));
  CHECK_FALSE(offset.See(At(kBuilt + seconds(5), seconds(10))));
  CHECK(offset.See(At(kBuilt + seconds(5) + Milliseconds(1), seconds(10))));
  CHECK(offset.See(At(kBuilt, seconds(10))));
  CHECK(offset.known() == kBuilt.time_since_epoch() - seconds(10));
  CHECK_FALSE(offset.See(At(kBuilt + seconds(3), seconds(10))));
  CHECK(offset.See(At(kBuilt + seconds(6), seconds(10))));  // several small ones are one
}

TEST_CASE("clock: one that was never set says nothing of the offset, also after one that was") {
  ClockOffset offset;
  CHECK_FALSE(offset.See(At(FromUnixMs(100'000), seconds(10))));
  CHECK_FALSE(offset.known());
  CHECK(offset.See(At(kBuilt, seconds(10))));
  CHECK_FALSE(offset.See(At(FromUnixMs(100'000), seconds(20))));
  CHECK(offset.known() == kBuilt.time_since_epoch() - seconds(10));
}

TEST_CASE(
    "clock: a time moves to where the boot clock puts it, and stays where a small step is all there is") {
  const Milliseconds offset = kBuilt.time_since_epoch();
  CHECK(MovedTime(FromUnixMs(100'000), seconds(100), offset) == kBuilt + seconds(100));
  CHECK(MovedTime(kBuilt + hours(9), seconds(100), offset) == kBuilt + seconds(100));
  CHECK(MovedTime(kBuilt + seconds(103), seconds(100), offset) == kBuilt + seconds(103));
}

TEST_CASE(
    "clock: of a job the times move that were noted in this boot by a clock that was not synchronised") {
  const Milliseconds offset = kBuilt.time_since_epoch();
  QueuedJob job;
  job.stamp.accepted = FromUnixMs(1'000);
  MoveTimes(job, offset);
  CHECK(job.stamp.accepted == FromUnixMs(1'000));
  job.accepted_boot = seconds(1);
  MoveTimes(job, offset);
  CHECK(job.AgeStart() == kBuilt + seconds(1));
  job.redriven_boot = seconds(2);
  MoveTimes(job, offset);
  CHECK_FALSE(job.redriven);
  job.redriven = FromUnixMs(2'000);
  MoveTimes(job, offset);
  CHECK(job.AgeStart() == kBuilt + seconds(2));
}

}  // namespace
}  // namespace outboxd
