// daemon/base/tcp_socket.h — listening TCP sockets on loopback addresses.
#pragma once

#include <string>

#include "core/result.h"

namespace outboxd {

// "127.0.0.1:9480" or "[::1]:9480". The caller owns the descriptor. kInvalid for any address that is not
// loopback.
Result<int> ListenOnLoopback(const std::string& address);

}  // namespace outboxd
