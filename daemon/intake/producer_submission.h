// daemon/intake/producer_submission.h — the lines that one read of a producer's socket brought, on their way
// through the clerk and back.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/job_line.h"
#include "daemon/clerk/submission.h"

namespace outboxd {

class ProducerConnection;

// The reply that one line is owed.
struct LineReply {
  std::unique_ptr<LineError> refusal;  // null: the line is the submission's next job
  std::string ref;                     // of a job; a refusal has its own
  bool has_ref = false;
};

struct ProducerSubmission final : Submission {
  using Submission::Submission;
  std::shared_ptr<ProducerConnection> connection;
  std::vector<LineReply> replies;  // one a line
  std::uint64_t bytes = 0;         // of memory, about: what was read, and what became of it
};

}  // namespace outboxd
