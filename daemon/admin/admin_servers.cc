#include "daemon/admin/admin_servers.h"

#include <unistd.h>

#include <chrono>
#include <memory>
#include <utility>

#include "config/config.h"
#include "core/result.h"
#include "daemon/admin/api.h"
#include "daemon/admin/render.h"
#include "daemon/base/http_message.h"
#include "daemon/base/http_server.h"
#include "daemon/base/late_listener.h"
#include "daemon/base/passed_sockets.h"
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

Result<std::unique_ptr<HttpServer>> ServeMetrics(const TcpListener& socket, const MetricsConfig& config,
                                                 AdminApi& api) {
  HttpServerOptions options;
  options.thread_name = "outboxd-metrics";
  return HttpServer::Start(
      dup(socket.descriptor()), options,
      [&api, allowed = config.allowed_hosts](const HttpRequestView& request) {
        if (IsFromForeignPage(request, "http"))
          return HttpResponse{403, kTextType, "Web pages may not ask here.\n", {}};
        if (!IsForThisHost(request, allowed))
          return HttpResponse{421, kTextType, "This host has no such name (metrics.allowed_hosts).\n", {}};
        return api.HandleMetrics(request);
      });
}

}  // namespace

AdminServers::AdminServers(UnixListener socket, std::unique_ptr<HttpServer> admin, AdminApi& api)
    : api_(api), socket_(std::move(socket)), admin_(std::move(admin)) {}

Result<std::unique_ptr<AdminServers>> AdminServers::Open(const Config& config, PassedSockets& passed,
                                                         AdminApi& api, ListenerStates& states) {
  ASSIGN_OR_RETURN(UnixListener socket, ListenAt(config.admin, "admin", passed));
  ASSIGN_OR_RETURN(std::unique_ptr<HttpServer> admin, ServeAdmin(socket, api));
  std::unique_ptr<AdminServers> servers(new AdminServers(std::move(socket), std::move(admin), api));
  if (config.metrics.tcp) {
    servers->metrics_config_ = config.metrics;
    servers->late_metrics_.emplace("metrics.tcp", *config.metrics.tcp, states,
                                   config.metrics.allow_remote ? Reach::kAnybody : Reach::kThisMachine);
    RETURN_IF_ERROR(servers->OpenMetrics(std::chrono::steady_clock::now()));
  }
  return servers;
}

Result<void> AdminServers::OpenMetrics(LateListener::Time now) {
  ASSIGN_OR_RETURN(metrics_socket_, late_metrics_->Try(now));
  if (!metrics_socket_) return {};
  ASSIGN_OR_RETURN(metrics_, ServeMetrics(*metrics_socket_, metrics_config_, api_));
  return {};
}

void AdminServers::Tick(LateListener::Time now) {
  admin_->CloseOverdue();
  if (metrics_) {
    metrics_->CloseOverdue();
  } else if (late_metrics_) {
    if (const Result<void> opened = OpenMetrics(now); !opened) {
      metrics_socket_.reset();
      late_metrics_->Failed(now, opened.error().message);
    }
  }
}

}  // namespace outboxd
