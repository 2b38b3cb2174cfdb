#include "daemon/base/listening_address.h"

#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/result.h"
#include "daemon/base/tcp_socket.h"

namespace outboxd {
namespace {

bool IsListeningStream(int descriptor) {
  int listening = 0;
  int type = 0;
  socklen_t length = sizeof listening;
  return getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening != 0 &&
         getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

std::filesystem::path Normal(std::string_view path) {
  return std::filesystem::path(path).lexically_normal();
}

}  // namespace

std::string ListeningAddress(int descriptor) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (!IsListeningStream(descriptor) || getsockname(descriptor, generic, &length) != 0) return {};
  if (address.ss_family != AF_UNIX) return AddressText(generic, length);
  const auto* local = reinterpret_cast<const sockaddr_un*>(&address);
  return {local->sun_path, strnlen(local->sun_path, length - offsetof(sockaddr_un, sun_path))};
}

bool IsAddress(std::string_view listening, std::string_view configured) {
  if (configured.starts_with('/')) return Normal(listening) == Normal(configured);
  const Result<NumericAddress> wanted = ParseAddress(std::string(configured));
  return wanted && listening == AddressText((*wanted)->ai_addr, (*wanted)->ai_addrlen);
}

}  // namespace outboxd
