// core/stamped_line.h — a job's line with what its acceptance stamped on it: handed in anew, or put in the
// place of another, it has the same effect. Pure.
#pragma once

#include <string>

#include "core/job.h"
#include "core/ulid.h"

namespace outboxd {

// What Customer.io knows the event by; empty: the job is no event.
std::string EventIdOf(const Job& job, const Stamp& stamp);

// The line with the event's id and the job's time, where it does not say them itself.
std::string LineWithStamps(const Job& job, const Stamp& stamp);

// The line of an event, which has that id from now on.
std::string LineWithEventId(const Job& job, const Ulid& id);

}  // namespace outboxd
