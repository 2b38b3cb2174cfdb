// core/job_line.h — one line of the producer socket ⇄ Job (docs/protocol.md).
#pragma once

#include <string>

#include "core/job.h"
#include "core/refusal.h"
#include "core/result.h"

namespace outboxd {

struct LineError {
  Refusal code = Refusal::kInvalidJob;  // or kInvalidJson
  std::string field;                    // the member at fault; empty when the line as a whole is
  std::string message;
  std::string ref;  // the line's ref where it could be read, so that the reply can echo it
  bool has_ref = false;
};

// Reads and checks one line (no newline; at most limits::kJsonDepth deep) that a producer hands in. Takes
// ownership of its bytes: they are carried, not rebuilt. Whether the connection exists is not known here.
tl::expected<Job, LineError> ParseJobLine(std::string line);

// The same for a line that was accepted once: rules that came later (core/acceptance.h) do not hold for it.
tl::expected<Job, LineError> ParseStoredLine(std::string line);

}  // namespace outboxd
