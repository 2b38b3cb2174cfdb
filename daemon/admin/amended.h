// daemon/admin/amended.h — a corrected line for a dead letter: what it may change, and which id its event
// has.
#pragma once

#include <chrono>
#include <string>

#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/admin/body.h"
#include "storage/inspection.h"
#include "storage/operator_work.h"

namespace outboxd {

struct Amended {
  OperatorWork::Amendment amendment;
  std::chrono::seconds max_age{0};  // what the line asks for; 0: its connection's
  std::string event_id;             // what Customer.io knows the event by; empty: the job is no event
};

// The line has to be one that a producer might hand in, for the dead letter's connection and of its type.
//
// Customer.io ignores an event whose id it has seen. So after an attempt that may have reached it (one that
// was not refused with a 4xx) it has to be said which id the corrected event has: with the same one the
// correction may be lost unseen, with a new one it may be a second event beside the first.
//
// Errors: kNotFound, no such dead letter; kInvalid, `field` "line…" or "event_id"; kConflict, the id is not
// said.
Result<Amended> ReadAmended(Inspection& inspection, const Ulid& job, const AmendScope& scope, Timestamp now);

}  // namespace outboxd
