#include "core/gate.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <utility>

#include "core/backoff.h"
#include "core/check.h"
#include "core/policy.h"
#include "core/time.h"

namespace outboxd {
namespace {

constexpr std::uint32_t kFreshLimit = 16;
constexpr std::uint32_t kRestoredLimit = 8;
// A round is slow when its answers took more than twice the usual time and this on top: a busy machine's
// jitter is not a sign of the API's load.
constexpr Milliseconds kAnswerJitter{10};
// How much of the difference to slower rounds the usual time takes over each round: a service that became
// slower for good is used again.
constexpr int kDrift = 128;
constexpr int kAnswersRemembered = 20;
// Keeps what leaves after a closure apart from what left before it.
constexpr Milliseconds kTick{1};

// A pause gives way to one that weighs as much or more.
int Weight(PauseReason reason) {
  switch (reason) {
    case PauseReason::kNone:
      return 0;
    case PauseReason::kAuth:
    case PauseReason::kRegion:
    case PauseReason::kProxy:
    case PauseReason::kNotTrackApi:
      return 1;
    case PauseReason::kClock:
      return 2;
    case PauseReason::kUnconfigured:
      return 3;
    case PauseReason::kOperator:
    case PauseReason::kCrashes:
      return 4;
  }
  return 0;
}

}  // namespace

bool EndsByProbe(PauseReason reason) {
  switch (reason) {
    case PauseReason::kAuth:
    case PauseReason::kRegion:
    case PauseReason::kProxy:
    case PauseReason::kNotTrackApi:
      return true;
    case PauseReason::kNone:
    case PauseReason::kClock:
    case PauseReason::kUnconfigured:
    case PauseReason::kOperator:
    case PauseReason::kCrashes:
      return false;
  }
  return false;
}

Gate::Gate(std::uint32_t max_in_flight, RetryPolicy policy, Timestamp now)
    : max_in_flight_(std::max(max_in_flight, 1U)),
      policy_(policy),
      limit_(std::min(kFreshLimit, max_in_flight_)) {
  snapshot_.since = now;
}

void Gate::Restore(const GateSnapshot& snapshot) {
  snapshot_ = snapshot;
  limit_ = std::min(kRestoredLimit, max_in_flight_);
  if (snapshot_.state == GateState::kPaused && snapshot_.pause == PauseReason::kNone)
    snapshot_.pause = PauseReason::kOperator;
  if (snapshot_.state != GateState::kPaused) snapshot_.pause = PauseReason::kNone;
  if (snapshot_.state != GateState::kThrottled && snapshot_.state != GateState::kPaused)
    snapshot_.reopen_at.reset();
  not_before_ = snapshot_.reopen_at;
  if (snapshot_.state == GateState::kThrottled && !snapshot_.reopen_at) snapshot_.state = GateState::kProbing;
}

void Gate::Configure(std::uint32_t max_in_flight, RetryPolicy policy) {
  max_in_flight_ = std::max(max_in_flight, 1U);
  policy_ = policy;
  limit_ = std::min(limit_, max_in_flight_);
}

bool Gate::TryAdmit(Timestamp now, std::uint32_t in_flight) {
  switch (snapshot_.state) {
    case GateState::kOpen:
      next_reaches_limit_ = in_flight + 1 >= limit_;
      if (in_flight >= limit_) limit_reached_ = true;
      return in_flight < limit_;
    case GateState::kThrottled:
      ForgetImpossibleWait(now);
      if (now < snapshot_.reopen_at.value_or(now)) return false;
      Enter(GateState::kProbing, now);
      return true;
    case GateState::kProbing:
      if (in_flight == 0) probe_out_ = false;  // its outcome came with a time from before the clock was set
      return !probe_out_;
    case GateState::kPaused:
      return false;
  }
  return false;
}

void Gate::OnSent(Timestamp now) {
  last_sent_ = now;
  if (snapshot_.state == GateState::kProbing) {
    probe_out_ = true;
    era_ = now;
  } else {
    if (era_) era_ = std::min(*era_, now);  // a clock that was set back must not make new attempts look old
    limit_reached_ = limit_reached_ || next_reaches_limit_;
  }
}

bool Gate::OnSuccess(Timestamp sent, Timestamp now) {
  return TakeAnswer(sent, now, Kind::kDelivery);
}

void Gate::OnRefusal(Timestamp sent, Timestamp now) {
  TakeAnswer(sent, now, Kind::kOther);
}

bool Gate::TakeAnswer(Timestamp sent, Timestamp now, Kind kind) {
  if (IsStale(sent)) return false;
  switch (snapshot_.state) {
    case GateState::kOpen:
      Remember(kind);
      Grow(now - sent);
      return true;
    case GateState::kProbing:
      Remember(kind);
      limit_ = 1;
      successes_ = 0;
      answer_time_ = Milliseconds(0);
      limit_reached_ = false;
      snapshot_.failures = 0;
      snapshot_.detail.clear();
      Enter(GateState::kOpen, now);
      return true;
    case GateState::kThrottled:
    case GateState::kPaused:
      break;
  }
  return false;
}

void Gate::OnTrouble(Timestamp sent, Timestamp now, std::optional<Milliseconds> retry_after,
                     std::string detail, double random, Blame blame) {
  // A Retry-After of nothing (or a date that is over by our clock) tells no time to wait for.
  const Milliseconds asked = std::min(retry_after.value_or(Milliseconds(0)), policy_.retry_after_cap);
  const bool is_closed = snapshot_.state == GateState::kThrottled || snapshot_.state == GateState::kPaused;
  if (is_closed || IsStale(sent)) {
    ExtendClosure(now, asked);
    return;
  }
  if (snapshot_.state == GateState::kOpen) {
    Remember(Kind::kOther);
    const bool is_connections = blame == Blame::kConnection || asked > Milliseconds(0);
    if (!is_connections && AreOthersDelivered()) return;
    limit_ = std::max(limit_ / 2, 1U);
    trouble_level_ = limit_;
  }
  ++snapshot_.failures;
  snapshot_.detail = std::move(detail);
  if (asked > Milliseconds(0)) not_before_ = now + asked;
  Close(now, asked > Milliseconds(0) ? asked : BackoffAfterFailures(random));
}

void Gate::OnNeutral(Timestamp sent, Timestamp now) {
  // One that seems to have left later than now did so before the clock was set back, and is not the probe.
  if (snapshot_.state == GateState::kProbing && !IsStale(sent) && sent <= now) probe_out_ = false;
}

void Gate::Pause(PauseReason reason, std::string detail, Timestamp now, std::optional<Timestamp> sent) {
  if (sent && IsStale(*sent)) return;
  const bool is_paused = snapshot_.state == GateState::kPaused;
  if (is_paused && (snapshot_.pause == reason || Weight(snapshot_.pause) > Weight(reason))) return;
  snapshot_.pause = reason;
  snapshot_.detail = std::move(detail);
  Enter(GateState::kPaused, now);
  if (not_before_ && *not_before_ > now) snapshot_.reopen_at = not_before_;
}

void Gate::Resume(Timestamp now) {
  if (snapshot_.state != GateState::kPaused) return;
  if (EndsByProbe(snapshot_.pause)) {
    deliveries_ = 0;  // what paused it was no delivery, and may go on: who goes now decides
  } else {
    snapshot_.detail.clear();  // auth and region stand until an answer says otherwise
  }
  snapshot_.pause = PauseReason::kNone;
  era_ = now + kTick;
  if (not_before_ && *not_before_ > now) {
    Close(now, *not_before_ - now);
  } else if (last_sent_ == now) {
    Close(now, kTick);  // a probe in this tick could not be told from what left before the pause
  } else {
    Enter(GateState::kProbing, now);
  }
}

bool Gate::TakeChanged() {
  return std::exchange(changed_, false);
}

void Gate::CheckInvariants() const {
  CHECK(limit_ >= 1 && limit_ <= max_in_flight_);
  CHECK(!trouble_level_ || *trouble_level_ >= 1);
  CHECK(answer_time_ >= Milliseconds(0));
  CHECK((snapshot_.state == GateState::kPaused) == (snapshot_.pause != PauseReason::kNone));
  CHECK(snapshot_.state != GateState::kThrottled || snapshot_.reopen_at);
  CHECK(!snapshot_.reopen_at || snapshot_.state == GateState::kThrottled ||
        snapshot_.state == GateState::kPaused);
  CHECK(!probe_out_ || snapshot_.state == GateState::kProbing);
  CHECK((deliveries_ >> kAnswersRemembered) == 0);
}

void Gate::Remember(Kind kind) {
  constexpr std::uint32_t kAll = (1U << kAnswersRemembered) - 1;
  deliveries_ = ((deliveries_ << 1) | (kind == Kind::kDelivery ? 1U : 0U)) & kAll;
}

bool Gate::AreOthersDelivered() const {
  return std::popcount(deliveries_) * 2 >= kAnswersRemembered;
}

void Gate::Enter(GateState state, Timestamp now) {
  snapshot_.state = state;
  snapshot_.since = now;
  snapshot_.reopen_at.reset();
  probe_out_ = false;
  changed_ = true;
}

void Gate::Close(Timestamp now, Milliseconds wait) {
  Enter(GateState::kThrottled, now);
  snapshot_.reopen_at = now + std::max(wait, kTick);
  era_ = now + kTick;
}

// The word of an attempt from before the closure: it can only make the wait longer, but the API has said it
// just now.
void Gate::ExtendClosure(Timestamp now, Milliseconds retry_after) {
  if (retry_after <= Milliseconds(0)) return;
  const Timestamp until = now + retry_after;
  not_before_ = std::max(not_before_.value_or(until), until);
  switch (snapshot_.state) {
    case GateState::kOpen:
    case GateState::kProbing:
      Close(now, retry_after);
      return;
    case GateState::kPaused:
    case GateState::kThrottled:
      if (snapshot_.reopen_at && *snapshot_.reopen_at >= until) return;
      snapshot_.reopen_at = until;
      changed_ = true;
      return;
  }
}

// No closure is longer than the caps allow: if it looks so, the clock was set back or the caps were lowered.
void Gate::ForgetImpossibleWait(Timestamp now) {
  const Timestamp latest = now + std::max({policy_.cap, policy_.retry_after_cap, kTick});
  if (not_before_) not_before_ = std::min(*not_before_, latest);
  if (!snapshot_.reopen_at || *snapshot_.reopen_at <= latest) return;
  snapshot_.reopen_at = latest;
  changed_ = true;
}

bool Gate::AnswersSlowDown(Milliseconds mean) {
  if (!usual_ || mean <= *usual_) {
    usual_ = mean;
    return false;
  }
  const bool slow = mean > *usual_ * 2 + kAnswerJitter;
  *usual_ += std::max((mean - *usual_) / kDrift, Milliseconds(1));
  return slow;
}

void Gate::Grow(Milliseconds took) {
  ++successes_;
  answer_time_ += std::max(took, Milliseconds(0));
  if (successes_ < limit_) return;
  const bool slow = AnswersSlowDown(answer_time_ / successes_);
  answer_time_ = Milliseconds(0);
  if (limit_reached_ && !slow) {
    const std::uint32_t level = std::min(trouble_level_.value_or(max_in_flight_), max_in_flight_);
    const std::uint32_t doubled = limit_ > max_in_flight_ / 2 ? max_in_flight_ : limit_ * 2;
    limit_ = limit_ < level ? std::min(doubled, level) : std::min(limit_ + 1, max_in_flight_);
  }
  successes_ = 0;
  limit_reached_ = false;
}

Milliseconds Gate::BackoffAfterFailures(double random) const {
  const Milliseconds ceiling = ExponentialDelay(policy_.base, policy_.cap, snapshot_.failures);
  return std::max({WithFullJitter(ceiling, random), std::min(policy_.base, policy_.cap) / 2, kTick});
}

}  // namespace outboxd
