// daemon/intake/producer_intake.h — the way from the producers to the clerk and its budget
// (limits.intake_bytes): what is under way, and which connections wait until there is room again. Belongs to
// the listener's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "config/config.h"
#include "daemon/clerk/submission.h"
#include "daemon/intake/producer_submission.h"

namespace outboxd {

class ProducerIntake {
 public:
  // `limits` outlives the intake and may change.
  ProducerIntake(SubmissionOrigin& origin, const LimitsConfig& limits, Submit submit)
      : origin_(origin), limits_(limits), submit_(std::move(submit)) {}

  std::unique_ptr<ProducerSubmission> NewSubmission(std::shared_ptr<ProducerConnection> connection) const {
    auto submission = std::make_unique<ProducerSubmission>(origin_);
    submission->connection = std::move(connection);
    return submission;
  }

  // Counts the submission's bytes until it is answered.
  void Hand(std::unique_ptr<ProducerSubmission> submission) {
    bytes_ += submission->bytes;
    ++unanswered_;
    submit_(std::move(submission));
  }
  void Answered(const ProducerSubmission& submission) {
    bytes_ -= submission.bytes;
    --unanswered_;
  }

  bool IsFull() const { return bytes_ >= limits_.intake_bytes; }
  bool IsEmpty() const { return unanswered_ == 0; }

  void WaitForRoom(std::shared_ptr<ProducerConnection> connection) {
    waiting_.push_back(std::move(connection));
  }
  // All that wait, in the order in which they came.
  std::vector<std::shared_ptr<ProducerConnection>> TakeWaiting() { return std::exchange(waiting_, {}); }

 private:
  SubmissionOrigin& origin_;
  const LimitsConfig& limits_;
  const Submit submit_;
  std::uint64_t bytes_ = 0;
  std::size_t unanswered_ = 0;  // submissions
  std::vector<std::shared_ptr<ProducerConnection>> waiting_;
};

}  // namespace outboxd
