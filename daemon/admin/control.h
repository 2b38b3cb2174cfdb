// daemon/admin/control.h — what the admin API may ask of the running daemon. Implemented by Service; a fake
// serves the API's tests.
//
// Threads: every method may be called on any thread and may wait for the clerk or the dispatcher, a few
// milliseconds as a rule; Backup, Forget, Redrive and Drop take as long as their work. Errors carry the kind
// that the API's status comes from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/ulid.h"
#include "daemon/base/status.h"
#include "storage/filter.h"

namespace outboxd {

class Control {
 public:
  virtual ~Control() = default;

  virtual DaemonStatus Status() = 0;
  // One entry per sequence; nullopt: not in memory (then the row's own columns tell: due_ms → deferred,
  // parked → blocked, else ready).
  virtual std::vector<std::optional<JobPlace>> Places(std::span<const Sequence> sequences) = 0;
  virtual std::vector<Sequence> InFlight() = 0;

  virtual Result<ConnectionStatus> Pause(const std::string& connection) = 0;
  virtual Result<ConnectionStatus> Resume(const std::string& connection) = 0;
  virtual Result<ProbeReport> Probe(const std::string& connection) = 0;

  virtual Result<ChangeCount> Redrive(const DeadFilter& filter, bool dry_run) = 0;
  virtual Result<ChangeCount> Drop(const DeadFilter& filter, bool dry_run) = 0;
  virtual Result<void> Cancel(Sequence sequence) = 0;
  virtual Result<ForgetCount> Forget(const std::string& customer,
                                     const std::optional<std::string>& connection) = 0;
  virtual Result<std::uint64_t> Backup(const std::filesystem::path& file) = 0;  // bytes written
  virtual Result<void> Reload() = 0;
};

}  // namespace outboxd
