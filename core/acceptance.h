// core/acceptance.h — rules that came when jobs already waited in outboxes. They hold for what a producer
// hands in: a stored line that breaks one is read as ever, and what would be dangerous about it is dealt with
// when it is sent.
//
// Pure. docs/protocol.md tells producers the same.
#pragma once

#include <string_view>

#include "core/job.h"
#include "core/result.h"

namespace outboxd {

// Of a job that was read. kInvalid; `field` is the path below the line, of a job with a request (Job::call)
// below that.
Result<void> CheckNew(const Job& job);

// Why a stored job must not be sent; empty: it may. Its path would lead out of the base URL of its
// connection, which no escaping prevents; or it is longer than libcurl takes, which would look like trouble
// of the connection each time.
std::string_view WhyNeverSent(const Job& job);

}  // namespace outboxd
