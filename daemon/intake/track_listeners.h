// daemon/intake/track_listeners.h — the sockets of the Track-compatible endpoint and the HTTP servers on
// them.
#pragma once

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
#include "daemon/base/tcp_socket.h"
#include "daemon/base/unix_socket.h"
#include "daemon/intake/track_endpoint.h"

namespace outboxd {

// Used by one thread at a time.
class TrackListeners {
 public:
  // `tls_directory`: of the certificate that outboxctl tls-init made, which is made anew first if it has to
  // be. The endpoint outlives the listeners.
  static Result<TrackListeners> Open(const std::vector<TrackListenerConfig>& configs,
                                     const LimitsConfig& limits, const std::filesystem::path& tls_directory,
                                     TrackEndpoint& endpoint, Timestamp now);

  // Closes connections that took too long. To be called about once a second.
  void CloseOverdue();
  // Makes the loopback certificate anew before it ends. To be called every hour or so.
  Result<void> Refresh(Timestamp now);
  // Takes these limits and the certificates as they are in their files. An error leaves a listener as it was.
  Result<void> Reload(const LimitsConfig& limits, Timestamp now);
  bool empty() const { return listeners_.empty(); }

 private:
  using Socket = std::variant<UnixListener, TcpListener>;
  struct Listener {
    TrackListenerConfig config;
    Socket socket;
    std::optional<TlsIdentity> identity;  // what the server serves with
    LimitsConfig limits;
    std::unique_ptr<DeferredHttpServer> server;
    std::unique_ptr<DeferredHttpServer> retired;  // the one before, for its connections; until the next time
  };

  TrackListeners(const LimitsConfig& limits, std::filesystem::path tls_directory, TrackEndpoint& endpoint);
  static Result<Socket> OpenSocket(const TrackListenerConfig& config);
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
