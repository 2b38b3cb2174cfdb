// daemon/service.h — the daemon as a whole: builds the object graph, reloads, and stops in order.
//
// Start: outbox → workers → clerk → dispatcher → listeners: whoever is fed is there before its feeder.
// Stop:  listeners (what was read is answered) → what is in flight (until drain_timeout) → workers →
// dispatcher → clerk: nothing that
//        was accepted or answered is left unwritten.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "daemon/admin/api.h"
#include "daemon/admin/operations.h"
#include "daemon/admin/probe_waiters.h"
#include "daemon/base/current_config.h"
#include "daemon/base/http_server.h"
#include "daemon/base/metrics.h"
#include "daemon/base/unix_socket.h"
#include "daemon/clerk/clerk_thread.h"
#include "daemon/delivery/dispatcher_thread.h"
#include "daemon/delivery/worker_pool.h"
#include "daemon/intake/producer_listener.h"
#include "daemon/intake/track_endpoint.h"
#include "daemon/intake/track_listeners.h"

namespace outboxd {

class Service {
 public:
  // Ready to serve when it returns. Signals the service reacts to must be blocked in every thread before (see
  // main.cc).
  static Result<std::unique_ptr<Service>> Start(Config config);
  ~Service();

  // About once a second, from the main thread.
  void Tick(Timestamp now);
  // One line for the service manager: "accepting jobs; 12 wait, 3 dead letters". Any thread.
  std::string Summary() const;
  // Why the daemon has to end by itself; empty: it has not.
  std::string FatalReason() const;
  void Stop();

  // Any thread.
  Result<void> Reload();

 private:
  explicit Service(Config config);
  Result<void> OpenOutbox();
  Result<void> OpenListeners();
  Result<void> OpenTrackListeners();
  void RefreshListeners(Timestamp now);
  void OnStored(double seconds, const std::vector<std::unique_ptr<QueuedJob>>& jobs);
  void OnFatal(const Error& error);

  void AwaitInFlight(Milliseconds patience);

  CurrentConfig config_;
  Mutex reload_mutex_;  // one reload at a time
  const std::filesystem::path outbox_path_;
  const Timestamp started_;
  Timestamp certificates_checked_;  // the main thread's, as the listeners are
  std::atomic<bool> listeners_to_reload_{false};
  Metrics metrics_;

  std::optional<WorkerPool> workers_;
  std::unique_ptr<ClerkThread> clerk_;
  std::unique_ptr<DispatcherThread> dispatcher_;
  std::unique_ptr<ProducerListener> producers_;
  std::unique_ptr<TrackEndpoint> track_endpoint_;
  std::optional<TrackListeners> track_listeners_;
  std::optional<UnixListener> admin_socket_;
  std::optional<Operations> operations_;
  std::unique_ptr<AdminApi> admin_api_;
  std::unique_ptr<HttpServer> admin_server_;
  std::unique_ptr<HttpServer> metrics_server_;

  ProbeWaiters probe_waiters_;
  mutable Mutex fatal_mutex_;
  std::string fatal_ GUARDED_BY(fatal_mutex_);
  bool stopped_ = false;
};

}  // namespace outboxd
