#include "storage/restore.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/result.h"
#include "storage/database.h"
#include "storage/file_lock.h"
#include "storage/open.h"
#include "storage/schema.h"

namespace outboxd {
namespace {

using Path = std::filesystem::path;

Failure FailAt(const Path& file, int why) {
  return Fail(why == ENOSPC || why == EDQUOT ? ErrorKind::kFull : ErrorKind::kIo,
              file.string() + ": " + std::generic_category().message(why));
}

Path WithSuffix(const Path& file, const char* suffix) {
  return file.string() + suffix;
}

// Gone again unless it was put in its place, where it has another name.
class Copy {
 public:
  explicit Copy(Path path) : path_(std::move(path)) {}
  ~Copy() { ::unlink(path_.c_str()); }
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;
  const Path& path() const { return path_; }

 private:
  Path path_;
};

Result<std::uint64_t> CopyBytes(int from, const Path& name, int to, const Path& file) {
  std::vector<char> part(1 << 20);
  std::uint64_t copied = 0;
  for (;;) {
    const ssize_t length = ::pread(from, part.data(), part.size(), static_cast<off_t>(copied));
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return FailAt(name, errno);
    if (length == 0) return copied;
    for (ssize_t at = 0; at < length;) {
      const ssize_t written = ::write(to, part.data() + at, static_cast<std::size_t>(length - at));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return FailAt(file, errno);
      at += written;
    }
    copied += static_cast<std::uint64_t>(length);
  }
}

Result<std::uint64_t> MakeCopy(int backup, const Path& name, const Path& file, mode_t mode) {
  ::unlink(file.c_str());  // of a restore that was interrupted; ours alone, under the lock
  const int to = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (to < 0) return FailAt(file, errno);
  Result<std::uint64_t> copied = CopyBytes(backup, name, to, file);
  if (copied && (::fchmod(to, mode) != 0 || ::fsync(to) != 0)) copied = FailAt(file, errno);
  ::close(to);
  return copied;
}

Failure NotAnOutbox(const Path& name, const std::string& why) {
  return Fail(ErrorKind::kCorrupt, name.string() + ": " + why + "; nothing was changed");
}

// What it holds.
Result<Restored> Examine(const Path& copy, const Path& name) {
  Result<Database> database = Database::Open(copy, OpenMode::kImmutable);
  if (!database) return NotAnOutbox(name, "it cannot be opened");
  const Result<std::int64_t> application = database->Scalar("PRAGMA application_id");
  if (!application || *application != schema::kApplicationId) return NotAnOutbox(name, "it is not an outbox");
  const Result<std::int64_t> version = database->Scalar("PRAGMA user_version");
  if (!version || *version > static_cast<std::int64_t>(schema::kMigrations.size()))
    return NotAnOutbox(name, "it was written by a later outboxd; run that version");
  Result<Statement> check = database->Prepare("PRAGMA integrity_check(1)");
  if (!check || !check->Step() || check->Text(0) != "ok")
    return NotAnOutbox(name, "it is damaged; save what can be read as docs/operations.md tells");
  const Result<std::int64_t> jobs = database->Scalar("SELECT count(*) FROM outbox");
  const Result<std::int64_t> dead = database->Scalar("SELECT count(*) FROM dead_letters");
  if (!jobs || !dead) return NotAnOutbox(name, "it lacks a table");
  Restored restored;
  restored.jobs = static_cast<std::uint64_t>(*jobs);
  restored.dead = static_cast<std::uint64_t>(*dead);
  return restored;
}

// A name that nothing has: "outbox.db.before-restore-1", or the next number.
Path FreeName(const Path& outbox) {
  for (int number = 1;; ++number) {
    Path name = outbox.string() + ".before-restore-" + std::to_string(number);
    const bool is_free =
        std::ranges::none_of(std::array{"", "-wal", "-shm", "-journal"}, [&](const char* suffix) {
          std::error_code ignored;
          return std::filesystem::exists(std::filesystem::symlink_status(WithSuffix(name, suffix), ignored));
        });
    if (is_free) return name;
  }
}

// The main file first: a start that comes upon a WAL without it refuses, one that comes upon it without its
// WAL would go on without those jobs.
Result<void> MoveAside(const Path& outbox, const Path& aside) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    if (::rename(WithSuffix(outbox, suffix).c_str(), WithSuffix(aside, suffix).c_str()) != 0 &&
        errno != ENOENT) {
      Failure failure = FailAt(WithSuffix(outbox, suffix), errno);
      failure.value().message += "; what was there is at " + aside.string();
      return failure;
    }
  }
  return {};
}

Result<void> SyncFolder(const Path& file) {
  const Path folder = file.has_parent_path() ? file.parent_path() : Path(".");
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool is_synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  const int why = errno;
  if (descriptor >= 0) ::close(descriptor);
  return is_synced ? Result<void>() : FailAt(folder, why);
}

// Nothing but the file itself may hold what belongs to it.
Result<void> CheckStandsAlone(int backup, const Path& name, const Path& outbox) {
  struct stat status{};
  struct stat there{};
  if (::fstat(backup, &status) != 0) return FailAt(name, errno);
  if (!S_ISREG(status.st_mode)) return NotAnOutbox(name, "it is not a regular file");
  if (::stat(outbox.c_str(), &there) == 0 && there.st_dev == status.st_dev && there.st_ino == status.st_ino)
    return Fail(ErrorKind::kConflict, name.string() + " is the outbox itself");
  for (const auto& [suffix, sql] : {std::pair("-wal", "PRAGMA wal_checkpoint(TRUNCATE)"),
                                    std::pair("-journal", "SELECT count(*) FROM outbox")}) {
    const Path beside = WithSuffix(name, suffix);
    struct stat left{};
    if (::stat(beside.c_str(), &left) != 0 || left.st_size == 0) continue;
    return Fail(ErrorKind::kConflict, beside.string() + " beside it has what belongs into it: run sqlite3 " +
                                          name.string() + " '" + sql + "' first");
  }
  return {};
}

}  // namespace

Result<Restored> RestoreOutbox(int backup, const Path& name, const Path& outbox) {
  RETURN_IF_ERROR(CheckIsFile(outbox));
  RETURN_IF_ERROR(CheckStandsAlone(backup, name, outbox));
  ASSIGN_OR_RETURN(FileLock lock, FileLock::Take(outbox));
  struct stat before{};
  const bool is_there = ::stat(outbox.c_str(), &before) == 0;
  const Copy copy(outbox.string() + ".restoring");
  ASSIGN_OR_RETURN(const std::uint64_t bytes,
                   MakeCopy(backup, name, copy.path(), is_there ? before.st_mode & 0777 : 0640));
  ASSIGN_OR_RETURN(Restored restored, Examine(copy.path(), name));
  restored.bytes = bytes;
  const Path aside = FreeName(outbox);
  RETURN_IF_ERROR(MoveAside(outbox, aside));
  if (is_there) restored.aside = aside;
  if (::rename(copy.path().c_str(), outbox.c_str()) != 0) {
    Failure failure = FailAt(outbox, errno);
    failure.value().message += "; what was there is at " + aside.string();
    return failure;
  }
  RETURN_IF_ERROR(SyncFolder(outbox));
  RETURN_IF_ERROR(lock.NoteStamps({}));
  return restored;
}

}  // namespace outboxd
