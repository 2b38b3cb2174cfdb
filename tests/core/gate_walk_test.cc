// A gate under random use, judged by a model of what its header promises.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <random>
#include <vector>

#include "core/gate.h"
#include "tests/support/seed_on_abort.h"

namespace outboxd {
namespace {

constexpr Timestamp kStart = FromUnixMs(1'700'000'000'000);

RetryPolicy Policy() {
  RetryPolicy policy;
  policy.base = std::chrono::seconds(1);
  policy.cap = std::chrono::minutes(10);
  policy.retry_after_cap = std::chrono::minutes(15);
  return policy;
}

// Drives a gate at random against a model that knows only what the header promises.
class Walk {
 public:
  explicit Walk(unsigned seed)
      : random_(seed),
        is_calm_(random_() % 2 == 0),
        max_(static_cast<std::uint32_t>(1 + random_() % 40)),
        gate_(max_, Policy(), now_),
        since_state_(GateState::kOpen) {}

  void Step() {
    now_ += Milliseconds(random_() % 4 == 0 ? random_() % 3000 : random_() % 3);
    switch (random_() % (is_calm_ ? 256 : 16)) {
      case 0:
        gate_.Pause(static_cast<PauseReason>(1 + random_() % 6), "why", now_);
        break;
      case 1:
      case 2:
        Resume();
        break;
      case 3:
        max_ = static_cast<std::uint32_t>(1 + random_() % 40);
        gate_.Configure(max_, Policy());
        break;
      case 4:
        Restart();
        break;
      default:
        random_() % 2 == 0 ? Send() : Finish();
        break;
    }
    CheckInvariants();
  }

 private:
  struct Attempt {
    Timestamp sent;
    bool is_probe;
    bool is_stale = false;
  };

  void Resume() {
    const GateSnapshot before = gate_.Snapshot();
    gate_.Resume(now_);
    if (before.state != GateState::kPaused) return;
    ForgetAttempts();
    if (EndsByProbe(before.pause)) deliveries_.clear();
  }

  void Restart() {
    const GateSnapshot kept = gate_.Snapshot();
    gate_ = Gate(max_, Policy(), now_);
    gate_.Restore(kept);
    out_.clear();
    deliveries_.clear();
  }

  // What is out now says nothing any more.
  void ForgetAttempts() {
    for (Attempt& attempt : out_) {
      attempt.is_probe = false;
      attempt.is_stale = true;
    }
  }

  void Remember(bool is_delivery) {
    deliveries_.push_back(is_delivery);
    if (deliveries_.size() > 20) deliveries_.pop_front();
  }

  void Send() {
    const GateSnapshot before = gate_.Snapshot();
    if (!gate_.TryAdmit(now_, static_cast<std::uint32_t>(out_.size()))) return;
    REQUIRE(before.state != GateState::kPaused);
    if (before.state == GateState::kThrottled) REQUIRE(now_ >= *before.reopen_at);
    REQUIRE(now_ >= not_before_);
    const bool is_probe = gate_.Snapshot().state == GateState::kProbing;
    if (is_probe) REQUIRE(CountProbes() == 0);
    if (!is_probe) REQUIRE(out_.size() < gate_.Limit());
    gate_.OnSent(now_);
    out_.push_back({now_, is_probe});
  }

  void Finish() {
    if (out_.empty()) return;
    const std::size_t index = random_() % out_.size();
    const Attempt attempt = out_[index];
    out_.erase(out_.begin() + static_cast<std::ptrdiff_t>(index));
    const GateState before = gate_.Snapshot().state;
    switch (random_() % (is_calm_ ? 8 : 4)) {
      case 0:
        Trouble(attempt, before);
        break;
      case 1:
        gate_.OnNeutral(attempt.sent, now_);
        REQUIRE(gate_.Snapshot().state == before);
        break;
      default:
        Answer(attempt, before);
        break;
    }
  }

  void Answer(const Attempt& attempt, GateState before) {
    const bool is_delivery = random_() % 2 == 0;
    if (is_delivery) {
      gate_.OnSuccess(attempt.sent, now_);
    } else {
      gate_.OnRefusal(attempt.sent, now_);
    }
    if (before == GateState::kProbing && attempt.is_probe) {
      REQUIRE(gate_.Snapshot().state == GateState::kOpen);
      ForgetAttempts();
      Remember(is_delivery);
    } else {
      REQUIRE(gate_.Snapshot().state == before);
      if (before == GateState::kOpen && !attempt.is_stale) Remember(is_delivery);
    }
  }

  void Trouble(const Attempt& attempt, GateState before) {
    std::optional<Milliseconds> retry_after;
    if (random_() % (is_calm_ ? 64 : 4) == 0) retry_after = Milliseconds(1 + random_() % 20'000);
    const Blame blame = random_() % (is_calm_ ? 64 : 4) == 0 ? Blame::kConnection : Blame::kPerhapsTheJob;
    const std::optional<Timestamp> reopen_before = gate_.ReopenAt();
    gate_.OnTrouble(attempt.sent, now_, retry_after, "trouble",
                    std::uniform_real_distribution<double>(0, 1)(random_), blame);
    const GateState after = gate_.Snapshot().state;
    if (before == GateState::kPaused) REQUIRE(after == before);
    if (before == GateState::kThrottled) {
      REQUIRE(after == before);
      REQUIRE(*gate_.ReopenAt() >= *reopen_before);
    }
    if (attempt.is_probe && before == GateState::kProbing) REQUIRE(after == GateState::kThrottled);
    if (before == GateState::kOpen && !attempt.is_stale) {
      Remember(false);
      const bool is_connections = retry_after || blame == Blame::kConnection;
      const bool stays_open =
          !is_connections && std::count(deliveries_.begin(), deliveries_.end(), true) >= 10;
      REQUIRE((after == GateState::kOpen) == stays_open);
    }
    if (after == GateState::kThrottled) ForgetAttempts();
    if (!retry_after) return;
    not_before_ = std::max(not_before_, now_ + *retry_after);
    REQUIRE(*gate_.Snapshot().reopen_at >= now_ + *retry_after);
  }

  std::size_t CountProbes() const {
    return static_cast<std::size_t>(
        std::count_if(out_.begin(), out_.end(), [](const Attempt& attempt) { return attempt.is_probe; }));
  }

  void CheckInvariants() {
    gate_.CheckInvariants();
    const GateSnapshot& snapshot = gate_.Snapshot();
    REQUIRE(gate_.Limit() >= 1);
    REQUIRE(gate_.Limit() <= max_);
    if (snapshot.state != GateState::kPaused)
      REQUIRE(snapshot.reopen_at.has_value() == (snapshot.state == GateState::kThrottled));
    REQUIRE((snapshot.pause != PauseReason::kNone) == (snapshot.state == GateState::kPaused));
    REQUIRE(CountProbes() <= 1);
    const bool has_changed = snapshot.state != since_state_;
    if (gate_.TakeChanged()) {
      since_state_ = snapshot.state;
    } else {
      REQUIRE_FALSE(has_changed);
    }
  }

  std::mt19937 random_;
  bool is_calm_;  // so that the gate stays open for long
  Timestamp now_ = kStart;
  Timestamp not_before_{};
  std::uint32_t max_;
  Gate gate_;
  std::vector<Attempt> out_;
  std::deque<bool> deliveries_;  // the last twenty answers that counted
  GateState since_state_;
};

TEST_CASE(
    "gate: on any walk one probe at a time, nothing while closed, limits kept, no Retry-After cut short") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  for (unsigned walk = 0; walk < 300; ++walk) {
    CAPTURE(walk);
    const test::SeedOnAbort named("gate: seed", seed + walk);
    Walk steps(seed + walk);
    for (int i = 0; i < 1000; ++i) steps.Step();
  }
}

}  // namespace
}  // namespace outboxd
