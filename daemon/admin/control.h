// daemon/admin/control.h — what the admin API may ask of the running daemon. Implemented by Operations; a
// fake serves the API's tests.
//
// Threads: every method may be called on any thread, and all but CheckHealth() may wait for the clerk or the
// dispatcher, a few milliseconds as a rule; Backup, Forget, Redrive and Drop take as long as their work.
// Errors carry the kind that the API's status comes from. kBusy: the daemon stops or has too much to do, and
// what was asked will not take effect later.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/ulid.h"
#include "daemon/base/status.h"
#include "storage/filter.h"
#include "storage/operator_work.h"

namespace outboxd {

class Control {
 public:
  virtual ~Control() = default;

  // What is known already: waits for nobody and reads no disk.
  virtual Health CheckHealth() = 0;
  virtual Result<DaemonStatus> Status() = 0;
  // One entry per sequence; nullopt: not in memory (then the row's own columns tell: due_ms → deferred,
  // parked → blocked, else ready).
  virtual Result<std::vector<std::optional<JobPlace>>> Places(std::span<const Sequence> sequences) = 0;
  virtual Result<std::vector<Sequence>> InFlight() = 0;

  virtual Result<ConnectionStatus> Pause(const std::string& connection) = 0;
  virtual Result<ConnectionStatus> Resume(const std::string& connection) = 0;
  virtual Result<ProbeReport> Probe(const std::string& connection) = 0;
  virtual std::vector<std::string> WarningsOf(const std::string& connection) = 0;  // of its credentials

  virtual Result<std::uint64_t> CountDead(const DeadFilter& filter) = 0;
  // How many dead letters were put back, or are gone.
  virtual Result<std::uint64_t> Redrive(const DeadFilter& filter) = 0;
  // One dead letter is put back with a corrected line. kInvalid: the line asks for too long an age.
  virtual Result<void> Amend(const OperatorWork::Amendment& amendment, std::chrono::seconds max_age) = 0;
  virtual Result<std::uint64_t> Drop(const DeadFilter& filter) = 0;
  virtual Result<void> Cancel(Sequence sequence) = 0;
  virtual Result<ForgetCount> Forget(const std::string& customer,
                                     const std::optional<std::string>& connection) = 0;
  virtual Result<std::uint64_t> Backup(const std::filesystem::path& file) = 0;  // bytes written
  // The keys that differ and take effect at the next start only, comma-separated.
  virtual Result<std::string> Reload() = 0;
};

}  // namespace outboxd
