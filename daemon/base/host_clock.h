// daemon/base/host_clock.h — the clocks of this host. Any thread.
#pragma once

#include "core/clock.h"
#include "core/time.h"

namespace outboxd {

// Wall clock, boot clock and the id of the boot. Whether the wall clock is synchronised is not asked for: no
// system call is made, and it counts as not synchronised.
ClockReading ReadHostClock();

// What the kernel says (adjtimex). False as well where outboxd may not ask it, which is logged once.
bool IsClockSynchronised();

// Tells the operator that the wall clock stepped, and by how much.
void LogClockStep(Milliseconds by);

}  // namespace outboxd
