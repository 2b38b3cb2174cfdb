// daemon/delivery/tcp_ends.h — which TCP connection a socket is the end of, and how long nothing has come in
// on it. Both as the kernel knows them: libcurl does not tell which socket a request uses.
#pragma once

#include <optional>
#include <string>

#include "core/time.h"

namespace outboxd {

// The addresses as text, as libcurl has them too; empty or 0 when not known.
struct TcpEnds {
  std::string local_address;
  int local_port = 0;
  std::string remote_address;

  friend bool operator==(const TcpEnds&, const TcpEnds&) = default;
};

// nullopt when the socket is not connected, or not one of the internet.
std::optional<TcpEnds> EndsOf(int socket);

// Since data came in last, or since the connection was made when none did yet. What only acknowledges is not
// data. In steps of the kernel's clock (4 to 10 ms). nullopt when the socket is not one of TCP.
std::optional<Milliseconds> SilenceOf(int socket);

}  // namespace outboxd
