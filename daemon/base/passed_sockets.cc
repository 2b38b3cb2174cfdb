#include "daemon/base/passed_sockets.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.h"
#include "config/owned_fd.h"
#include "core/result.h"
#include "daemon/base/listening_address.h"
#include "daemon/base/service_manager.h"
#include "daemon/base/unix_socket.h"

namespace outboxd {
namespace {

// What a name stands for: its unit, the key of the config, and the addresses that key has.
struct Role {
  std::string unit, key;
  std::vector<std::string> addresses;
};

std::optional<Role> RoleOf(std::string_view name, const Config& config) {
  if (name == "producer") return Role{"outboxd.socket", "listen.producer.path", {config.producer.path}};
  if (name == "admin") return Role{"outboxd-admin.socket", "listen.admin.path", {config.admin.path}};
  if (name != "track") return std::nullopt;
  Role role{"outboxd-track.socket", "listen.track", {}};
  for (const TrackListenerConfig& listener : config.track)
    role.addresses.push_back(listener.tcp ? *listener.tcp : listener.socket.path.string());
  return role;
}

std::string Joined(const std::vector<std::string>& addresses) {
  std::string joined;
  for (const std::string& address : addresses) joined.append(joined.empty() ? "" : ", ").append(address);
  return joined.empty() ? "none" : joined;
}

Result<void> Check(const PassedDescriptor& passed, const Config& config) {
  const std::optional<Role> role = RoleOf(passed.name, config);
  if (!role)
    return Fail(ErrorKind::kInvalid, "the service manager passes a socket named \"" + passed.name +
                                         "\": FileDescriptorName= must be producer, admin or track");
  const std::string address = ListeningAddress(passed.descriptor.get());
  if (address.empty())
    return Fail(ErrorKind::kInvalid, role->unit + " passes what is no listening stream socket");
  const bool is_known = std::any_of(role->addresses.begin(), role->addresses.end(),
                                    [&](const std::string& wanted) { return IsAddress(address, wanted); });
  if (is_known) return {};
  return Fail(ErrorKind::kInvalid,
              role->unit + " listens on " + address + ", but " + role->key + " of the config is " +
                  Joined(role->addresses) + ": make them agree, in the config or by systemctl edit " +
                  role->unit + " ([Socket], an empty ListenStream=, then ListenStream= with the address)",
              role->key);
}

}  // namespace

Result<PassedSockets> PassedSockets::Match(std::vector<PassedDescriptor> passed, const Config& config) {
  PassedSockets matched;
  for (PassedDescriptor& socket : passed) {
    RETURN_IF_ERROR(Check(socket, config));
    matched.sockets_.push_back(std::move(socket));
  }
  return matched;
}

std::optional<OwnedFd> PassedSockets::Take(std::string_view name, std::string_view address) {
  const auto found = std::find_if(sockets_.begin(), sockets_.end(), [&](const PassedDescriptor& socket) {
    return socket.name == name && IsAddress(ListeningAddress(socket.descriptor.get()), address);
  });
  if (found == sockets_.end()) return std::nullopt;
  OwnedFd taken = std::move(found->descriptor);
  sockets_.erase(found);
  return taken;
}

Result<UnixListener> ListenAt(const SocketConfig& config, std::string_view name, PassedSockets& passed) {
  if (std::optional<OwnedFd> socket = passed.Take(name, config.path.native()))
    return UnixListener(*std::move(socket), config);
  return UnixListener::Open(config);
}

}  // namespace outboxd
