// daemon/intake/track_listeners.h — the sockets of the Track-compatible endpoint and the HTTP servers on
// them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "config/config.h"
#include "config/tls_identity.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/base/deferred_http_server.h"
#include "daemon/base/late_listener.h"
#include "daemon/base/passed_sockets.h"
#include "daemon/base/tcp_socket.h"
#include "daemon/base/unix_socket.h"
#include "daemon/intake/track_endpoint.h"

namespace outboxd {

// Used by one thread at a time.
class TrackListeners {
 public:
  // `tls_directory`: of the certificate that outboxctl tls-init made, which is made anew first if it has to
  // be. A TCP port that is taken is not an error. The endpoint and `states` outlive the listeners.
  static Result<TrackListeners> Open(const std::vector<TrackListenerConfig>& configs, PassedSockets& passed,
                                     const LimitsConfig& limits, const std::filesystem::path& tls_directory,
                                     TrackEndpoint& endpoint, ListenerStates& states, Timestamp now);

  // To be called about once a second: closes connections that took too long, and tries ports again that were
  // taken.
  void Tick(LateListener::Time now);
  // Makes the loopback certificate anew before it ends. To be called every hour or so.
  Result<void> Refresh(Timestamp now);
  // Takes these limits and the certificates as they are in their files. An error leaves a listener as it was.
  Result<void> Reload(const LimitsConfig& limits, Timestamp now);
  // Each answer ends its connection from now on.
  void EndWithAnswers();
  std::size_t ConnectionCount() const;

 private:
  using Socket = std::variant<UnixListener, TcpListener>;
  struct Listener {
    TrackListenerConfig config;
    std::optional<LateListener> late;     // of TCP
    std::optional<Socket> socket;         // nullopt while its port is taken
    std::optional<TlsIdentity> identity;  // what the server serves with
    LimitsConfig limits;
    std::unique_ptr<DeferredHttpServer> server;
    std::unique_ptr<DeferredHttpServer> retired;  // the one before, for its connections; until the next time
  };

  TrackListeners(const LimitsConfig& limits, std::filesystem::path tls_directory, TrackEndpoint& endpoint);
  // Leaves a TCP socket closed whose port is taken.
  static Result<void> OpenSocket(Listener& listener, PassedSockets& passed, LateListener::Time now);
  Result<void> ServeFirst(Listener& listener) const;
  Result<bool> Renew(Timestamp now) const;
  Result<void> Serve(Listener& listener, std::optional<TlsIdentity> identity) const;
  Result<void> ServeAnew(Listener& listener) const;
  Result<void> ServeAllAnew();

  LimitsConfig limits_;
  std::filesystem::path tls_directory_;
  TrackEndpoint* endpoint_;
  std::vector<Listener> listeners_;
};

}  // namespace outboxd
