// daemon/admin/admin_servers.h — the sockets of the admin API and the HTTP servers on them: the admin socket
// and, with `metrics.tcp`, /metrics on the loopback.
#pragma once

#include <memory>
#include <utility>

#include "config/config.h"
#include "core/result.h"
#include "daemon/admin/api.h"
#include "daemon/base/http_server.h"
#include "daemon/base/unix_socket.h"

namespace outboxd {

class AdminServers {
 public:
  // Serves as soon as it is open. `api` outlives this object, whose end waits for the requests under way.
  static Result<std::unique_ptr<AdminServers>> Open(const Config& config, AdminApi& api);

  // Closes connections that took too long. To be called about once a second.
  void CloseOverdue();

 private:
  AdminServers(UnixListener socket, std::unique_ptr<HttpServer> admin, std::unique_ptr<HttpServer> metrics)
      : socket_(std::move(socket)), admin_(std::move(admin)), metrics_(std::move(metrics)) {}

  UnixListener socket_;
  std::unique_ptr<HttpServer> admin_;
  std::unique_ptr<HttpServer> metrics_;  // null without metrics.tcp
};

}  // namespace outboxd
