#include "core/ruling.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>

#include "core/job.h"
#include "core/policy.h"
#include "core/time.h"
#include "core/verdict.h"

namespace outboxd {
namespace {

// An answer of the job's own: not what a busy or broken front says to everybody.
bool IsOwnAnswer(const Answer& answer) {
  switch (answer.status) {
    case 0:
    case 408:
    case 429:
    case 502:
    case 503:
    case 504:
      return false;
    default:
      return true;
  }
}

// Whether another job was delivered since this one's last failure; at its first, since it left.
bool OthersWereDelivered(const QueuedJob& job, const Standing& standing) {
  return standing.deliveries > job.deliveries_at_failure.value_or(standing.deliveries_at_sent);
}

bool CountsEveryAttempt(const QueuedJob& job) {
  return job.job.raw != nullptr && job.job.raw->retry.has_value();
}

// A raw job that allows no second attempt.
bool MayRepeat(const QueuedJob& job) {
  const bool is_once = CountsEveryAttempt(job) && job.job.raw->retry->max_retries == 0;
  return !is_once && job.unanswered < kRepeatsMax;
}

Milliseconds LoneHeadInterval(const QueuedJob& job, const RetryPolicy& policy) {
  const Milliseconds age = job.job.max_age.value_or(policy.max_age);
  return std::min<Milliseconds>(std::chrono::hours(1), age / (4 * std::max(policy.max_attempts, 1U)));
}

// A clock that was set back does not hold up the count for longer than the interval.
bool HasPassed(const std::optional<Timestamp>& since, Milliseconds interval, Timestamp now) {
  return !since || now < *since || now - *since >= interval;
}

bool MayChargeLoneHead(const Answer& answer, const QueuedJob& job, const Standing& standing,
                       const RetryPolicy& policy, Timestamp now) {
  return standing.is_lone_head && IsOwnAnswer(answer) && !OthersWereDelivered(job, standing) &&
         (job.suspicion == Suspicion::kNone || job.suspicion == Suspicion::kTrouble) &&
         HasPassed(job.counted_at, LoneHeadInterval(job, policy), now);
}

// What makes a suspect where the connection is well.
bool IsTroubleAgain(const Answer& answer, const QueuedJob& job) {
  return job.suspicion == Suspicion::kNone && IsTrouble(answer) && job.failures > 0;
}

Ruling Unchanged(Course course, const QueuedJob& job) {
  Ruling ruling;
  ruling.course = course;
  ruling.suspicion = job.suspicion;
  ruling.refusals = job.refusals;
  ruling.counted_at = job.counted_at;
  return ruling;
}

// A request with several jobs charges nobody and suspects nobody.
Ruling DeferBatch(const Answer& answer, const QueuedJob& job, const Standing& standing) {
  Ruling ruling = Unchanged(Course::kDefer, job);
  const bool others_delivered = standing.deliveries > standing.deliveries_at_sent;
  ruling.is_halved = answer.status == 0 || (answer.status / 100 == 5 && others_delivered);
  return ruling;
}

Ruling DeferOne(const Answer& answer, const QueuedJob& job, const Standing& standing,
                const RetryPolicy& policy, Timestamp now) {
  Ruling ruling = Unchanged(Course::kDefer, job);
  const bool others_delivered = OthersWereDelivered(job, standing);
  const bool is_well = others_delivered || standing.probe == ProbeWord::kWell;
  ruling.is_charged = others_delivered || CountsEveryAttempt(job);
  if (standing.probe == ProbeWord::kWell && MayChargeLoneHead(answer, job, standing, policy, now)) {
    ruling.is_charged = true;
    ruling.counted_at = now;
  }
  if (IsTroubleAgain(answer, job) && is_well) ruling.suspicion = Suspicion::kTrouble;
  return ruling;
}

// Refused although the probe says that the connection is well.
Ruling Suspect(Suspicion suspicion, const QueuedJob& job, const Standing& standing, Timestamp now) {
  Ruling ruling;
  ruling.course = Course::kDefer;
  ruling.is_charged = OthersWereDelivered(job, standing) || CountsEveryAttempt(job);
  ruling.suspicion = suspicion;
  ruling.refusals = 1;
  ruling.counted_at = now;
  if (job.suspicion != suspicion) return ruling;
  ruling.refusals = job.refusals;
  ruling.counted_at = job.counted_at;
  if (!OthersWereDelivered(job, standing) ||
      !HasPassed(job.counted_at, kRefusedFor / (kRefusalsMax - 1), now))
    return ruling;
  ++ruling.refusals;
  ruling.counted_at = now;
  const bool is_refused = suspicion == Suspicion::kAuth || suspicion == Suspicion::kRegion;
  if (is_refused && ruling.refusals >= kRefusalsMax) ruling.course = Course::kReject;
  return ruling;
}

Ruling Refused(Suspicion suspicion, const QueuedJob& job, std::size_t jobs, const Standing& standing,
               Timestamp now) {
  if (standing.probe != ProbeWord::kWell) return Unchanged(Course::kReturn, job);
  if (jobs > 1) return Unchanged(Course::kSplit, job);
  return Suspect(suspicion, job, standing, now);
}

Ruling NotTrackApi(const Verdict& verdict, const Answer& answer, const QueuedJob& job, std::size_t jobs,
                   const Standing& standing, const RetryPolicy& policy, Timestamp now) {
  const bool is_believed =
      standing.probe == ProbeWord::kWell && jobs == 1 && standing.deliveries > standing.deliveries_at_sent;
  if (!is_believed) return Refused(Suspicion::kNotTrackApi, job, jobs, standing, now);
  if (verdict.believed != Fate::kRejected) return DeferOne(answer, job, standing, policy, now);
  Ruling ruling = Unchanged(Course::kReject, job);
  ruling.is_charged = true;
  return ruling;
}

}  // namespace

bool IsTrouble(const Answer& answer) {
  return answer.status == 0 ? answer.fault != Fault::kOwnTimeout : answer.status / 100 == 5;
}

Suspicion SuspicionOf(Fate fate) {
  switch (fate) {
    case Fate::kPausedAuth:
      return Suspicion::kAuth;
    case Fate::kPausedRegion:
      return Suspicion::kRegion;
    case Fate::kNotTrackApi:
      return Suspicion::kNotTrackApi;
    case Fate::kDelivered:
    case Fate::kDeferred:
    case Fate::kRejected:
    case Fate::kSplit:
    case Fate::kUnanswered:
    case Fate::kPausedProxy:
      return Suspicion::kNone;
  }
  return Suspicion::kNone;
}

bool NeedsProbe(const Verdict& verdict, const Answer& answer, const QueuedJob& job, std::size_t jobs,
                const Standing& standing, const RetryPolicy& policy, Timestamp now) {
  if (standing.probe != ProbeWord::kNone) return false;
  switch (verdict.fate) {
    case Fate::kPausedAuth:
    case Fate::kPausedRegion:
    case Fate::kNotTrackApi:
      return true;
    case Fate::kDeferred:
      return jobs == 1 && (MayChargeLoneHead(answer, job, standing, policy, now) ||
                           (IsTroubleAgain(answer, job) && !OthersWereDelivered(job, standing)));
    case Fate::kDelivered:
    case Fate::kRejected:
    case Fate::kSplit:
    case Fate::kUnanswered:
    case Fate::kPausedProxy:
      return false;
  }
  return false;
}

Ruling Rule(const Verdict& verdict, const Answer& answer, const QueuedJob& job, std::size_t jobs,
            const Standing& standing, const RetryPolicy& policy, Timestamp now) {
  switch (verdict.fate) {
    case Fate::kDelivered:
      return Unchanged(Course::kDeliver, job);
    case Fate::kRejected: {
      Ruling ruling = Unchanged(Course::kReject, job);
      ruling.is_charged = true;
      return ruling;
    }
    case Fate::kSplit:
      return Unchanged(Course::kSplit, job);
    case Fate::kUnanswered:
      if (MayRepeat(job)) return Unchanged(Course::kRepeat, job);
      [[fallthrough]];
    case Fate::kDeferred:
      return jobs > 1 ? DeferBatch(answer, job, standing) : DeferOne(answer, job, standing, policy, now);
    case Fate::kPausedAuth:
      return Refused(Suspicion::kAuth, job, jobs, standing, now);
    case Fate::kPausedRegion:
      return Refused(Suspicion::kRegion, job, jobs, standing, now);
    case Fate::kPausedProxy:
      return Unchanged(Course::kReturn, job);
    case Fate::kNotTrackApi:
      return NotTrackApi(verdict, answer, job, jobs, standing, policy, now);
  }
  return {};
}

}  // namespace outboxd
