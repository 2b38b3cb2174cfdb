#include "storage/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "core/result.h"

namespace outboxd {
namespace {

std::string OwnerOf(int descriptor) {
  std::array<char, 32> text{};
  const ssize_t length = pread(descriptor, text.data(), text.size(), 0);
  return length > 0 ? std::string(text.data(), static_cast<std::size_t>(length)) : "unknown";
}

}  // namespace

Result<FileLock> FileLock::Take(const std::filesystem::path& file) {
  const std::string name = file.string() + ".lock";
  const mode_t before = umask(0027);  // with a stricter one the next start could not open it
  const int descriptor = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  const int why = errno;
  umask(before);
  if (descriptor < 0 && why == ENOENT) {
    return Fail(ErrorKind::kIo,
                "the folder " + file.parent_path().string() +
                    " of outbox.path does not exist: make it, owned by outboxd's user "
                    "(`systemd-tmpfiles --create` makes the installed one), or set outbox.path to "
                    "another place");
  }
  if (descriptor < 0) return Fail(ErrorKind::kIo, name + ": " + std::generic_category().message(why));
  FileLock lock(descriptor);
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK)
      return Fail(ErrorKind::kIo, name + ": " + std::generic_category().message(errno));
    return Fail(ErrorKind::kConflict, file.string() + " is in use by another outboxd (pid " +
                                          OwnerOf(descriptor) +
                                          "); stop it first, or give this one its own outbox.path");
  }
  const std::string pid = std::to_string(getpid());
  if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, pid.data(), pid.size(), 0) < 0) {
    // The pid only serves the message above; on a full disk the lock itself still holds.
  }
  return lock;
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace outboxd
