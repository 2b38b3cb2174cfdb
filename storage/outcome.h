// storage/outcome.h — what became of a job, and of each request that carried it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/job.h"
#include "core/names.h"
#include "core/time.h"
#include "core/verdict.h"

namespace outboxd {

// One request that left, and what came of it.
struct Attempt {
  Timestamp sent{};
  Milliseconds duration{0};
  Fate result = Fate::kDelivered;
  int status = 0;  // 0: no answer
  std::string error;
  std::string answer;  // first bytes of the body
};

enum class OutcomeKind : std::uint8_t {
  kDelivered,
  kDeferred,  // job->due says until when; `stow` whether it waits on disk alone
  kReturned,  // not charged; ready again
  kDead,
};

enum class Death : std::uint8_t { kRejected, kExhausted, kExpired, kCancelled };
template <>
inline constexpr Names<Death> kNames<Death>{{{Death::kRejected, "rejected"},
                                             {Death::kExhausted, "exhausted"},
                                             {Death::kExpired, "expired"},
                                             {Death::kCancelled, "cancelled"}}};
constexpr std::string_view DeathName(Death death) {
  return NameOf(death);
}

// What became of a job. `job` carries the new attempts, charged and due.
struct Outcome {
  std::unique_ptr<QueuedJob> job;
  OutcomeKind kind = OutcomeKind::kDelivered;
  std::optional<Attempt> attempt;  // absent when nothing left (expired while waiting)
  std::string reason;              // why not delivered
  Death death = Death::kRejected;  // with kDead
  std::string cause;               // with kDead
  // With kDeferred: the job leaves memory until it is due, and keeps these lanes on disk.
  std::unique_ptr<const LaneList> stow;
};

}  // namespace outboxd
