#include "core/clock.h"

#include <chrono>

#include "core/job.h"
#include "core/time.h"

namespace outboxd {

bool ClockOffset::See(const ClockReading& reading) {
  if (!reading.IsSet()) return false;
  const Milliseconds offset = reading.wall.time_since_epoch() - reading.boot;
  if (known_ && std::chrono::abs(offset - *known_) <= kClockStep) return false;
  known_ = offset;
  return true;
}

Timestamp MovedTime(Timestamp wall, Milliseconds boot, Milliseconds offset) {
  const Timestamp moved(boot + offset);
  return std::chrono::abs(moved - wall) > kClockStep ? moved : wall;
}

void MoveTimes(QueuedJob& job, Milliseconds offset) {
  if (job.accepted_boot) job.stamp.accepted = MovedTime(job.stamp.accepted, *job.accepted_boot, offset);
  if (job.redriven && job.redriven_boot) job.redriven = MovedTime(*job.redriven, *job.redriven_boot, offset);
}

}  // namespace outboxd
