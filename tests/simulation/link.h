// tests/simulation/link.h — a connection as it is known from outside: what may leave on it now. A broken rule
// is a Violation.
#pragma once

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

  // A request with jobs leaves. `gate`: as it was before. True when it is the one that probes.
  bool OnSent(const GateSnapshot& gate, Timestamp now);
  // Its answer is there; `was_probe` as OnSent() said.
  void OnAnswered(bool was_probe);
  // The dispatcher has taken it in.
  void OnHeard(Meaning meaning, Timestamp now);
  // Nothing may leave until then.
  void OnRetryAfter(Timestamp until);
  // The region probe's answer was taken in: its word counts for a while.
  void OnProbeHeard(Timestamp now);
  // The gate may probe anew, beside what is still out.
  void OnResumed() { gate_probe_out_ = false; }
  void OnClockJumped();
  // What is known of it after a restart.
  Link AfterRestart() const;

 private:
  void CheckRate(Timestamp now);

  ConnectionConfig config_;
  std::optional<Timestamp> closed_until_;
  std::deque<Timestamp> sent_;
  std::uint32_t out_ = 0;
  bool gate_probe_out_ = false;         // the one request that may leave through a closed gate
  std::optional<Timestamp> probed_at_;  // when the region probe spoke
  bool asks_ = false;                   // an answer waits for the region probe's word
};

}  // namespace outboxd::simulation
