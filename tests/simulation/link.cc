#include "tests/simulation/link.h"

#include <algorithm>
#include <string>

#include "tests/simulation/violation.h"

namespace outboxd::simulation {

bool Link::OnSent(const GateSnapshot& gate, std::size_t jobs, Timestamp now) {
  ++out_;
  Demand(out_ <= config_.max_in_flight, "more requests are out than max_in_flight allows");
  Demand(!closed_until_ || now >= *closed_until_, "a request left before the time that Retry-After gave");
  Demand(gate.state != GateState::kPaused, "a request left while the connection is paused");
  Demand(!asks_, "a request left while the gate waits for the region probe");
  Demand(!gate_probe_out_ || gate.state == GateState::kOpen, "more than one request probes a closed gate");
  gate_probe_out_ = gate.state != GateState::kOpen;
  CheckRate(now);
  if (gate_probe_out_) {
    ++era_;
    largest_taken_ = 0;
  }
  CheckBatch(jobs);
  return gate_probe_out_;
}

void Link::CheckRate(Timestamp now) {
  if (config_.rate_limit <= 0) return;
  sent_.push_back(now);
  while (sent_.front() <= now - std::chrono::seconds(1)) sent_.pop_front();
  const double most = config_.rate_limit + std::max(1.0, config_.rate_limit / 10);
  Demand(static_cast<double>(sent_.size()) <= most + 0.5,
         "more requests left within a second than rate_limit allows");
}

void Link::CheckBatch(std::size_t jobs) const {
  if (jobs == 1) return;
  const BatchMode mode = config_.batch.mode;
  Demand(mode != BatchMode::kOff, "jobs share a request though batches are off");
  Demand(!has_no_batches_, "a batch leaves for a host that has none");
  if (mode != BatchMode::kAuto || !largest_taken_) return;
  Demand(jobs <= 2 * std::max<std::size_t>(*largest_taken_, 1),
         "a batch of " + std::to_string(jobs) + " leaves after a closure, since which the API took " +
             std::to_string(*largest_taken_) + " in a request");
}

void Link::OnAnswered(bool was_probe) {
  --out_;
  if (was_probe) gate_probe_out_ = false;
}

void Link::OnHeard(Meaning meaning, int status, std::size_t jobs, std::uint32_t era, Timestamp now) {
  if (status / 100 == 2 && era == era_ && largest_taken_) largest_taken_ = std::max(*largest_taken_, jobs);
  if (!NeedsProbe(meaning)) return;
  const bool has_word = probed_at_ && now >= *probed_at_ && now < *probed_at_ + config_.probe_interval;
  asks_ = asks_ || !has_word;
  if (jobs == 1 || (status != 404 && status != 405)) return;
  has_no_batches_ = has_no_batches_ || (has_word && word_is_good_);
  is_batch_in_doubt_ = is_batch_in_doubt_ || !has_word;
}

void Link::OnRetryAfter(Timestamp until) {
  closed_until_ = std::max(until, closed_until_.value_or(until));
  gate_probe_out_ = false;
}

void Link::OnProbeHeard(bool is_good, Timestamp now) {
  word_is_good_ = is_good;
  has_no_batches_ = has_no_batches_ || (is_batch_in_doubt_ && is_good);
  is_batch_in_doubt_ = false;
  probed_at_ = now;
  asks_ = false;
  gate_probe_out_ = false;
}

void Link::OnClockJumped() {
  closed_until_.reset();
  sent_.clear();
  largest_taken_.reset();
}

Link Link::AfterRestart() const {
  Link link(config_);
  link.closed_until_ = closed_until_;
  return link;
}

}  // namespace outboxd::simulation
