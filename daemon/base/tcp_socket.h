// daemon/base/tcp_socket.h — listening TCP sockets, on loopback addresses unless more is asked for.
#pragma once

#include <netdb.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>

#include "config/owned_fd.h"
#include "core/result.h"

namespace outboxd {

enum class Reach { kThisMachine, kAnybody };  // kThisMachine: loopback addresses alone

// "127.0.0.1:9480" or "[::1]:9480". The caller owns the descriptor. kInvalid for an address that `reach` does
// not allow.
Result<int> ListenOn(const std::string& address, Reach reach);

struct FreeAddress {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using NumericAddress = std::unique_ptr<addrinfo, FreeAddress>;
// Of an ADDRESS:PORT without names, never null; kInvalid.
Result<NumericAddress> ParseAddress(const std::string& address);

// "127.0.0.1:41234", "[::1]:41234"; empty when it is neither IPv4 nor IPv6.
std::string AddressText(const sockaddr* address, socklen_t length);

// The other end of a connection, as AddressText().
std::string PeerAddress(int descriptor);

// A listening socket as an object that closes it.
class TcpListener {
 public:
  static Result<TcpListener> Open(const std::string& address, Reach reach = Reach::kThisMachine);
  // One that listens already.
  explicit TcpListener(OwnedFd listening) : descriptor_(listening.Release()) {}
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
