// daemon/admin/admin_servers.h — the sockets of the admin API and the HTTP servers on them: the admin socket
// and, with `metrics.tcp`, /metrics on the loopback.
#pragma once

#include <memory>
#include <optional>

#include "config/config.h"
#include "core/result.h"
#include "daemon/admin/api.h"
#include "daemon/base/http_server.h"
#include "daemon/base/late_listener.h"
#include "daemon/base/passed_sockets.h"
#include "daemon/base/tcp_socket.h"
#include "daemon/base/unix_socket.h"

namespace outboxd {

class AdminServers {
 public:
  // Serves as soon as it is open; the port of `metrics.tcp`, if it is taken, later. `api`, whose requests
  // under way this object's end waits for, and `states` outlive it.
  static Result<std::unique_ptr<AdminServers>> Open(const Config& config, PassedSockets& passed,
                                                    AdminApi& api, ListenerStates& states);

  // One thread, about once a second: closes connections that took too long, and tries the port again.
  void Tick(LateListener::Time now);

 private:
  AdminServers(UnixListener socket, std::unique_ptr<HttpServer> admin, AdminApi& api);
  Result<void> OpenMetrics(LateListener::Time now);

  AdminApi& api_;
  UnixListener socket_;
  std::unique_ptr<HttpServer> admin_;
  // With metrics.tcp.
  MetricsConfig metrics_config_;
  std::optional<LateListener> late_metrics_;
  std::optional<TcpListener> metrics_socket_;
  std::unique_ptr<HttpServer> metrics_;  // null while the port is taken
};

}  // namespace outboxd
