// daemon/service.h — the daemon as a whole: builds the object graph, answers the admin API's wishes, reloads,
// and stops in order.
//
// Start: outbox → workers → clerk → dispatcher → listeners: whoever is fed is there before its feeder.
// Stop:  listeners (what was read is answered) → what is in flight (until drain_timeout) → workers →
// dispatcher → clerk: nothing that
//        was accepted or answered is left unwritten.
#pragma once

#include <atomic>
#include <condition_variable>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "daemon/admin/api.h"
#include "daemon/admin/control.h"
#include "daemon/admin/probe_waiters.h"
#include "daemon/base/http_server.h"
#include "daemon/base/metrics.h"
#include "daemon/base/unix_socket.h"
#include "daemon/clerk/clerk.h"
#include "daemon/delivery/dispatcher.h"
#include "daemon/delivery/worker.h"
#include "daemon/intake/producer_listener.h"
#include "daemon/intake/track_endpoint.h"
#include "daemon/intake/track_listeners.h"

namespace outboxd {

class Service final : public Control {
 public:
  // Ready to serve when it returns. Signals the service reacts to must be blocked in every thread before (see
  // main.cc).
  static Result<std::unique_ptr<Service>> Start(Config config);
  ~Service() override;

  // About once a second, from the main thread.
  void Tick(Timestamp now);
  // One line for the service manager: "accepting jobs; 12 wait, 3 dead letters". Any thread.
  std::string Summary() const;
  // Why the daemon has to end by itself; empty: it has not.
  std::string FatalReason() const;
  void Stop();

  DaemonStatus Status() override;
  std::vector<std::optional<JobPlace>> Places(std::span<const Sequence> sequences) override;
  std::vector<Sequence> InFlight() override;
  Result<ConnectionStatus> Pause(const std::string& connection) override;
  Result<ConnectionStatus> Resume(const std::string& connection) override;
  Result<ProbeReport> Probe(const std::string& connection) override;
  Result<ChangeCount> Redrive(const DeadFilter& filter, bool dry_run) override;
  Result<ChangeCount> Drop(const DeadFilter& filter, bool dry_run) override;
  Result<void> Cancel(Sequence sequence) override;
  Result<ForgetCount> Forget(const std::string& customer,
                             const std::optional<std::string>& connection) override;
  Result<std::uint64_t> Backup(const std::filesystem::path& file) override;
  Result<void> Reload() override;

 private:
  using Step = std::function<Result<Outbox::Step>(Outbox&, Timestamp now)>;
  using AfterStep = std::function<void(const Outbox::Step&)>;

  explicit Service(Config config);
  Result<void> OpenOutbox();
  Result<void> OpenListeners();
  Result<void> OpenTrackListeners() REQUIRES(config_mutex_);
  void RefreshListeners(Timestamp now);
  void Send(std::vector<Transfer> transfers);
  void OnStored(double seconds, const std::vector<std::unique_ptr<QueuedJob>>& jobs);
  void OnFatal(const Error& error);

  template <typename T>
  std::optional<T> AskDispatcher(std::function<T(Dispatcher&, Timestamp)> question);
  Result<ConnectionStatus> ChangeGate(const std::string& connection,
                                      std::function<void(ConnectionQueue&, Timestamp)> change);
  // Runs `step` on the clerk's thread until it has no more to do; the number of rows changed.
  Result<std::uint64_t> RunOnClerk(Step step, AfterStep after);
  void Remove(const Outbox::Step& step);
  Result<ChangeCount> CountOnly(const DeadFilter& filter);
  void FillCounts(DaemonStatus& status, const OutboxState& outbox);
  void AwaitInFlight(Milliseconds patience);

  Mutex config_mutex_;
  Config config_ GUARDED_BY(config_mutex_);
  const std::filesystem::path outbox_path_;
  const Timestamp started_;
  Timestamp certificates_checked_;  // the main thread's, as the listeners are
  std::atomic<bool> listeners_to_reload_{false};
  Metrics metrics_;

  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<std::atomic<std::size_t>>> worker_loads_;
  std::unique_ptr<ClerkThread> clerk_;
  std::unique_ptr<DispatcherThread> dispatcher_;
  std::unique_ptr<ProducerListener> producers_;
  std::unique_ptr<TrackEndpoint> track_endpoint_;
  std::optional<TrackListeners> track_listeners_;
  std::optional<UnixListener> admin_socket_;
  std::unique_ptr<AdminApi> admin_api_;
  std::unique_ptr<HttpServer> admin_server_;
  std::unique_ptr<HttpServer> metrics_server_;

  ProbeWaiters probe_waiters_;
  mutable Mutex fatal_mutex_;
  std::string fatal_ GUARDED_BY(fatal_mutex_);
  std::atomic<bool> stopping_{false};
  bool stopped_ = false;
};

}  // namespace outboxd
