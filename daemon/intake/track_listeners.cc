#include "daemon/intake/track_listeners.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "config/loopback_certificate.h"
#include "config/named_files.h"
#include "core/limits.h"
#include "daemon/base/log.h"
#include "daemon/base/tcp_socket.h"

namespace outboxd {
namespace {

constexpr std::size_t kHeadBytes = 16UL * 1024;

}  // namespace

TrackListeners::Listener::Listener(Listener&& other) noexcept
    : config(std::move(other.config)),
      socket(std::move(other.socket)),
      tcp(std::exchange(other.tcp, -1)),
      identity(std::move(other.identity)),
      limits(other.limits),
      server(std::move(other.server)),
      retired(std::move(other.retired)) {}

TrackListeners::Listener::~Listener() {
  retired.reset();
  server.reset();
  if (tcp >= 0) close(tcp);
}

TrackListeners::TrackListeners(const LimitsConfig& limits, std::filesystem::path tls_directory,
                               TrackEndpoint& endpoint)
    : limits_(limits), tls_directory_(std::move(tls_directory)), endpoint_(&endpoint) {}

Result<TrackListeners> TrackListeners::Open(const std::vector<TrackListenerConfig>& configs,
                                            const LimitsConfig& limits,
                                            const std::filesystem::path& tls_directory,
                                            TrackEndpoint& endpoint, Timestamp now) {
  TrackListeners all(limits, tls_directory, endpoint);
  for (const TrackListenerConfig& config : configs) all.listeners_.emplace_back().config = config;
  static_cast<void>(
      all.Renew(now));  // a failure is told by the first refresh, or by the files that are missing
  for (Listener& listener : all.listeners_) {
    const TrackListenerConfig& config = listener.config;
    ASSIGN_OR_RETURN(const std::optional<TlsIdentity> identity, ReadIdentity(config, tls_directory));
    if (config.tcp) {
      ASSIGN_OR_RETURN(const int tcp, ListenOnLoopback(*config.tcp));
      listener.tcp = tcp;
    } else {
      ASSIGN_OR_RETURN(UnixListener socket, UnixListener::Open(config.socket));
      listener.socket = std::move(socket);
    }
    RETURN_IF_ERROR(all.Serve(listener, identity));
  }
  return all;
}

Result<void> TrackListeners::Serve(Listener& listener, std::optional<TlsIdentity> identity) const {
  HttpServerOptions options;
  options.thread_name = "outboxd-track";
  options.head_bytes_max = kHeadBytes;
  options.body_bytes_max = limits_.line_bytes;
  options.bodies_bytes_max = std::max<std::size_t>(limits::kTrackBodiesBytes, limits_.line_bytes);
  options.connections_max = limits_.clients;
  options.too_large = TrackEndpoint::TooLarge();
  options.overloaded = TrackEndpoint::Overloaded();
  options.forbidden = TrackEndpoint::Forbidden();
  options.tls = identity;
  options.check_head = [endpoint = endpoint_](const HttpRequestView& request) {
    return endpoint->CheckHead(request);
  };
  if (listener.socket) options.users = listener.socket->users();
  const int descriptor = dup(listener.socket ? listener.socket->descriptor() : listener.tcp);
  auto handle = [endpoint = endpoint_](const HttpRequestView& request, HttpExchange& exchange) {
    return endpoint->Handle(request, exchange);
  };
  ASSIGN_OR_RETURN(auto server, HttpServer::StartDeferred(descriptor, std::move(options), handle));
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
                         limits_.clients == listener.limits.clients;
  return is_served ? Result<void>() : Serve(listener, std::move(identity));
}

Result<void> TrackListeners::ServeAllAnew() {
  Result<void> outcome;
  for (Listener& listener : listeners_) {
    if (Result<void> served = ServeAnew(listener); !served) outcome = served;
  }
  return outcome;
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
