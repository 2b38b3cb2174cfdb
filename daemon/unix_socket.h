// daemon/unix_socket.h — listening Unix sockets with the mode and group of the config.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

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
  // Who may speak once connected, besides what the file's mode says.
  const std::vector<std::uint32_t>& users() const { return users_; }

 private:
  UnixListener(int descriptor, const SocketConfig& config) : descriptor_(descriptor), path_(config.path), users_(config.users) {}
  int descriptor_ = -1;
  std::filesystem::path path_;
  std::vector<std::uint32_t> users_;
};

}  // namespace outboxd
