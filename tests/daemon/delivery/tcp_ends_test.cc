#include "daemon/delivery/tcp_ends.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "tests/support/await.h"

namespace outboxd {
namespace {

// Two ends of a connection over the loopback.
class Pair {
 public:
  explicit Pair(int family) {
    const int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_storage address{};
    address.ss_family = static_cast<sa_family_t>(family);
    if (family == AF_INET) {
      reinterpret_cast<sockaddr_in&>(address).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
      reinterpret_cast<sockaddr_in6&>(address).sin6_addr = in6addr_loopback;
    }
    socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(bind(listener, any, length) == 0);
    REQUIRE(listen(listener, 1) == 0);
    REQUIRE(getsockname(listener, any, &length) == 0);
    port = ntohs(family == AF_INET ? reinterpret_cast<sockaddr_in&>(address).sin_port
                                   : reinterpret_cast<sockaddr_in6&>(address).sin6_port);
    client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(connect(client, any, length) == 0);
    server = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    close(listener);
  }
  ~Pair() {
    close(client);
    close(server);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  int client = -1;
  int server = -1;
  int port = 0;
};

TEST_CASE("tcp ends: the addresses of both ends, over IPv4 and IPv6") {
  const Pair v4(AF_INET);
  CHECK(EndsOf(v4.server) == TcpEnds{"127.0.0.1", v4.port, "127.0.0.1"});
  CHECK(EndsOf(v4.client) != EndsOf(v4.server));
  const Pair v6(AF_INET6);
  CHECK(EndsOf(v6.server) == TcpEnds{"::1", v6.port, "::1"});
}

TEST_CASE("tcp ends: what is not a connection has none") {
  CHECK_FALSE(EndsOf(-1).has_value());
  CHECK_FALSE(SilenceOf(-1).has_value());
  const int unconnected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_FALSE(EndsOf(unconnected).has_value());
  close(unconnected);
}

TEST_CASE("tcp ends: silence grows while nothing comes in, whatever is sent, and ends with the next byte") {
  const Pair pair(AF_INET);
  CHECK(Await([&] {
    REQUIRE(send(pair.client, "x", 1, 0) == 1);
    return SilenceOf(pair.client) >= Milliseconds(100);
  }));
  REQUIRE(send(pair.server, "y", 1, 0) == 1);
  CHECK(Await([&] { return SilenceOf(pair.client) < Milliseconds(100); }));
}

}  // namespace
}  // namespace outboxd
