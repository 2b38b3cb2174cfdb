// daemon/delivery/settlement.h — a job that came back, or never left → the outcome to be written. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/batch_verdict.h"
#include "core/job.h"
#include "core/policy.h"
#include "core/ruling.h"
#include "core/time.h"
#include "core/verdict.h"
#include "daemon/delivery/transfer.h"
#include "storage/outbox_reader.h"
#include "storage/outcome.h"

namespace outboxd {

// The request that a job was part of.
struct Request {
  const Finished& finished;
  std::size_t jobs = 1;
  std::uint64_t deliveries = 0;  // the connection's delivery counter now
};

// What one job of it is told. `answer` is the part of the answer's body that concerns this job.
struct JobVerdict {
  const Verdict& verdict;
  std::string_view answer;
};

// Records the attempt, and does to the job what the ruling says. Jobs of a batch that is to be split may
// share a request with half as many at most. `random` is uniform in [0, 1); only a deferral looks at it.
Outcome Settle(std::unique_ptr<QueuedJob> job, const Request& request, const JobVerdict& told,
               const Ruling& ruling, const RetryPolicy& policy, Timestamp now, double random);

// The request was aborted, or nobody is left to say whose fault its answer was: the attempt is recorded, and
// the job returns as it was.
Outcome SettleUnjudged(std::unique_ptr<QueuedJob> job, const Request& request, const JobVerdict& told);

// A deferred job that has lost its place behind another one's deferral: it returns, to be read back in its
// turn.
void ReturnInsteadOfDeferring(Outcome& outcome);

// It waited longer than its max age: a dead letter without an attempt.
Outcome SettleExpired(std::unique_ptr<QueuedJob> job);

// A damaged row must not stop the others, nor vanish: it becomes a dead letter that says so.
Outcome SettleUnreadable(StoredJob stored);

// The verdict on a batch as the verdicts on its jobs, in their order. What it is made of outlives it.
class BatchReading {
 public:
  BatchReading(const BatchVerdict& verdict, const Answer& answer);
  BatchReading(const BatchReading&) = delete;
  BatchReading& operator=(const BatchReading&) = delete;
  JobVerdict Next();  // valid until the next call

 private:
  const BatchVerdict& verdict_;
  const std::string shown_;  // the body without the secrets in it, if there are any
  std::string_view rest_answer_;
  Verdict refusal_;
  std::size_t job_ = 0, refused_ = 0;
};

}  // namespace outboxd
