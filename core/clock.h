// core/clock.h — what the clocks of a host say at one moment, and the times that move when its wall clock is
// set.
//
// Slewing moves the wall clock and the boot clock alike, so that how far one is ahead of the other (the
// offset) changes by steps only. A time that was noted while the wall clock was not synchronised is worth
// what the boot clock says beside it: when the wall clock steps, it moves along. A time by a synchronised
// clock stays, for then the step may be the boot clock's error (a virtual machine that was paused).
#pragma once

#include <optional>
#include <string_view>

#include "core/job.h"
#include "core/time.h"

namespace outboxd {

// Nothing but a wall clock before the program was built is known to be wrong: it was never set.
struct ClockReading {
  Timestamp wall{};
  Milliseconds boot{0};         // since the host booted, with the time that it slept
  std::string_view boot_id;     // alike in all readings of one boot; empty: not known
  bool is_synchronised = true;  // as the kernel says
  Timestamp built{};            // when the program was

  bool IsSet() const { return wall >= built; }
  // Whether times by it stay when it steps.
  bool IsTrusted() const { return IsSet() && is_synchronised; }
};

inline constexpr Milliseconds kClockStep{5000};  // a smaller one moves nothing

// How far the wall clock is ahead of the boot clock, in one boot.
class ClockOffset {
 public:
  ClockOffset() = default;
  explicit ClockOffset(std::optional<Milliseconds> known) : known_(known) {}

  // True when it stepped, or is known for the first time. A wall clock that was never set says nothing.
  bool See(const ClockReading& reading);
  // nullopt: the wall clock was never set.
  const std::optional<Milliseconds>& known() const { return known_; }

 private:
  std::optional<Milliseconds> known_;
};

// A moment of this boot, noted as `wall` and `boot`, as the clock that is `offset` ahead would have it.
Timestamp MovedTime(Timestamp wall, Milliseconds boot, Milliseconds offset);
// The same for those of a job's times that move.
void MoveTimes(QueuedJob& job, Milliseconds offset);

}  // namespace outboxd
