#include "daemon/intake/track_listeners.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
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
#include "config/owned_fd.h"
#include "config/tls_identity.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/base/deferred_http_server.h"
#include "daemon/base/http_message.h"
#include "daemon/base/late_listener.h"
#include "daemon/base/log.h"
#include "daemon/base/passed_sockets.h"
#include "daemon/base/tcp_socket.h"
#include "daemon/base/unix_socket.h"
#include "daemon/intake/track_answers.h"
#include "daemon/intake/track_endpoint.h"

namespace outboxd {
namespace {

constexpr std::size_t kHeadBytes = 16UL * 1024;
// A library with a pool of connections gets an error where one is closed as its next request leaves. Most
// give a connection up after a minute or two by themselves.
constexpr std::chrono::minutes kIdle{5};

TrackDoor DoorOf(const TrackListenerConfig& config) {
  using enum TrackDoor::Kind;
  return {config.tcp ? (config.tls ? kHttps : kHttp) : kUnix, config.allowed_hosts, config.open_paths};
}

}  // namespace

TrackListeners::TrackListeners(const LimitsConfig& limits, std::filesystem::path tls_directory,
                               TrackEndpoint& endpoint)
    : limits_(limits), tls_directory_(std::move(tls_directory)), endpoint_(&endpoint) {}

Result<TrackListeners> TrackListeners::Open(const std::vector<TrackListenerConfig>& configs,
                                            PassedSockets& passed, const LimitsConfig& limits,
                                            const std::filesystem::path& tls_directory,
                                            TrackEndpoint& endpoint, ListenerStates& states, Timestamp now) {
  TrackListeners all(limits, tls_directory, endpoint);
  for (const TrackListenerConfig& config : configs) {
    Listener& listener = all.listeners_.emplace_back();
    listener.config = config;
    if (config.tcp) listener.late.emplace("listen.track", *config.tcp, states);
    RETURN_IF_ERROR(OpenSocket(listener, passed, std::chrono::steady_clock::now()));
  }
  // A failure is told by the first refresh, or by the files that are missing.
  static_cast<void>(all.Renew(now));
  for (Listener& listener : all.listeners_) RETURN_IF_ERROR(all.ServeFirst(listener));
  return all;
}

Result<void> TrackListeners::ServeFirst(Listener& listener) const {
  if (!listener.socket) return {};
  ASSIGN_OR_RETURN(std::optional<TlsIdentity> identity, ReadIdentity(listener.config, tls_directory_));
  return Serve(listener, std::move(identity));
}

Result<void> TrackListeners::OpenSocket(Listener& listener, PassedSockets& passed, LateListener::Time now) {
  if (listener.late) {
    if (std::optional<OwnedFd> given = passed.Take("track", *listener.config.tcp)) {
      listener.socket = TcpListener(*std::move(given));
      listener.late->Given();
      return {};
    }
    ASSIGN_OR_RETURN(std::optional<TcpListener> tcp, listener.late->Try(now));
    if (tcp) listener.socket = *std::move(tcp);
    return {};
  }
  ASSIGN_OR_RETURN(listener.socket, ListenAt(listener.config.socket, "track", passed));
  return {};
}

Result<void> TrackListeners::Serve(Listener& listener, std::optional<TlsIdentity> identity) const {
  DeferredHttpServerOptions options;
  options.thread_name = "outboxd-track";
  options.head_bytes_max = kHeadBytes;
  options.idle_timeout = kIdle;

  options.body_bytes_max = limits_.line_bytes;
  options.bodies_bytes_max = limits_.endpoint_bytes;
  options.connections_max = limits_.clients;
  options.connections_per_user = limits_.per_uid.connections;
  options.refuse_too_large = [endpoint = endpoint_](const HttpRequestView& request) {
    return endpoint->TooLarge(request);
  };
  options.malformed = track_answers::Malformed();
  options.overloaded = track_answers::Overloaded();
  options.forbidden = track_answers::Forbidden();
  options.tls = identity;
  const auto door = std::make_shared<const TrackDoor>(DoorOf(listener.config));
  options.on_lost = [endpoint = endpoint_](const HttpRequestView& request, HttpResponse answer) {
    endpoint->Lost(request, std::move(answer));
  };
  options.check_head = [endpoint = endpoint_, door](const HttpRequestView& request) {
    return endpoint->CheckHead(request, *door);
  };
  if (const auto* socket = std::get_if<UnixListener>(&*listener.socket)) options.users = socket->users();
  const int descriptor =
      dup(std::visit([](const auto& socket) { return socket.descriptor(); }, *listener.socket));
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
  if (!listener.socket) return {};
  ASSIGN_OR_RETURN(std::optional<TlsIdentity> identity, ReadIdentity(listener.config, tls_directory_));
  const bool is_served = identity == listener.identity && limits_.line_bytes == listener.limits.line_bytes &&
                         limits_.endpoint_bytes == listener.limits.endpoint_bytes &&
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

void TrackListeners::Tick(LateListener::Time now) {
  for (Listener& listener : listeners_) {
    if (listener.retired) listener.retired->CloseOverdue();
    if (listener.server) {
      listener.server->CloseOverdue();
      continue;
    }
    PassedSockets none;
    static_cast<void>(OpenSocket(listener, none, now));
    if (const Result<void> served = ServeFirst(listener); !served) {
      listener.socket.reset();
      listener.late->Failed(now, served.error().message);
    }
  }
}

void TrackListeners::EndWithAnswers() {
  for (const Listener& listener : listeners_) {
    if (listener.server) listener.server->EndWithAnswers();
  }
}

std::size_t TrackListeners::ConnectionCount() const {
  std::size_t count = 0;
  for (const Listener& listener : listeners_)
    count += listener.server ? listener.server->ConnectionCount() : 0;
  return count;
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
