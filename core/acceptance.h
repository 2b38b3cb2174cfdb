// core/acceptance.h — rules that came when jobs already waited in outboxes. They hold for what a producer
// hands in: a stored line that breaks one is read as ever, and what would be dangerous about it is dealt with
// when it is sent.
//
// Pure. docs/protocol.md tells producers the same.
#pragma once

#include "core/job.h"
#include "core/result.h"

namespace outboxd {

// Of a job that was read. kInvalid; `field` is the path below the line, of a job with a request (Job::call)
// below that.
Result<void> CheckNew(const Job& job);

// Whether the request of `job` stays below the base URL of its connection, whoever decodes its path on the
// way. Of a stored job: no escape makes such a path harmless, so one that does not stay there must not be
// sent.
bool StaysBelowBase(const Job& job);

}  // namespace outboxd
