// daemon/delivery/sending_budget.h — what the requests under way cost in memory, over all connections
// (SendCost), and whether one more may leave.
//
// Half of the limit is for whoever comes first; of the other half each connection has its own part, which
// nobody takes from it: one connection alone has all. A connection with nothing under way may always send
// one. What leaves is known only once it is taken, so each connection may be beyond by one request.
//
// Heavy jobs (kHeavyCost) are apart: one is under way at a time, and connections that have some take turns.
//
// Pure, a few comparisons; no lock: belongs to the dispatcher. Time is counted in its rounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/limits.h"

namespace outboxd {

class SendingShare;

// Of one dispatcher.
class SendingBudget {
 public:
  explicit SendingBudget(std::size_t limit = limits::kSendingBytes) : limit_(limit) {}
  // All connections are asked once in a round.
  void BeginRound() { ++round_; }
  std::size_t total() const { return total_; }

 private:
  friend class SendingShare;

  const std::size_t limit_;
  std::size_t total_ = 0;
  std::vector<const SendingShare*> shares_;
  bool is_heavy_out_ = false;
  std::uint64_t round_ = 2;
  std::uint64_t heavy_turns_ = 0;
};

// Of one connection.
class SendingShare {
 public:
  explicit SendingShare(std::shared_ptr<SendingBudget> budget) : budget_(std::move(budget)) {
    budget_->shares_.push_back(this);
  }
  ~SendingShare();
  SendingShare(const SendingShare&) = delete;  // the budget knows it
  SendingShare& operator=(const SendingShare&) = delete;

  bool HasRoom() const {
    const std::size_t half = budget_->limit_ / 2;
    const std::size_t part = half / budget_->shares_.size();
    return bytes_ == 0 || bytes_ < part || budget_->total_ < half + part;
  }
  void Take(std::size_t bytes) {
    bytes_ += bytes;
    budget_->total_ += bytes;
  }
  void Give(std::size_t bytes) {
    bytes_ -= bytes;
    budget_->total_ -= bytes;
  }
  std::size_t bytes() const { return bytes_; }

  // It has a heavy job that could leave now: whether it is its turn. Of those who asked in this round or the
  // last the one goes whose turn is longest ago.
  bool AskForHeavy();
  void TakeHeavy();
  void GiveHeavy() { budget_->is_heavy_out_ = false; }

 private:
  const std::shared_ptr<SendingBudget> budget_;
  std::size_t bytes_ = 0;
  std::uint64_t asked_ = 0;       // the round
  std::uint64_t heavy_turn_ = 0;  // its last
};

}  // namespace outboxd
