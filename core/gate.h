// core/gate.h — whether a connection may send now, and how much at once: a circuit breaker with an AIMD
// concurrency limit (additive increase, multiplicative decrease). Pure: time and randomness are arguments.
//
// States (docs/design.md draws them):
//   open       sends, at most Limit() in flight. After Limit() successes (a round), if the limit was reached
//              meanwhile and the answers took no longer than they used to, it doubles while it is below the
//              level where trouble last began, and grows by one above that; trouble halves it, and closes the
//              gate. But while at least half of the last twenty answers were deliveries, trouble is some
//              jobs' own: it does neither, unless the API said itself that it is the connection's (Blame).
//   throttled  closed until ReopenAt(): Retry-After, or exponential backoff over the failures since the last
//              success.
//   probing    the time is over: exactly one attempt may be in flight. Its success opens the gate at limit 1,
//              its failure closes it again.
//   paused     closed until Resume(): credentials (auth), wrong region (region), a proxy that refuses
//              (proxy), answers that are not the Track API's (not_track_api), a wall clock that was never
//              set (clock), gone from the config (unconfigured), or an operator.
//
// Answers to attempts that left before the gate last closed are ignored: a success does not open it, trouble
// is not counted again. Only their Retry-After is obeyed, whatever the state: the API has given it just now.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/names.h"
#include "core/policy.h"
#include "core/time.h"

namespace outboxd {

enum class GateState : std::uint8_t { kOpen, kThrottled, kProbing, kPaused };
// kCrashes is shown, never entered: nothing is sent since outboxd crashed too often
// (daemon/delivery/delivery_hold.h).
enum class PauseReason : std::uint8_t {
  kNone,
  kAuth,
  kRegion,
  kProxy,
  kNotTrackApi,
  kClock,
  kUnconfigured,
  kOperator,
  kCrashes,
};
template <>
inline constexpr Names<GateState> kNames<GateState>{{{GateState::kOpen, "open"},
                                                     {GateState::kThrottled, "throttled"},
                                                     {GateState::kProbing, "probing"},
                                                     {GateState::kPaused, "paused"}}};
template <>
inline constexpr Names<PauseReason> kNames<PauseReason>{{{PauseReason::kNone, ""},
                                                         {PauseReason::kAuth, "auth"},
                                                         {PauseReason::kRegion, "region"},
                                                         {PauseReason::kProxy, "proxy"},
                                                         {PauseReason::kNotTrackApi, "not_track_api"},
                                                         {PauseReason::kClock, "clock"},
                                                         {PauseReason::kUnconfigured, "unconfigured"},
                                                         {PauseReason::kOperator, "operator"},
                                                         {PauseReason::kCrashes, "crashes"}}};
constexpr std::string_view GateStateName(GateState state) {
  return NameOf(state);
}
constexpr std::string_view PauseReasonName(PauseReason reason) {
  return NameOf(reason);
}
// Whether a region probe that succeeds ends the pause.
bool EndsByProbe(PauseReason reason);

// What survives a restart, and what `status` shows.
struct GateSnapshot {
  GateState state = GateState::kOpen;
  PauseReason pause = PauseReason::kNone;
  std::string detail;  // "503 Service Unavailable", "401 Unauthorized", the Location of a redirect
  Timestamp since{};   // of the state
  std::optional<Timestamp>
      reopen_at;  // throttled: when it probes; paused: it will not probe before this, whoever resumes it
  std::uint32_t failures = 0;  // closures since the last success
};

enum class Blame : std::uint8_t {
  kPerhapsTheJob,  // 5xx, no answer, …: only how others fare tells
  kConnection,     // 429. A Retry-After says it as well
};

// Size: state, limit, waits and what was answered last change together, in one function each.
class Gate {
 public:
  // Open, with a limit of at most 16 to start from.
  Gate(std::uint32_t max_in_flight, RetryPolicy policy, Timestamp now);
  // Continues from a snapshot: a restart makes no storm (an open gate starts at a limit of at most 8, a
  // closed one stays closed).
  void Restore(const GateSnapshot& snapshot);
  void Configure(std::uint32_t max_in_flight, RetryPolicy policy);

  // True when one more attempt may leave now; `in_flight` counts those out. Moves throttled → probing when
  // the time is over, and notes whether the limit is reached. What is admitted need not leave: only OnSent()
  // counts it.
  bool TryAdmit(Timestamp now, std::uint32_t in_flight);
  void OnSent(Timestamp now);

  // Outcomes of attempts. `sent` is when the attempt left, not before its OnSent(); `random` is uniform in
  // [0, 1).
  // False when it is ignored.
  bool OnSuccess(Timestamp sent, Timestamp now);
  // As a success, for the API is up and takes our credentials, but not a delivery: a rejected job.
  void OnRefusal(Timestamp sent, Timestamp now);
  void OnTrouble(Timestamp sent, Timestamp now, std::optional<Milliseconds> retry_after, std::string detail,
                 double random, Blame blame = Blame::kPerhapsTheJob);
  // An attempt ended without saying anything about the connection's health (rejected job, cancelled
  // transfer).
  void OnNeutral(Timestamp sent, Timestamp now);
  // With `sent`, the answer of that attempt is the cause: ignored when it left before the gate last closed or
  // was resumed. Those that end by a probe replace each other; that for the clock replaces these,
  // unconfigured these four, an operator's pause all; a weaker one changes nothing.
  void Pause(PauseReason reason, std::string detail, Timestamp now,
             std::optional<Timestamp> sent = std::nullopt);
  // Lifts a pause of any reason: the gate probes before it opens, at once or (throttled until then) after a
  // Retry-After or the millisecond of the last attempt. Does nothing when not paused.
  void Resume(Timestamp now);

  const GateSnapshot& Snapshot() const { return snapshot_; }
  // It was closed, and fewer than half of the last twenty answers were deliveries (a pause that ends by a
  // probe forgets them): who goes now decides whether it stays open.
  bool IsRecovering() const { return era_ && !AreOthersDelivered(); }
  // Between 1 and max_in_flight.
  std::uint32_t Limit() const { return limit_; }
  // When TryAdmit() may turn true by time alone; nullopt when open, probing or paused.
  std::optional<Timestamp> ReopenAt() const {
    return snapshot_.state == GateState::kThrottled ? snapshot_.reopen_at : std::nullopt;
  }
  // True once after every change that must be persisted or shown (state, reason, reopen time).
  bool TakeChanged();
  // Aborts when its state contradicts itself. For tests.
  void CheckInvariants() const;

 private:
  enum class Kind : std::uint8_t { kOther, kDelivery };
  bool TakeAnswer(Timestamp sent, Timestamp now, Kind kind);
  void Remember(Kind kind);
  bool AreOthersDelivered() const;
  void Enter(GateState state, Timestamp now);
  void Close(Timestamp now, Milliseconds wait);
  void ExtendClosure(Timestamp now, Milliseconds retry_after);
  void ForgetImpossibleWait(Timestamp now);
  void Grow(Milliseconds took);
  bool AnswersSlowDown(Milliseconds mean);
  bool IsStale(Timestamp sent) const { return era_ && sent < *era_; }
  Milliseconds BackoffAfterFailures(double random) const;

  std::uint32_t max_in_flight_;
  RetryPolicy policy_;
  GateSnapshot snapshot_;
  std::uint32_t limit_;
  std::optional<std::uint32_t> trouble_level_;  // half of the limit at which trouble last began
  std::uint32_t successes_ = 0;  // since the limit last changed, or was found not to be reached
  Milliseconds answer_time_{0};  // of those successes, summed up
  std::optional<Milliseconds>
      usual_;  // mean answer time of the quickest round, drifting up where rounds stay slower
  bool limit_reached_ = false;       // in the same time as successes_
  bool next_reaches_limit_ = false;  // between TryAdmit and OnSent
  // The last answers that counted, a bit each, the newest lowest; 1: a delivery.
  std::uint32_t deliveries_ = 0;
  bool probe_out_ = false;
  // Attempts that left before this belong to a time before the last closure; nullopt: there was none.
  std::optional<Timestamp> era_;
  std::optional<Timestamp> last_sent_;
  std::optional<Timestamp> not_before_;  // the last Retry-After, kept through a pause
  bool changed_ = false;
};

}  // namespace outboxd
