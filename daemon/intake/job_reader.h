// daemon/intake/job_reader.h — a producer's line → a job of its submission, or the reason it is refused.
// Belongs to the listener's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "core/job_line.h"
#include "daemon/intake/producer_submission.h"

namespace outboxd {

class JobReader {
 public:
  // The connections of the config by name, each with the longest max_age that a line may ask for.
  using LongestAges = std::map<std::string, std::chrono::seconds, std::less<>>;

  explicit JobReader(LongestAges ages) : ages_(std::move(ages)) {}

  void Configure(LongestAges ages) { ages_ = std::move(ages); }
  // Good lines are refused from now on: busy.
  void StopAccepting() { is_stopping_ = true; }

  // Adds the line's job, if it is one, and the reply it is owed. `uid` is the producer's user.
  void Read(std::string line, std::optional<std::uint32_t> uid, ProducerSubmission& submission) const;
  static void Refuse(LineError error, ProducerSubmission& submission);

 private:
  LongestAges ages_;
  bool is_stopping_ = false;
};

}  // namespace outboxd
