// daemon/intake/job_reader.h — a producer's line → a job of its submission, or the reason it is refused.
// Belongs to the listener's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "core/job_line.h"
#include "daemon/intake/producer_submission.h"

namespace outboxd {

class JobReader {
 public:
  using ConnectionNames = std::set<std::string, std::less<>>;

  explicit JobReader(ConnectionNames names) : names_(std::move(names)) {}

  void Configure(ConnectionNames names) { names_ = std::move(names); }
  // Good lines are refused from now on: busy.
  void StopAccepting() { is_stopping_ = true; }

  // Adds the line's job, if it is one, and the reply it is owed. `uid` is the producer's user.
  void Read(std::string line, std::optional<std::uint32_t> uid, ProducerSubmission& submission) const;
  static void Refuse(LineError error, ProducerSubmission& submission);

 private:
  ConnectionNames names_;  // the config's
  bool is_stopping_ = false;
};

}  // namespace outboxd
