#include "daemon/delivery/tcp_ends.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <string>

#include "core/time.h"

namespace outboxd {
namespace {

struct HostAndPort {
  std::string host;
  int port = 0;
};

std::optional<HostAndPort> TextOf(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    return HostAndPort{text.data(), ntohs(v4.sin_port)};
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
    return HostAndPort{text.data(), ntohs(v6.sin6_port)};
  }
  return std::nullopt;
}

}  // namespace

std::optional<TcpEnds> EndsOf(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return std::nullopt;
  const std::optional<HostAndPort> local = TextOf(address);
  length = sizeof address;
  if (getpeername(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return std::nullopt;
  const std::optional<HostAndPort> remote = TextOf(address);
  if (!local || !remote) return std::nullopt;
  return TcpEnds{local->host, local->port, remote->host};
}

std::optional<Milliseconds> SilenceOf(int socket) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return std::nullopt;
  return Milliseconds(info.tcpi_last_data_recv);
}

}  // namespace outboxd
