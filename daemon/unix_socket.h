// daemon/unix_socket.h — listening Unix sockets with the mode and group of the config.
#pragma once

#include <filesystem>

#include "core/result.h"
#include "daemon/config.h"

namespace outboxd {

// A bound, listening Unix socket that removes its file at the end. A stale file of a dead daemon is replaced; a live one, or a file
// that is no socket, is left alone and an error.
class UnixListener {
 public:
  static Result<UnixListener> Open(const SocketConfig& config);
  UnixListener(UnixListener&& other) noexcept;
  UnixListener& operator=(UnixListener&& other) noexcept;
  ~UnixListener();

  int descriptor() const { return descriptor_; }  // non-blocking; owned here

 private:
  UnixListener(int descriptor, std::filesystem::path path) : descriptor_(descriptor), path_(std::move(path)) {}
  int descriptor_ = -1;
  std::filesystem::path path_;
};

}  // namespace outboxd
