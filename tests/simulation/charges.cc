#include "tests/simulation/charges.h"

#include <utility>

namespace outboxd::simulation {

void Charges::OnSent(const Standing& standing) {
  Decide(standing);
  if (!most_mark_) most_mark_ = standing.deliveries;
  if (!has_failed_) least_mark_ = standing.deliveries;
  is_counted_ = false;
}

void Charges::OnFailed(const Failure& failure, const Standing& standing) {
  if (failure.is_alone) pending_ = Pending{failure, standing};
  const bool is_charged =
      failure.is_plain && failure.is_alone && (failure.by_own_rule || standing.deliveries > least_mark_);
  if (is_charged) ++least_;
  is_counted_ = is_charged;
  // One that was charged needed no probe.
  has_failed_ = failure.is_plain && (failure.is_prompt || is_charged);
  least_mark_ = standing.deliveries;
}

void Charges::OnCrash() {
  if (std::exchange(is_counted_, false)) --least_;
  has_failed_ = false;
}

std::uint32_t Charges::Most(const Standing& standing) const {
  Charges decided = *this;
  decided.Decide(standing);
  return decided.most_;
}

// As many as can be: each of them has a delivery between itself and the one before.
void Charges::Decide(const Standing& standing) {
  if (!pending_) return;
  const Pending last = *std::exchange(pending_, std::nullopt);
  if (last.failure.by_own_rule || standing.deliveries > most_mark_.value_or(0)) {
    ++most_;
    most_mark_ = last.standing.deliveries;
    return;
  }
  const bool is_time = !alone_at_ || !alone_every_ || standing.now >= *alone_at_ + *alone_every_;
  if (!last.failure.is_own || !standing.probe_was_good || !is_time) return;
  ++most_;
  alone_at_ = last.standing.now;
}

}  // namespace outboxd::simulation
