#include "config/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "config/owned_fd.h"
#include "config/system_user.h"
#include "core/check.h"
#include "core/result.h"

namespace outboxd {
namespace {

constexpr int kLinksMax = 40;  // as the kernel's own

Failure FailErrno(const std::filesystem::path& path) {
  const int why = errno;
  return Fail(why == EEXIST || why == ELOOP ? ErrorKind::kConflict : ErrorKind::kIo,
              path.string() + ": " + std::generic_category().message(why));
}

// Walks down a path; where it stands is held by a descriptor.
class Walk {
 public:
  explicit Walk(const std::filesystem::path& path) : path_(path) { Queue(path); }

  Result<OwnedFd> ToItsEnd() {
    while (!steps_.empty()) {
      const std::string step = std::move(steps_.front());
      steps_.pop_front();
      RETURN_IF_ERROR(Take(step));
    }
    return std::move(at_);
  }

 private:
  void Queue(const std::filesystem::path& path) {
    std::deque<std::string> steps;
    for (const std::filesystem::path& part : path) {
      if (!part.empty() && part != "/") steps.push_back(part.string());
    }
    steps_.insert(steps_.begin(), steps.begin(), steps.end());
    if (path.is_absolute() || at_.get() < 0)
      at_ = OwnedFd(::open(path.is_absolute() ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  }

  Result<void> Take(const std::string& step) {
    OwnedFd next(::openat(at_.get(), step.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat status{};
    if (next.get() < 0 || ::fstat(next.get(), &status) != 0) return FailErrno(path_);
    if (S_ISLNK(status.st_mode)) return Follow(next, status);
    at_ = std::move(next);
    return {};
  }

  Result<void> Follow(const OwnedFd& link, const struct stat& status) {
    if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
      const std::string name = UserName(status.st_uid);
      return Fail(ErrorKind::kConflict, path_.string() + " goes through a symbolic link of " +
                                            (name.empty() ? std::to_string(status.st_uid) : name) +
                                            "'s; name the place that it leads to");
    }
    std::array<char, PATH_MAX> target;
    const ssize_t length = ::readlinkat(link.get(), "", target.data(), target.size());
    if (length < 0) return FailErrno(path_);
    errno = ELOOP;
    if (++links_ > kLinksMax) return FailErrno(path_);
    Queue(std::filesystem::path(std::string(target.data(), static_cast<std::size_t>(length))));
    return {};
  }

  const std::filesystem::path path_;
  std::deque<std::string> steps_;
  OwnedFd at_;
  int links_ = 0;
};

bool WriteAll(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::string TemporaryName(const std::string& name) {
  std::uint64_t random = 0;
  static_cast<void>(!::getrandom(&random, sizeof random, 0));
  std::array<char, 20> digits{};
  std::snprintf(digits.data(), digits.size(), ".%016llx", static_cast<unsigned long long>(random));
  return name.substr(0, NAME_MAX - digits.size()) + digits.data();
}

Result<OwnedFd> OpenDirectory(const std::filesystem::path& directory) {
  ASSIGN_OR_RETURN(OwnedFd place, Walk(directory).ToItsEnd());
  CHECK(place.get() >= 0);
  // One that may be searched and not read serves as well, but for the sync.
  OwnedFd readable(::openat(place.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (readable.get() >= 0) return readable;
  if (errno != EACCES) return FailErrno(directory);
  return place;
}

std::filesystem::path ParentOf(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

std::filesystem::path WithoutLastSlash(const std::filesystem::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

}  // namespace

Result<Folder> Folder::Open(const std::filesystem::path& directory) {
  ASSIGN_OR_RETURN(OwnedFd opened, OpenDirectory(directory));
  return Folder(std::move(opened), directory);
}

Result<Folder> Folder::Of(const std::filesystem::path& file) {
  const std::filesystem::path name = file.filename();
  if (name.empty() || name == "." || name == "..")
    return Fail(ErrorKind::kInvalid, file.string() + " is not the name of a file");
  return Open(ParentOf(file));
}

// Between mkdir and the change of its mode the parent's owner may have put something else in its place: what
// counts is what the descriptor holds.
Result<Folder> Folder::Make(const std::filesystem::path& directory, mode_t mode) {
  const std::filesystem::path path = WithoutLastSlash(directory);
  ASSIGN_OR_RETURN(const Folder parent, Of(path));
  const std::string name = path.filename().string();
  const bool is_new = ::mkdirat(parent.directory_.get(), name.c_str(), 0700) == 0;
  if (!is_new && errno != EEXIST) return FailErrno(path);
  OwnedFd made(
      ::openat(parent.directory_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (made.get() < 0) return FailErrno(path);
  Folder folder(std::move(made), path);
  if (!is_new) return folder;
  if (folder.Status().st_uid != ::geteuid())
    return Fail(ErrorKind::kConflict, path.string() + ": somebody put another directory in its place");
  if (::fchmod(folder.directory_.get(), mode) != 0) return FailErrno(path);
  return folder;
}

std::filesystem::path Folder::Held() const {
  return "/proc/self/fd/" + std::to_string(directory_.get());
}

struct stat Folder::Status() const {
  struct stat status{};
  ::fstat(directory_.get(), &status);
  return status;
}

bool Folder::IsWritable() const {
  return ::faccessat(directory_.get(), ".", W_OK | X_OK, AT_EACCESS) == 0;
}

bool Folder::Has(const std::string& name) const {
  return ::faccessat(directory_.get(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

Failure Folder::FailFor(const std::string& name) const {
  return FailErrno(path_ / name);
}

Result<OwnedFd> Folder::Create(const std::string& name, Existing existing) const {
  const int flags = O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  OwnedFd file(::openat(directory_.get(), name.c_str(), flags | O_CREAT | O_EXCL, 0600));
  if (file.get() >= 0) {
    if (::fchmod(file.get(), 0600) != 0) return FailFor(name);
    return file;
  }
  if (errno != EEXIST) return FailFor(name);
  if (existing == Existing::kRefused)
    return Fail(ErrorKind::kConflict, (path_ / name).string() + " exists; remove it or name another file");
  file = OwnedFd(::openat(directory_.get(), name.c_str(), flags | O_APPEND));
  struct stat status{};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return FailFor(name);
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || status.st_nlink != 1) {
    return Fail(ErrorKind::kConflict, (path_ / name).string() + " is not a regular file of one's own");
  }
  return file;
}

Result<void> Folder::Replace(const std::string& name, std::string_view text, mode_t mode,
                             std::optional<uid_t> owner) const {
  const std::string temporary = TemporaryName(name);
  ASSIGN_OR_RETURN(const OwnedFd file, Create(temporary));
  const bool is_written =
      WriteAll(file.get(), text) && (!owner || ::fchown(file.get(), *owner, static_cast<gid_t>(-1)) == 0) &&
      ::fchmod(file.get(), mode) == 0 && ::fsync(file.get()) == 0 &&
      ::renameat(directory_.get(), temporary.c_str(), directory_.get(), name.c_str()) == 0;
  if (!is_written) {
    Failure failed = FailFor(name);
    Remove(temporary);
    return failed;
  }
  // Best effort: without it a power cut may bring the older file back, which was whole too.
  static_cast<void>(::fsync(directory_.get()));
  return {};
}

Result<OwnedFd> Folder::Read(const std::string& name) const {
  OwnedFd file(::openat(directory_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0 && errno == ENOENT) return file;
  struct stat status{};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return FailFor(name);
  if (!S_ISREG(status.st_mode))
    return Fail(ErrorKind::kConflict, (path_ / name).string() + " is not a regular file");
  return file;
}

void Folder::Remove(const std::string& name) const {
  ::unlinkat(directory_.get(), name.c_str(), 0);
}

}  // namespace outboxd
