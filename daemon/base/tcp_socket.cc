#include "daemon/base/tcp_socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <system_error>

#include "core/limits.h"
#include "core/result.h"

namespace outboxd {
namespace {

bool IsLoopback(const addrinfo& address) {
  if (address.ai_family == AF_INET) {
    const auto* ip = reinterpret_cast<const sockaddr_in*>(address.ai_addr);
    return (ntohl(ip->sin_addr.s_addr) >> 24) == 127;
  }
  const auto* ip = reinterpret_cast<const sockaddr_in6*>(address.ai_addr);
  return address.ai_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&ip->sin6_addr);
}

}  // namespace

Result<NumericAddress> ParseAddress(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return Fail(ErrorKind::kInvalid, address + ": must be ADDRESS:PORT");
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo wanted{};
  wanted.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(host.c_str(), address.substr(colon + 1).c_str(), &wanted, &list);
  if (error != 0) return Fail(ErrorKind::kInvalid, address + ": " + gai_strerror(error));
  return NumericAddress(list);
}

Result<int> ListenOn(const std::string& address, Reach reach) {
  ASSIGN_OR_RETURN(const NumericAddress found, ParseAddress(address));
  if (reach == Reach::kThisMachine && !IsLoopback(*found))
    return Fail(ErrorKind::kInvalid, address + ": only loopback addresses may be listened on");
  const int descriptor = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int yes = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (descriptor < 0 || bind(descriptor, found->ai_addr, found->ai_addrlen) != 0 ||
      listen(descriptor, limits::kListenBacklog) != 0) {
    const int why = errno;
    if (descriptor >= 0) close(descriptor);
    return Fail(ErrorKind::kIo, address + ": " + std::generic_category().message(why));
  }
  return descriptor;
}

std::string PeerAddress(int descriptor) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  return getpeername(descriptor, generic, &length) == 0 ? AddressText(generic, length) : std::string();
}

std::string AddressText(const sockaddr* address, socklen_t length) {
  if (address->sa_family != AF_INET && address->sa_family != AF_INET6) return {};
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (getnameinfo(address, length, host.data(), host.size(), port.data(), port.size(),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return {};
  const std::string shown(host.data());
  return (address->sa_family == AF_INET6 ? "[" + shown + "]" : shown) + ":" + port.data();
}

Result<TcpListener> TcpListener::Open(const std::string& address, Reach reach) {
  ASSIGN_OR_RETURN(const int descriptor, ListenOn(address, reach));
  return TcpListener(descriptor);
}

TcpListener::~TcpListener() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace outboxd
