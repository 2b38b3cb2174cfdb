#include "daemon/delivery/settlement.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "core/batch_verdict.h"
#include "core/cause.h"
#include "core/job.h"
#include "core/limits.h"
#include "core/policy.h"
#include "core/ruling.h"
#include "core/verdict.h"
#include "daemon/delivery/transfer.h"
#include "storage/outbox_reader.h"
#include "storage/outcome.h"

namespace outboxd {
namespace {

Attempt AttemptOf(const Finished& finished, Fate fate, std::string_view answer) {
  Attempt attempt;
  attempt.sent = finished.sent;
  attempt.duration = finished.duration;
  attempt.status = finished.answer.status;
  attempt.error = finished.answer.error;
  attempt.result = fate;
  attempt.answer = answer.substr(0, limits::kAnswerKeptBytes);
  return attempt;
}

void Die(Outcome& outcome, Death death) {
  outcome.kind = OutcomeKind::kDead;
  outcome.death = death;
  outcome.cause = NormaliseCause(outcome.reason, outcome.attempt->answer);
}

void Defer(Outcome& outcome, const Verdict& verdict, const RetryPolicy& policy, Timestamp now,
           double random) {
  QueuedJob& job = *outcome.job;
  ++job.failures;
  const RetryPlan plan = PlanRetry(job, policy, verdict.retry_after, now, random);
  switch (plan.next) {
    case AfterDeferral::kRetry:
      outcome.kind = OutcomeKind::kDeferred;
      job.due = plan.due;
      return;
    case AfterDeferral::kExhausted:
      return Die(outcome, Death::kExhausted);
    case AfterDeferral::kExpired:
      return Die(outcome, Death::kExpired);
  }
}

Outcome Recorded(std::unique_ptr<QueuedJob> job, const Request& request, const JobVerdict& told) {
  Outcome outcome;
  outcome.job = std::move(job);
  outcome.kind = OutcomeKind::kReturned;
  outcome.reason = told.verdict.reason;
  outcome.attempt = AttemptOf(request.finished, told.verdict.fate, told.answer);
  ++outcome.job->attempts;
  return outcome;
}

void Note(QueuedJob& job, const Ruling& ruling, std::uint64_t deliveries) {
  job.charged += ruling.is_charged ? 1 : 0;
  job.suspicion = ruling.suspicion;
  job.refusals = ruling.refusals;
  job.counted_at = ruling.counted_at;
  if (ruling.course == Course::kDefer) job.deliveries_at_failure = deliveries;
  if (ruling.course != Course::kRepeat) job.unanswered = 0;
}

std::uint32_t Half(std::size_t jobs) {
  return static_cast<std::uint32_t>((jobs + 1) / 2);
}

}  // namespace

Outcome Settle(std::unique_ptr<QueuedJob> job, const Request& request, const JobVerdict& told,
               const Ruling& ruling, const RetryPolicy& policy, Timestamp now, double random) {
  Outcome outcome = Recorded(std::move(job), request, told);
  QueuedJob& settled = *outcome.job;
  Note(settled, ruling, request.deliveries);
  switch (ruling.course) {
    case Course::kDeliver:
      outcome.kind = OutcomeKind::kDelivered;
      break;
    case Course::kReturn:
      break;
    case Course::kRepeat:
      ++settled.unanswered;
      if (request.jobs > 1) settled.batch_max = static_cast<std::uint32_t>(request.jobs);
      break;
    case Course::kSplit:
      settled.batch_max = Half(request.jobs);
      break;
    case Course::kDefer:
      if (ruling.is_halved) settled.batch_max = Half(request.jobs);
      Defer(outcome, told.verdict, policy, now, random);
      break;
    case Course::kReject:
      Die(outcome, Death::kRejected);
      break;
  }
  return outcome;
}

Outcome SettleUnjudged(std::unique_ptr<QueuedJob> job, const Request& request, const JobVerdict& told) {
  return Recorded(std::move(job), request, told);
}

void ReturnInsteadOfDeferring(Outcome& outcome) {
  outcome.kind = OutcomeKind::kReturned;
  outcome.job->due.reset();
}

Outcome SettleExpired(std::unique_ptr<QueuedJob> job) {
  Outcome outcome;
  outcome.job = std::move(job);
  outcome.kind = OutcomeKind::kDead;
  outcome.death = Death::kExpired;
  outcome.reason = outcome.cause = "waited longer than its max age";
  return outcome;
}

Outcome SettleUnreadable(StoredJob stored) {
  Outcome outcome;
  outcome.job = std::move(stored.job);
  outcome.kind = OutcomeKind::kDead;
  outcome.reason = outcome.cause = std::move(stored.unreadable);
  return outcome;
}

// The body of a 207 speaks of the items it names.
BatchReading::BatchReading(const BatchVerdict& verdict, const Answer& answer)
    : verdict_(verdict), shown_(answer.secrets ? answer.ShownBody() : std::string()) {
  if (answer.status != kMultiStatus) rest_answer_ = answer.secrets ? shown_ : answer.body;
  refusal_.fate = Fate::kRejected;
}

JobVerdict BatchReading::Next() {
  const std::size_t job = job_++;
  if (refused_ == verdict_.refused.size() || verdict_.refused[refused_].index != job)
    return {verdict_.rest, rest_answer_};
  const ItemRefusal& refused = verdict_.refused[refused_++];
  refusal_.reason = refused.reason;
  return {refusal_, refused.answer};
}

}  // namespace outboxd
