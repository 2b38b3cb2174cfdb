#include "daemon/intake/track_listeners.h"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "config/config.h"
#include "config/log_level.h"
#include "config/loopback_certificate.h"
#include "config/named_files.h"
#include "config/tls_identity.h"
#include "core/limits.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/base/deferred_http_server.h"
#include "daemon/base/http_message.h"
#include "daemon/base/log.h"
#include "daemon/base/tcp_socket.h"
#include "daemon/base/unix_socket.h"
#include "daemon/intake/track_answers.h"
#include "daemon/intake/track_endpoint.h"

namespace outboxd {
namespace {

constexpr std::size_t kHeadBytes = 16UL * 1024;

TrackDoor DoorOf(const TrackListenerConfig& config) {
  using enum TrackDoor::Kind;
  return {config.tcp ? (config.tls ? kHttps : kHttp) : kUnix, config.allowed_hosts, config.open_paths};
}

}  // namespace

TrackListeners::TrackListeners(const LimitsConfig& limits, std::filesystem::path tls_directory,
                               TrackEndpoint& endpoint)
    : limits_(limits), tls_directory_(std::move(tls_directory)), endpoint_(&endpoint) {}

Result<TrackListeners> TrackListeners::Open(const std::vector<TrackListenerConfig>& configs,
                                            const LimitsConfig& limits,
                                            const std::filesystem::path& tls_directory,
                                            TrackEndpoint& endpoint, Timestamp now) {
  TrackListeners all(limits, tls_directory, endpoint);
  for (const TrackListenerConfig& config : configs) {
    ASSIGN_OR_RETURN(Socket socket, OpenSocket(config));
    all.listeners_.push_back({config, std::move(socket), {}, {}, {}, {}});
  }
  // A failure is told by the first refresh, or by the files that are missing.
  static_cast<void>(all.Renew(now));
  for (Listener& listener : all.listeners_) {
    ASSIGN_OR_RETURN(std::optional<TlsIdentity> identity, ReadIdentity(listener.config, tls_directory));
    RETURN_IF_ERROR(all.Serve(listener, std::move(identity)));
  }
  return all;
}

Result<TrackListeners::Socket> TrackListeners::OpenSocket(const TrackListenerConfig& config) {
  if (config.tcp) {
    ASSIGN_OR_RETURN(TcpListener tcp, TcpListener::Open(*config.tcp));
    return tcp;
  }
  ASSIGN_OR_RETURN(UnixListener socket, UnixListener::Open(config.socket));
  return socket;
}

Result<void> TrackListeners::Serve(Listener& listener, std::optional<TlsIdentity> identity) const {
  DeferredHttpServerOptions options;
  options.thread_name = "outboxd-track";
  options.head_bytes_max = kHeadBytes;
  options.body_bytes_max = limits_.line_bytes;
  options.bodies_bytes_max = std::max<std::size_t>(limits::kTrackBodiesBytes, limits_.line_bytes);
  options.connections_max = limits_.clients;
  options.connections_per_user = limits_.per_uid.connections;
  options.too_large = track_answers::TooLarge();
  options.overloaded = track_answers::Overloaded();
  options.forbidden = track_answers::Forbidden();
  options.tls = identity;
  const auto door = std::make_shared<const TrackDoor>(DoorOf(listener.config));
  options.check_head = [endpoint = endpoint_, door](const HttpRequestView& request) {
    return endpoint->CheckHead(request, *door);
  };
  if (const auto* socket = std::get_if<UnixListener>(&listener.socket)) options.users = socket->users();
  const int descriptor =
      dup(std::visit([](const auto& socket) { return socket.descriptor(); }, listener.socket));
  auto handle = [endpoint = endpoint_, door](const HttpRequestView& request, HttpExchange& exchange) {
    return endpoint->Handle(request, exchange, *door);
  };
  ASSIGN_OR_RETURN(auto server, DeferredHttpServer::Start(descriptor, std::move(options), handle));
  if (listener.server) listener.server->Retire();
  listener.retired = std::exchange(listener.server, std::move(server));
  listener.identity = std::move(identity);
  listener.limits = limits_;
  return {};
}

Result<bool> TrackListeners::Renew(Timestamp now) const {
  const bool uses_made = std::any_of(listeners_.begin(), listeners_.end(), [](const Listener& listener) {
    return listener.config.tls && listener.config.certificate.empty();
  });
  if (!uses_made) return false;
  Result<bool> renewed = RenewLoopbackCertificate(tls_directory_, now);
  if (renewed && *renewed)
    Log(LogLevel::kInfo, "loopback certificate renewed", {{"directory", tls_directory_.string()}});
  return renewed;
}

Result<void> TrackListeners::ServeAnew(Listener& listener) const {
  listener.retired.reset();
  ASSIGN_OR_RETURN(std::optional<TlsIdentity> identity, ReadIdentity(listener.config, tls_directory_));
  const bool is_served = identity == listener.identity && limits_.line_bytes == listener.limits.line_bytes &&
                         limits_.clients == listener.limits.clients &&
                         limits_.per_uid.connections == listener.limits.per_uid.connections;
  return is_served ? Result<void>() : Serve(listener, std::move(identity));
}

Result<void> TrackListeners::ServeAllAnew() {
  Result<void> outcome;
  for (Listener& listener : listeners_) {
    if (Result<void> served = ServeAnew(listener); !served) outcome = served;
  }
  return outcome;
}

void TrackListeners::CloseOverdue() {
  for (Listener& listener : listeners_) {
    if (listener.server) listener.server->CloseOverdue();
  }
}

Result<void> TrackListeners::Refresh(Timestamp now) {
  for (Listener& listener : listeners_) listener.retired.reset();
  ASSIGN_OR_RETURN(const bool renewed, Renew(now));
  return renewed ? ServeAllAnew() : Result<void>();
}

Result<void> TrackListeners::Reload(const LimitsConfig& limits, Timestamp now) {
  limits_ = limits;
  const Result<bool> renewed = Renew(now);
  Result<void> served = ServeAllAnew();
  return renewed ? served : Failure(renewed.error());
}

}  // namespace outboxd
