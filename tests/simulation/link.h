// tests/simulation/link.h — a connection as it is known from outside: what may leave on it now. A broken rule
// is a Violation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "config/config.h"
#include "core/gate.h"
#include "core/time.h"
#include "tests/simulation/meaning.h"

namespace outboxd::simulation {

class Link {
 public:
  explicit Link(const ConnectionConfig& config) : config_(config) {}

  // A request with so many jobs leaves. `gate`: as it was before. True when it is the one that probes.
  bool OnSent(const GateSnapshot& gate, std::size_t jobs, Timestamp now);
  // Closures so far, of which a request left since.
  std::uint32_t Era() const { return era_; }
  // Its answer is there; `was_probe` as OnSent() said.
  void OnAnswered(bool was_probe);
  // The dispatcher has taken it in: of a request with so many jobs, which left in that era.
  void OnHeard(Meaning meaning, int status, std::size_t jobs, std::uint32_t era, Timestamp now);
  // Nothing may leave until then.
  void OnRetryAfter(Timestamp until);
  // The region probe's answer was taken in: its word counts for a while.
  void OnProbeHeard(bool is_good, Timestamp now);
  // The config was read again.
  void OnReload() { has_no_batches_ = false; }
  // The gate may probe anew, beside what is still out.
  void OnResumed() { gate_probe_out_ = false; }
  void OnClockJumped();
  // What is known of it after a restart.
  Link AfterRestart() const;

 private:
  void CheckRate(Timestamp now);
  void CheckBatch(std::size_t jobs) const;

  ConnectionConfig config_;
  std::optional<Timestamp> closed_until_;
  std::deque<Timestamp> sent_;
  std::uint32_t out_ = 0;
  bool gate_probe_out_ = false;         // the one request that may leave through a closed gate
  std::optional<Timestamp> probed_at_;  // when the region probe spoke
  bool asks_ = false;                   // an answer waits for the region probe's word
  bool word_is_good_ = false;           // of the region probe
  bool is_batch_in_doubt_ = false;      // a 404 or 405 to one waits for that word
  bool has_no_batches_ = false;
  std::uint32_t era_ = 0;
  std::optional<std::size_t> largest_taken_;  // jobs in a request of this era; nullopt: there was no closure
};

}  // namespace outboxd::simulation
