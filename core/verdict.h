// core/verdict.h — answer → what happens to the job and to the connection (README "Delivery rules").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/job.h"
#include "core/names.h"
#include "core/policy.h"
#include "core/time.h"

namespace outboxd {

// Whose fault it is that there is no answer.
enum class Fault : std::uint8_t {
  kNone,        // there is one
  kNetwork,     // the connection's or the API's: resolve, connect, TLS, reset, timeout
  kUnanswered,  // closed, reset or refused before a byte of an answer, on a connection that was in use before
  kOwnTimeout,  // the job's: a raw job's `timeout_ms`, shorter than the connection's timeout, ran out
  kProxy,       // the proxy's: it does not open a tunnel
};

// What came back from one request. Filled by the transport.
struct Answer {
  int status = 0;              // 0: no HTTP answer
  Fault fault = Fault::kNone;  // with status 0
  std::string error;           // why there was none ("connect: Connection refused"); empty when status != 0
  std::string body;            // decoded; at most limits::kAnswerBytes
  bool is_body_cut = false;    // there was more
  std::optional<std::string> retry_after;  // the header's value as received
  std::string location;                    // the header's value as received
};

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
  kNotTrackApi,  // not an answer of the Track API's own: job stays ready, not charged; connection paused
                 // `not_track_api`
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
  bool closes_gate = false;                 // the connection as a whole should back off
};

// 2xx delivered; no answer, 408, 429, 5xx deferred; 401, 403 paused auth; 3xx paused region; other 4xx (and
// 1xx/6xx oddities) rejected.
Verdict JudgeAnswer(const Answer& answer, const RetryPolicy& policy, Timestamp now);
// The same for the answer to `job`: a raw job with retry.all_errors turns a rejection into a deferral (that
// does not close the gate).
Verdict Judge(const Answer& answer, const Job& job, const RetryPolicy& policy, Timestamp now);

// RFC 9110 section 10.2.3: delay seconds or HTTP date; nullopt when it is neither; never negative, at most
// limits::kMaxAgeSeconds.
std::optional<Milliseconds> ParseRetryAfter(std::string_view value, Timestamp now);

enum class AfterDeferral : std::uint8_t { kRetry, kExhausted, kExpired };
struct RetryPlan {
  AfterDeferral next = AfterDeferral::kRetry;
  Timestamp due{};  // with kRetry
};

// When a deferred job is tried again. `charged` counts the attempt just made; `random` is uniform in [0, 1).
// Exponential backoff with full jitter: random × min(cap, base × 2^(charged-1)), at least `retry_after`. A
// raw job's own retry rule replaces base, growth and count: a fixed delay as it is, an exponential one with
// full jitter, from the policy's base if its delay is 0; the cap, Retry-After and max age still hold.
// kExpired only when it is too old now: otherwise that is judged when it is due.
RetryPlan PlanRetry(const QueuedJob& job, std::uint32_t charged, const RetryPolicy& policy,
                    std::optional<Milliseconds> retry_after, Timestamp now, double random);

// Older than its own or the policy's max age.
bool IsExpired(const QueuedJob& job, const RetryPolicy& policy, Timestamp now);

}  // namespace outboxd
