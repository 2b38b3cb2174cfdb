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
#include <iterator>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/result.h"

namespace outboxd {
namespace {

// The file's content: the owner's pid, then stamps, filled up with blanks to this length, so that it is never
// cut and fits one sector.
constexpr std::size_t kRecordBytes = 96;

std::vector<std::string> WordsOf(int descriptor) {
  std::array<char, kRecordBytes> text{};
  const ssize_t length = pread(descriptor, text.data(), text.size(), 0);
  if (length <= 0) return {};
  std::istringstream stream(std::string(text.data(), static_cast<std::size_t>(length)));
  return {std::istream_iterator<std::string>(stream), {}};
}

std::string OwnerOf(int descriptor) {
  const std::vector<std::string> words = WordsOf(descriptor);
  return words.empty() ? "unknown" : words.front();
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
  std::vector<std::string> words = WordsOf(descriptor);
  if (!words.empty()) lock.stamps_.assign(words.begin() + 1, words.end());
  if (lock.stamps_.size() > kStampsMax) lock.stamps_.clear();  // not ours
  // The pid only serves the message above; on a full disk the lock itself still holds.
  static_cast<void>(lock.Write());
  return lock;
}

Result<void> FileLock::Write() const {
  std::string record = std::to_string(getpid());
  for (const std::string& stamp : stamps_) record += ' ' + stamp;
  record.resize(kRecordBytes - 1, ' ');
  record += '\n';
  if (pwrite(descriptor_, record.data(), record.size(), 0) == static_cast<ssize_t>(record.size())) return {};
  return Fail(errno == ENOSPC ? ErrorKind::kFull : ErrorKind::kIo,
              "the lock file: " + std::generic_category().message(errno));
}

Result<void> FileLock::NoteStamps(std::vector<std::string> stamps) {
  CHECK(stamps.size() <= kStampsMax);
  stamps_ = std::move(stamps);
  RETURN_IF_ERROR(Write());
  if (fdatasync(descriptor_) == 0) return {};
  return Fail(ErrorKind::kIo, "the lock file: " + std::generic_category().message(errno));
}

FileLock::FileLock(FileLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), stamps_(std::move(other.stamps_)) {}

FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace outboxd
