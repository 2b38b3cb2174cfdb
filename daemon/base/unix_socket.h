// daemon/base/unix_socket.h — listening Unix sockets with the mode and group of the config.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "config/config.h"
#include "config/owned_fd.h"
#include "core/result.h"

namespace outboxd {

// A bound, listening Unix socket that removes its file at the end, unless another file has taken its place. A
// stale file of a dead daemon is replaced; a live one, or a file that is not a socket, is left alone and an
// error.
class UnixListener {
 public:
  static Result<UnixListener> Open(const SocketConfig& config);
  // A socket that somebody else made and keeps, with its file: of the config only `users` counts.
  UnixListener(OwnedFd listening, const SocketConfig& config);
  UnixListener(UnixListener&& other) noexcept;
  UnixListener& operator=(UnixListener&& other) noexcept;
  ~UnixListener();

  // Listens no more: who has connected and was not accepted is cut off, and nobody else can connect.
  void Close();
  int descriptor() const { return descriptor_; }  // non-blocking; owned here
  // Who may speak once connected, besides what the file's mode says.
  const std::vector<std::uint32_t>& users() const { return users_; }

 private:
  UnixListener(int descriptor, const SocketConfig& config)
      : descriptor_(descriptor), path_(config.path), users_(config.users) {}
  // Which file it is: an inode's number alone may be given to the next file.
  struct FileIdentity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t modified_ns = 0;
    bool operator==(const FileIdentity&) const = default;
  };
  static std::optional<FileIdentity> IdentityOf(const std::filesystem::path& path);

  int descriptor_ = -1;
  std::filesystem::path path_;
  std::optional<FileIdentity> identity_;
  std::vector<std::uint32_t> users_;
};

}  // namespace outboxd
