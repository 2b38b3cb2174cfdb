// core/ruling.h — whose fault a failure is: verdict, and how the connection stands → what happens to the job
// (README "Delivery rules"). Pure.
//
// An outage charges nobody: a failure counts against retry.max_attempts only if others were delivered
// meanwhile, which a counter of the connection tells, never the clock. What looks like the connection's
// trouble although the connection is well makes the job a suspect.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/job.h"
#include "core/policy.h"
#include "core/time.h"
#include "core/verdict.h"

namespace outboxd {

// What the region probe said of credentials, region and host, while that counts.
enum class ProbeWord : std::uint8_t { kNone, kWell, kUnwell };

// How the connection stands when the answer to a job is judged.
struct Standing {
  std::uint64_t deliveries = 0;          // its delivery counter now
  std::uint64_t deliveries_at_sent = 0;  // when the request left
  ProbeWord probe = ProbeWord::kNone;
  // At most three lanes wait, and others of the job's lane wait behind it: a lane that is always refused
  // cannot be told from an outage by the counter.
  bool is_lone_head = false;
};

enum class Course : std::uint8_t {
  kDeliver,
  kReturn,  // uncharged; it goes again when the gate lets it
  kRepeat,  // the same, before all others, on another connection
  kSplit,   // the same, in a smaller batch
  kDefer,   // it goes again by backoff
  kReject,  // dead letter
};

struct Ruling {
  Course course = Course::kReturn;
  bool is_charged = false;                 // counts against retry.max_attempts
  bool is_halved = false;                  // with kDefer: goes again in a smaller batch
  Suspicion suspicion = Suspicion::kNone;  // what the job is suspected of from now on
  std::uint32_t refusals = 0;              // as QueuedJob has them from now on
  std::optional<Timestamp> counted_at;
};

// A job is repeated so often on connections that broke before an answer; then it has failed.
inline constexpr std::uint32_t kRepeatsMax = 3;
// From this repeat on each goes on a connection of its own.
inline constexpr std::uint32_t kFirstRepeatOnOwn = 2;
// So many refusals alike, over at least kRefusedFor, reject a suspect.
inline constexpr std::uint32_t kRefusalsMax = 3;
inline constexpr Milliseconds kRefusedFor = std::chrono::minutes(15);

// Whether the probe's word is needed to rule on it: the caller asks first (Standing::probe).
bool NeedsProbe(const Verdict& verdict, const Answer& answer, const QueuedJob& job, std::size_t jobs,
                const Standing& standing, const RetryPolicy& policy, Timestamp now);

// On one job of a request with `jobs`. Without a word of the probe an answer that needs one returns the job.
Ruling Rule(const Verdict& verdict, const Answer& answer, const QueuedJob& job, std::size_t jobs,
            const Standing& standing, const RetryPolicy& policy, Timestamp now);

// What a job may be suspected of by such a verdict if the connection is well; kNone for all others.
Suspicion SuspicionOf(Fate fate);

// A failure that is the connection's or the API's as far as one job can tell: 5xx, reset, timeout.
bool IsTrouble(const Answer& answer);

}  // namespace outboxd
