#include "daemon/admin/admin_servers.h"

#include <unistd.h>

#include <memory>
#include <utility>

#include "config/config.h"
#include "core/result.h"
#include "daemon/admin/api.h"
#include "daemon/admin/render.h"
#include "daemon/base/http_message.h"
#include "daemon/base/http_server.h"
#include "daemon/base/tcp_socket.h"
#include "daemon/base/unix_socket.h"
#include "daemon/base/web_guard.h"

namespace outboxd {
namespace {

Result<std::unique_ptr<HttpServer>> ServeAdmin(const UnixListener& socket, AdminApi& api) {
  HttpServerOptions options;
  options.thread_name = "outboxd-admin";
  options.users = socket.users();
  if (!options.users.empty())
    options.users.push_back(geteuid());  // systemd runs outboxctl reload as the daemon's own user
  options.forbidden = ForbiddenAnswer();
  return HttpServer::Start(dup(socket.descriptor()), options,
                           [&api](const HttpRequestView& request) { return api.Handle(request); });
}

// Null when it is not configured.
Result<std::unique_ptr<HttpServer>> ServeMetrics(const MetricsConfig& config, AdminApi& api) {
  if (!config.tcp) return nullptr;
  ASSIGN_OR_RETURN(const int listening, ListenOnLoopback(*config.tcp));
  HttpServerOptions options;
  options.thread_name = "outboxd-metrics";
  return HttpServer::Start(
      listening, options, [&api, allowed = config.allowed_hosts](const HttpRequestView& request) {
        if (IsFromForeignPage(request, "http"))
          return HttpResponse{403, kTextType, "Web pages may not ask here.\n", {}};
        if (!IsForThisHost(request, allowed))
          return HttpResponse{421, kTextType, "This host has no such name (metrics.allowed_hosts).\n", {}};
        return api.HandleMetrics(request);
      });
}

}  // namespace

Result<std::unique_ptr<AdminServers>> AdminServers::Open(const Config& config, AdminApi& api) {
  ASSIGN_OR_RETURN(UnixListener socket, UnixListener::Open(config.admin));
  ASSIGN_OR_RETURN(std::unique_ptr<HttpServer> admin, ServeAdmin(socket, api));
  ASSIGN_OR_RETURN(std::unique_ptr<HttpServer> metrics, ServeMetrics(config.metrics, api));
  return std::unique_ptr<AdminServers>(
      new AdminServers(std::move(socket), std::move(admin), std::move(metrics)));
}

void AdminServers::CloseOverdue() {
  admin_->CloseOverdue();
  if (metrics_) metrics_->CloseOverdue();
}

}  // namespace outboxd
