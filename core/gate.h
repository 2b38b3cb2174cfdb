// core/gate.h — whether a connection may send now, and how much at once. Pure: time and randomness are arguments.
//
// States (docs/design.md draws them):
//   open       sending, at most Limit() in flight; the limit grows by one per Limit() successes while it is reached (doubles while it
//              is still below the level where trouble began) and halves at the first trouble.
//   throttled  closed until ReopenAt(): Retry-After, or exponential backoff over the failures since the last success.
//   probing    the time is over: exactly one attempt may be in flight; its success opens the gate at limit 1, its failure closes it again.
//   paused     closed until Resume(): credentials (auth), wrong region (region), or an operator.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/policy.h"
#include "core/time.h"

namespace outboxd {

enum class GateState : std::uint8_t { kOpen, kThrottled, kProbing, kPaused };
enum class PauseReason : std::uint8_t { kNone, kAuth, kRegion, kOperator };
std::string_view GateStateName(GateState state);    // "open"
std::string_view PauseReasonName(PauseReason reason);  // "auth"; "" for kNone
std::optional<GateState> GateStateFromName(std::string_view name);
std::optional<PauseReason> PauseReasonFromName(std::string_view name);

// What survives a restart, and what `status` shows.
struct GateSnapshot {
  GateState state = GateState::kOpen;
  PauseReason pause = PauseReason::kNone;
  std::string detail;             // "503 Service Unavailable", "401 Unauthorized", the Location of a redirect
  Timestamp since{};              // of the state
  std::optional<Timestamp> reopen_at;
  std::uint32_t failures = 0;     // closures since the last success
};

class Gate {
 public:
  Gate(std::uint32_t max_in_flight, RetryPolicy policy, Timestamp now);
  // Continues from a snapshot: a restart makes no storm (an open gate starts at a small limit anyway).
  void Restore(const GateSnapshot& snapshot);
  void Configure(std::uint32_t max_in_flight, RetryPolicy policy);

  // True when one more attempt may leave now. Moves throttled → probing when the time is over. Call OnSent() right after using it.
  bool MaySend(Timestamp now, std::uint32_t in_flight);
  void OnSent(Timestamp now);

  // Outcomes of attempts. `sent` is when the attempt left: trouble of an attempt that left before the last closure counts once only.
  void OnSuccess(Timestamp sent, Timestamp now);
  void OnTrouble(Timestamp sent, Timestamp now, std::optional<Milliseconds> retry_after, std::string detail, double random);
  // An attempt ended without saying anything about the connection's health (rejected job, cancelled transfer).
  void OnNeutral(Timestamp sent, Timestamp now);
  void Pause(PauseReason reason, std::string detail, Timestamp now);
  // Lifts a pause of any reason: the gate probes before it opens.
  void Resume(Timestamp now);

  const GateSnapshot& Snapshot() const;
  std::uint32_t Limit() const;
  // When MaySend may turn true by time alone; nullopt when open, probing or paused.
  std::optional<Timestamp> ReopenAt() const;
  // True once after every change that must be persisted or shown (state, reason, reopen time).
  bool TakeChanged();
};

}  // namespace outboxd
