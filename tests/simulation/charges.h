// tests/simulation/charges.h — how often a job can have been charged for its failures, at most and at least,
// by what was answered to it and to others of its connection.
//
// A failure is charged if the connection delivered another job since this one failed last; at its first,
// since it left. Which of the answers that are not plain failures counted as one is not seen from outside,
// nor when one was decided on that waited for the region probe: so there are two bounds.
#pragma once

#include <cstdint>
#include <optional>

#include "core/time.h"

namespace outboxd::simulation {

class Charges {
 public:
  // Of the connection, as outboxd has heard it.
  struct Standing {
    std::uint64_t deliveries = 0;
    bool probe_was_good = false;
    Timestamp now{};
  };
  struct Failure {
    bool is_alone = false;     // in its request
    bool is_plain = false;     // it defers the job for certain
    bool is_prompt = false;    // decided on as it was heard
    bool is_own = false;       // the API itself answered this job: a head alone is charged for that
    bool by_own_rule = false;  // of a raw job that counts every attempt
  };

  // `alone_every`: a head alone is not charged more often. nullopt: as often as it likes.
  explicit Charges(std::optional<Milliseconds> alone_every = std::nullopt) : alone_every_(alone_every) {}

  void OnSent(const Standing& standing);
  void OnFailed(const Failure& failure, const Standing& standing);
  // What was heard last may not be written.
  void OnCrash();

  std::uint32_t Most(const Standing& standing) const;
  std::uint32_t Least() const { return least_; }

 private:
  struct Pending {
    Failure failure;
    Standing standing;
  };
  void Decide(const Standing& standing);

  std::optional<Milliseconds> alone_every_;
  std::uint32_t most_ = 0, least_ = 0;
  std::optional<std::uint64_t> most_mark_;  // deliveries at the last failure that is counted in most_
  std::uint64_t least_mark_ = 0;            // deliveries at the last failure, or when the job left after it
  bool has_failed_ = false;                 // least_mark_ is that of a failure
  std::optional<Timestamp> alone_at_;
  std::optional<Pending> pending_;  // the last failure, until the job leaves again
  bool is_counted_ = false;         // in least_
};

}  // namespace outboxd::simulation
