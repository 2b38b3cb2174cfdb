// core/splice.h — the pieces of a request's body: what acceptance stamped, put between the producer's own
// bytes.
#pragma once

#include <span>
#include <string>

#include "core/job.h"

namespace outboxd {

// Unix seconds: the job's own time, a number as its producer wrote it, or the time of its acceptance.
void AppendTimestamp(std::string& out, const Job& job, const Stamp& stamp);

// The ULID of an event as a JSON string: the producer's own, or the job id.
void AppendEventId(std::string& out, const Job& job, const Stamp& stamp);

// `whole`, a stretch of Job::line, with those of `edits` that lie in it.
void AppendEdited(std::string& out, const Job& job, const Stamp& stamp, Slice whole,
                  std::span<const Edit> edits);

}  // namespace outboxd
