// daemon/base/passed_sockets.h — listening sockets that the service manager holds and passes to the daemon,
// so that whoever connects while the daemon restarts waits instead of being refused (systemd.socket(5)).
//
// A socket has the name of what is served on it: producer, admin or track. Its mode and group are its unit's.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/owned_fd.h"
#include "core/result.h"
#include "daemon/base/service_manager.h"
#include "daemon/base/unix_socket.h"

namespace outboxd {

class PassedSockets {
 public:
  PassedSockets() = default;  // none: the daemon opens all of its own
  // kInvalid: one of them listens where the config has nothing of its name, or has a name of its own.
  static Result<PassedSockets> Match(std::vector<PassedDescriptor> passed, const Config& config);

  // The socket of that name at that address of the config, a path or ADDRESS:PORT, once; nullopt: it was not
  // passed.
  std::optional<OwnedFd> Take(std::string_view name, std::string_view address);

 private:
  std::vector<PassedDescriptor> sockets_;
};

// The passed socket of that name, or one of our own.
Result<UnixListener> ListenAt(const SocketConfig& config, std::string_view name, PassedSockets& passed);

}  // namespace outboxd
