// core/splice.h — the pieces of a request's body: what acceptance stamped, put between the producer's own
// bytes.
#pragma once

#include <string>
#include <string_view>

#include "core/job.h"

namespace outboxd {

// `text` as a JSON string with its quotes. Escapes only what must be, so it is never longer than any JSON
// string that means the same.
void AppendJsonString(std::string& out, std::string_view text);

// Unix seconds: the job's own time, a number as its producer wrote it, or the time of its acceptance.
void AppendTimestamp(std::string& out, const Job& job, const Stamp& stamp);

// The ULID of an event as a JSON string: the producer's own, or the job id.
void AppendEventId(std::string& out, const Job& job, const Stamp& stamp);

}  // namespace outboxd
