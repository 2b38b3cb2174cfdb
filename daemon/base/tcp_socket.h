// daemon/base/tcp_socket.h — listening TCP sockets on loopback addresses.
#pragma once

#include <string>
#include <utility>

#include "core/result.h"

namespace outboxd {

// "127.0.0.1:9480" or "[::1]:9480". The caller owns the descriptor. kInvalid for any address that is not
// loopback.
Result<int> ListenOnLoopback(const std::string& address);

// "127.0.0.1:41234", "[::1]:41234": the other end of a connection. Empty when it is not one by TCP.
std::string PeerAddress(int descriptor);

// A listening socket as an object that closes it.
class TcpListener {
 public:
  static Result<TcpListener> Open(const std::string& address);
  TcpListener(TcpListener&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  TcpListener& operator=(TcpListener&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~TcpListener();

  int descriptor() const { return descriptor_; }  // non-blocking; owned here

 private:
  explicit TcpListener(int descriptor) : descriptor_(descriptor) {}

  int descriptor_ = -1;
};

}  // namespace outboxd
