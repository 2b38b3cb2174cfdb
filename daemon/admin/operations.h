// daemon/admin/operations.h — what an operator may ask of the running daemon: the Control behind the admin
// API.
//
// Questions go to the dispatcher's thread, changes of rows to the clerk's, in steps between two commits; what
// the disk alone tells is read by connections of its own. Any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/admin/control.h"
#include "daemon/admin/probe_waiters.h"
#include "daemon/base/current_config.h"
#include "daemon/base/late_listener.h"
#include "daemon/base/metrics.h"
#include "daemon/base/status.h"
#include "daemon/clerk/clerk_thread.h"
#include "daemon/delivery/awaited_credentials.h"
#include "daemon/delivery/connection_queue.h"
#include "daemon/delivery/delivery_hold.h"
#include "daemon/delivery/dispatcher_thread.h"
#include "storage/filter.h"
#include "storage/operator_work.h"

namespace outboxd {

class Operations final : public Control {
 public:
  // All of it outlives this object.
  struct Parts {
    Timestamp started;
    const CurrentConfig& config;
    Metrics& metrics;
    ClerkThread& clerk;
    DispatcherThread& dispatcher;
    ProbeWaiters& probe_waiters;
    DeliveryHold& hold;
    const AwaitedCredentials& awaited;
    const ListenerStates& listeners;
    std::function<Result<std::string>()> reload;
  };
  explicit Operations(Parts parts);

  // From now on nothing new begins; work in steps ends after the step it is at, a backup is given up, and
  // nobody waits for a probe any longer.
  void StopWork();

  Health CheckHealth() override;
  Result<DaemonStatus> Status() override;
  Result<std::vector<std::optional<JobPlace>>> Places(std::span<const Sequence> sequences) override;
  Result<std::vector<Sequence>> InFlight() override;
  Result<ConnectionStatus> Pause(const std::string& connection) override;
  Result<ConnectionStatus> Resume(const std::string& connection) override;
  Result<ProbeReport> Probe(const std::string& connection) override;
  std::vector<std::string> WarningsOf(const std::string& connection) override;
  Result<std::uint64_t> CountDead(const DeadFilter& filter) override;
  Result<std::uint64_t> Redrive(const DeadFilter& filter) override;
  Result<void> Amend(const OperatorWork::Amendment& amendment, std::chrono::seconds max_age) override;
  Result<std::uint64_t> Drop(const DeadFilter& filter) override;
  Result<void> Cancel(Sequence sequence) override;
  Result<ForgetCount> Forget(const std::string& customer,
                             const std::optional<std::string>& connection) override;
  Result<std::uint64_t> Backup(const std::filesystem::path& file) override;
  Result<std::string> Reload() override { return parts_.reload(); }

 private:
  using Step = std::function<Result<OperatorWork::Step>(OperatorWork&, Timestamp now)>;
  using GateChange = std::function<Result<void>(ConnectionQueue&, Timestamp now)>;
  using AfterStep = std::function<void(const OperatorWork::Step&)>;

  Result<std::vector<ConnectionStatus>> AskConnections();
  void ShowWhatHolds(ConnectionStatus& connection) const;
  // On the dispatcher's thread. kConflict when the connection was removed by a reload.
  Result<void> DemandMaySend(const std::string& name, const ConnectionQueue& queue) const;
  Result<ConnectionStatus> ChangeGate(const std::string& connection, const GateChange& change);
  // Runs `step` on the clerk's thread until it has no more to do; the number of rows changed.
  Result<std::uint64_t> RunOnClerk(Step step, AfterStep after);
  // The rows are gone: the dispatcher forgets them too.
  void Remove(const OperatorWork::Step& step);
  void Rewind(const OperatorWork::Step& step);

  const Parts parts_;
  std::atomic<bool> stopping_{false};
};

}  // namespace outboxd
