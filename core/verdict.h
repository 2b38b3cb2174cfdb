// core/verdict.h — answer → what happens to the job and to the connection (README "Delivery rules").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/answer.h"  // IWYU pragma: export
#include "core/answer_shape.h"
#include "core/job.h"
#include "core/names.h"
#include "core/policy.h"
#include "core/time.h"

namespace outboxd {

enum class Fate : std::uint8_t {
  kDelivered,
  kDeferred,      // try the job again by backoff; the connection's gate closes too
  kRejected,      // dead letter
  kPausedAuth,    // job stays ready, not charged; connection paused `auth`
  kPausedRegion,  // job stays ready, not charged; connection paused `region`
  kSplit,  // refused with others in a batch: job stays ready, not charged, and goes again in a smaller one
           // (core/batch_verdict.h)
  kUnanswered,   // no answer on a connection that was in use before: goes again first of its queue, not
                 // charged; says nothing of the connection's health
  kPausedProxy,  // job stays ready, not charged; connection paused `proxy`
  kNotTrackApi,  // not an answer of the Track API's own: job stays ready, not charged; the region probe says
                 // whether the connection is paused `not_track_api` or the answer is believed
};

template <>
inline constexpr Names<Fate> kNames<Fate>{{{Fate::kDelivered, "delivered"},
                                           {Fate::kDeferred, "deferred"},
                                           {Fate::kRejected, "rejected"},
                                           {Fate::kPausedAuth, "paused_auth"},
                                           {Fate::kPausedRegion, "paused_region"},
                                           {Fate::kSplit, "split"},
                                           {Fate::kUnanswered, "unanswered"},
                                           {Fate::kPausedProxy, "paused_proxy"},
                                           {Fate::kNotTrackApi, "not_track_api"}}};
constexpr std::string_view FateName(Fate fate) {
  return NameOf(fate);
}

struct Verdict {
  Fate fate = Fate::kDelivered;
  std::string reason;                       // one line for people: "503 Service Unavailable", "connect: …"
  std::optional<Milliseconds> retry_after;  // from the answer, capped by policy; only with kDeferred
  // With kDeferred: it looks like the connection's trouble, so its gate closes unless enough others are
  // delivered (core/gate.h); always after 429 and Retry-After, which are the connection's whatever the job.
  bool closes_gate = false;
  bool always_closes_gate = false;
  // With kNotTrackApi: what it means where it is believed all the same. kRejected for a 4xx, kDeferred for a
  // 2xx, of a batch kSplit.
  std::optional<Fate> believed;
};

// Whose word counts: `connections.*.strict_answers`.
enum class Trust : std::uint8_t {
  kTrackApi,     // an answer that is not the Track API's own is not believed
  kEveryStatus,  // a status is believed, whatever comes with it
};

// The answer to `job`.
//   2xx                            delivered
//   408, 421, 423, 425, 429, 5xx   deferred, and the connection's trouble
//   none                           the same, unless the fault is another's: unanswered (kUnanswered), paused
//                                  proxy (kProxy), deferred without a word on the connection (kOwnTimeout)
//   401, 403; 3xx; 407             paused auth; region; proxy. The first two are believed once the region
//                                  probe was asked: the queue's business
//   4xx                            rejected
// A 2xx or 4xx that is not as expected (core/answer_shape.h), and what is no status of HTTP, is
// not_track_api; with Trust::kEveryStatus the 2xx is delivered, all others are rejected.
// A raw job with retry.all_errors is deferred where it would be rejected, which does not close the gate.
Verdict Judge(const Answer& answer, const Job& job, const RetryPolicy& policy, Timestamp now,
              Trust trust = Trust::kTrackApi);
// The same for a request of any job, whose answer has to look like `expected`.
Verdict JudgeAnswer(const Answer& answer, Expected expected, const RetryPolicy& policy, Timestamp now);

// RFC 9110 section 10.2.3: delay seconds or HTTP date; nullopt when it is neither; never negative, at most
// limits::kMaxAgeSeconds.
std::optional<Milliseconds> ParseRetryAfter(std::string_view value, Timestamp now);

enum class AfterDeferral : std::uint8_t { kRetry, kExhausted, kExpired };
struct RetryPlan {
  AfterDeferral next = AfterDeferral::kRetry;
  Timestamp due{};  // with kRetry
};

// When a job is tried again that has just been deferred: its `failures` and, if it was, `charged` count that
// already; `random` is uniform in [0, 1). Exponential backoff with full jitter: random × min(cap, base ×
// 2^(failures-1)), at least `retry_after`. kExhausted when the policy's attempts are used up by charged ones.
// A raw job's own retry rule replaces base, growth and count: a fixed delay as it is, an exponential one with
// full jitter, from the policy's base if its delay is 0; the cap, Retry-After and max age still hold; whoever
// charges it charges every attempt. kExpired only when it is too old now: otherwise that is judged when it is
// due.
RetryPlan PlanRetry(const QueuedJob& job, const RetryPolicy& policy, std::optional<Milliseconds> retry_after,
                    Timestamp now, double random);

// Older than its own or the policy's max age.
bool IsExpired(const QueuedJob& job, const RetryPolicy& policy, Timestamp now);

}  // namespace outboxd
