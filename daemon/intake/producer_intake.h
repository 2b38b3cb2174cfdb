// daemon/intake/producer_intake.h — the way from the producers to the clerk and its budget
// (limits.intake_bytes): what is under way, and which connections wait until there is room again, their users
// in turn. Belongs to the listener's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "config/config.h"
#include "core/user_shares.h"
#include "daemon/clerk/submission.h"
#include "daemon/intake/producer_submission.h"

namespace outboxd {

class ProducerIntake {
 public:
  // `limits` outlives the intake and may change. `later` has SubmitHeld() called once what is at hand was
  // read.
  ProducerIntake(SubmissionOrigin& origin, const LimitsConfig& limits, Submit submit,
                 std::function<void()> later)
      : origin_(origin), limits_(limits), submit_(std::move(submit)), later_(std::move(later)) {}

  std::unique_ptr<ProducerSubmission> NewSubmission(std::shared_ptr<ProducerConnection> connection) const {
    auto submission = std::make_unique<ProducerSubmission>(origin_);
    submission->connection = std::move(connection);
    return submission;
  }

  // Counts the submission's bytes until it is answered. The first one waits until all that is at hand was
  // read: whether it comes alone.
  void Hand(std::unique_ptr<ProducerSubmission> submission) {
    bytes_ += submission->bytes;
    const bool is_first = unanswered_++ == 0;
    if (is_first && submission->jobs.size() == 1) {
      held_ = std::move(submission);
      return later_();
    }
    if (held_) submit_(std::move(held_));
    submit_(std::move(submission));
  }
  void SubmitHeld() {
    if (!held_) return;
    held_->is_alone = true;
    submit_(std::move(held_));
  }
  void Answered(const ProducerSubmission& submission) {
    bytes_ -= submission.bytes;
    --unanswered_;
  }

  bool IsFull() const { return bytes_ >= limits_.intake_bytes; }
  bool IsEmpty() const { return unanswered_ == 0; }

  // For one that has something to be read.
  void WaitForRoom(User user, std::shared_ptr<ProducerConnection> connection) {
    waiting_[user].push_back(std::move(connection));
  }
  // The next to be read, of the user whose turn it is; null: none waits. So a user with one connection is
  // read as often as one with a thousand.
  std::shared_ptr<ProducerConnection> TakeNext() {
    if (waiting_.empty()) return nullptr;
    auto turn = waiting_.upper_bound(last_);
    if (turn == waiting_.end()) turn = waiting_.begin();
    last_ = turn->first;
    std::shared_ptr<ProducerConnection> next = std::move(turn->second.front());
    turn->second.pop_front();
    if (turn->second.empty()) waiting_.erase(turn);
    return next;
  }

 private:
  SubmissionOrigin& origin_;
  const LimitsConfig& limits_;
  const Submit submit_;
  const std::function<void()> later_;
  std::unique_ptr<ProducerSubmission> held_;
  std::uint64_t bytes_ = 0;
  std::size_t unanswered_ = 0;                                               // submissions
  std::map<User, std::deque<std::shared_ptr<ProducerConnection>>> waiting_;  // no user without any
  User last_;                                                                // whose turn was last
};

}  // namespace outboxd
