// daemon/base/status.h — what the daemon tells about itself: the states of jobs, connections and the whole,
// as values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/batch_switch.h"
#include "core/gate.h"
#include "core/names.h"
#include "core/time.h"
#include "core/ulid.h"

namespace outboxd {

enum class JobState : std::uint8_t { kReady, kInFlight, kDeferred, kBlocked };
template <>
inline constexpr Names<JobState> kNames<JobState>{{{JobState::kReady, "ready"},
                                                   {JobState::kInFlight, "in_flight"},
                                                   {JobState::kDeferred, "deferred"},
                                                   {JobState::kBlocked, "blocked"}}};
constexpr std::string_view JobStateName(JobState state) {
  return NameOf(state);
}

struct ConnectionStatus {
  std::string name, base_url, region;
  GateSnapshot gate;
  bool awaits_credentials = false;  // nothing is sent before; whatever the gate says
  std::uint32_t limit = 0, max_in_flight = 0;
  double rate_limit = 0;
  BatchMode batch_mode = BatchMode::kAuto;
  BatchUse batch_use = BatchUse::kNotNeeded;
  std::uint32_t batch_items = 1;  // jobs that a request may have now
  std::uint64_t requests = 0;     // in flight: fewer than jobs in flight when they leave in batches
  std::uint64_t jobs = 0, in_flight = 0, deferred = 0, blocked = 0, dead = 0;
  std::uint64_t suspects = 0;            // of the jobs in memory
  std::optional<Sequence> oldest_known;  // of those in memory, which are the oldest but for redriven ones
  std::optional<Timestamp> oldest;
  std::uint64_t Ready() const { return jobs - std::min(jobs, in_flight + deferred + blocked); }
};

struct Totals {
  std::uint64_t accepted = 0, refused = 0, attempts = 0, delivered = 0, dead = 0;
};

struct Rates {
  double accepted = 0, attempts = 0, delivered = 0, dead = 0;  // per second, over the last 10 s
};

// What is wrong with the daemon as a whole; each absent while nothing is.
struct Health {
  std::optional<std::string> not_accepting;   // why jobs are refused
  std::optional<std::string> not_delivering;  // why nothing is sent, on which connections
  std::optional<std::string> not_healthy;     // why the outbox cannot be written
};

// A TCP address of the config.
struct ListenerStatus {
  std::string key;      // "listen.track"
  std::string address;  // "127.0.0.1:8480"
  std::string problem;  // why it is not listened on; empty when it is
};

struct DaemonStatus {
  Timestamp started{}, now{};
  Health health;
  std::filesystem::path outbox_path;
  std::uint64_t max_jobs = 0, bytes = 0, max_bytes = 0, disk_free_bytes = 0, attempts_rows = 0;
  std::uint64_t wal_held_bytes = 0;  // of `bytes`: what a reader keeps from being checkpointed
  std::optional<Timestamp> wal_held_since;
  std::uint64_t log_lines_dropped = 0;  // because stderr did not take them
  Totals totals;
  Rates rates;
  std::vector<ConnectionStatus> connections;
  std::vector<ListenerStatus> listeners;
};

// What the dispatcher knows of one waiting job that the disk does not.
struct JobPlace {
  JobState state = JobState::kReady;
  std::optional<Sequence> blocked_by;
};

struct ProbeReport {
  bool ok = false;
  int status = 0;
  std::string region;
  std::int64_t environment_id = 0;
  Milliseconds duration{0};
  std::string message;  // why not ok
};

struct ForgetCount {
  std::uint64_t jobs = 0, dead = 0, attempts = 0;
};

}  // namespace outboxd
