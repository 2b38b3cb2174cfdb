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
  const RetryPlan plan = PlanRetry(job, job.charged, policy, verdict.retry_after, now, random);
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

}  // namespace

Outcome Settle(std::unique_ptr<QueuedJob> job, const Request& request, const JobVerdict& told,
               const RetryPolicy& policy, Timestamp now, double random) {
  Outcome outcome;
  outcome.job = std::move(job);
  outcome.kind = OutcomeKind::kReturned;
  outcome.reason = told.verdict.reason;
  outcome.attempt = AttemptOf(request.finished, told.verdict.fate, told.answer);
  ++outcome.job->attempts;
  if (request.finished.ending == Ending::kAborted) return outcome;
  switch (told.verdict.fate) {
    case Fate::kDelivered:
      outcome.kind = OutcomeKind::kDelivered;
      break;
    case Fate::kDeferred:
      ++outcome.job->charged;
      Defer(outcome, told.verdict, policy, now, random);
      break;
    case Fate::kRejected:
      ++outcome.job->charged;
      Die(outcome, Death::kRejected);
      break;
    case Fate::kSplit:
      outcome.job->batch_max = static_cast<std::uint32_t>((request.jobs + 1) / 2);
      break;
    case Fate::kUnanswered:
    case Fate::kPausedAuth:
    case Fate::kPausedRegion:
    case Fate::kPausedProxy:
    case Fate::kNotTrackApi:
      break;
  }
  return outcome;
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
    : verdict_(verdict), rest_answer_(answer.status == kMultiStatus ? std::string_view() : answer.body) {
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
