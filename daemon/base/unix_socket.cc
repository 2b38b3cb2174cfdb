#include "daemon/base/unix_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "config/config.h"
#include "config/owned_fd.h"
#include "config/system_user.h"
#include "core/limits.h"
#include "core/result.h"

namespace outboxd {
namespace {

Failure FailErrno(const std::filesystem::path& path, std::string_view doing, int error) {
  return Fail(ErrorKind::kIo,
              path.string() + ": " + std::string(doing) + ": " + std::generic_category().message(error));
}

Result<sockaddr_un> Address(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& name = path.native();
  if (name.size() >= sizeof(address.sun_path)) {
    return Fail(ErrorKind::kInvalid, name + ": a socket path has at most " +
                                         std::to_string(sizeof(address.sun_path) - 1) + " bytes");
  }
  std::memcpy(address.sun_path, name.data(), name.size());
  return address;
}

Result<bool> IsAnswered(const std::filesystem::path& path, const sockaddr_un& address) {
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return FailErrno(path, "cannot find out whether it is served", errno);
  const bool answered = connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  close(probe);
  return answered;
}

Result<void> RemoveStale(const std::filesystem::path& path, const sockaddr_un& address) {
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode))
    return Fail(ErrorKind::kConflict,
                path.string() + " exists and is not a socket; remove it or configure another path");
  ASSIGN_OR_RETURN(const bool answered, IsAnswered(path, address));
  if (answered)
    return Fail(ErrorKind::kConflict,
                path.string() + " is served by another process; stop it or configure another path");
  if (unlink(path.c_str()) != 0) return FailErrno(path, "cannot remove the stale socket", errno);
  return {};
}

Result<void> SetAccess(const SocketConfig& config) {
  if (config.group) {
    const Result<std::uint32_t> group = GroupId(*config.group);
    if (!group) return Fail(ErrorKind::kInvalid, config.path.string() + ": " + group.error().message);
    if (lchown(config.path.c_str(), static_cast<uid_t>(-1), *group) != 0)
      return FailErrno(config.path, "cannot set its group", errno);
  }
  if (fchmodat(AT_FDCWD, config.path.c_str(), config.mode, AT_SYMLINK_NOFOLLOW) != 0)
    return FailErrno(config.path, "cannot set its mode", errno);
  return {};
}

}  // namespace

Result<UnixListener> UnixListener::Open(const SocketConfig& config) {
  ASSIGN_OR_RETURN(const sockaddr_un address, Address(config.path));
  RETURN_IF_ERROR(RemoveStale(config.path, address));
  const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return FailErrno(config.path, "socket", errno);
  const mode_t before = umask(0177);  // nobody else gets in before mode and group are set
  const int bound = bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int why = errno;
  umask(before);
  if (bound != 0) {
    close(descriptor);
    return FailErrno(config.path, "cannot bind", why);
  }
  UnixListener listener(descriptor, config);
  listener.identity_ = IdentityOf(config.path);
  RETURN_IF_ERROR(SetAccess(config));
  if (listen(descriptor, limits::kListenBacklog) != 0) return FailErrno(config.path, "listen", errno);
  return listener;
}

UnixListener::UnixListener(OwnedFd listening, const SocketConfig& config)
    : UnixListener(listening.Release(), config) {
  fcntl(descriptor_, F_SETFL, fcntl(descriptor_, F_GETFL) | O_NONBLOCK);
}

UnixListener::UnixListener(UnixListener&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      path_(std::exchange(other.path_, {})),
      identity_(other.identity_),
      users_(std::exchange(other.users_, {})) {}

UnixListener& UnixListener::operator=(UnixListener&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  std::swap(identity_, other.identity_);
  std::swap(users_, other.users_);
  return *this;
}

UnixListener::~UnixListener() {
  Close();
}

void UnixListener::Close() {
  if (descriptor_ < 0) return;
  close(std::exchange(descriptor_, -1));
  if (identity_ && IdentityOf(path_) == identity_) unlink(path_.c_str());
}

std::optional<UnixListener::FileIdentity> UnixListener::IdentityOf(const std::filesystem::path& path) {
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0) return std::nullopt;
  return FileIdentity{status.st_dev, status.st_ino,
                      std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

}  // namespace outboxd
