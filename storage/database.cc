#include "storage/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/check.h"
#include "core/result.h"
#include "storage/gathered_writes.h"

namespace outboxd {
namespace {

constexpr int kBusyMs = 10'000;     // how long another program may hold the file
constexpr int kBackupPages = 1024;  // a step of a backup: 4 MB, and 16 of a file with large pages

ErrorKind KindOf(int code, int system_error) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return ErrorKind::kFull;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorKind::kCorrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorKind::kBusy;
    case SQLITE_IOERR:
      return system_error == ENOSPC || system_error == EDQUOT ? ErrorKind::kFull : ErrorKind::kIo;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return ErrorKind::kIo;
    default:
      return ErrorKind::kInternal;
  }
}

Failure FailFrom(sqlite3* handle, std::string_view what) {
  const int code = handle != nullptr ? sqlite3_extended_errcode(handle) : SQLITE_NOMEM;
  const int system_error = handle != nullptr ? sqlite3_system_errno(handle) : 0;
  std::string message(what);
  message += ": ";
  message += handle != nullptr ? sqlite3_errmsg(handle) : "out of memory";
  if (system_error != 0) message += " (" + std::generic_category().message(system_error) + ")";
  const ErrorKind kind = KindOf(code, system_error);
  if (kind == ErrorKind::kCorrupt) {
    const char* file = sqlite3_db_filename(handle, "main");  // nullptr: it could not even be opened
    return Failure(DamagedFile(file != nullptr ? file : std::string(what), sqlite3_errmsg(handle)));
  }
  return Fail(kind, std::move(message));
}

Result<void> SyncFile(const std::filesystem::path& file) {
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && fsync(descriptor) == 0;
  const int why = errno;
  if (descriptor >= 0) close(descriptor);
  if (synced) return {};
  return Fail(ErrorKind::kIo, file.string() + ": " + std::generic_category().message(why));
}

}  // namespace

Error DamagedFile(const std::filesystem::path& file, std::string_view detail) {
  return {ErrorKind::kCorrupt,
          file.string() + ": " + std::string(detail) +
              "; the outbox is damaged: keep a copy of it and of its -wal file, restore a backup, or save "
              "what can be read as docs/operations.md tells",
          {}};
}

Statement::Statement(Statement&& other) noexcept
    : statement_(std::exchange(other.statement_, nullptr)),
      database_(std::exchange(other.database_, nullptr)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(statement_, other.statement_);
  std::swap(database_, other.database_);
  return *this;
}

Statement::~Statement() {
  sqlite3_finalize(statement_);
}

void Statement::BindAt(int index, std::int64_t value) {
  CHECK(sqlite3_bind_int64(statement_, index, value) == SQLITE_OK);
}

void Statement::BindAt(int index, std::string_view text) {
  const char* bytes = text.data() != nullptr ? text.data() : "";
  CHECK(sqlite3_bind_text64(statement_, index, bytes, text.size(), SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK);
}

void Statement::BindAt(int index, TextOrNull text) {
  if (text.text.empty()) {
    BindNull(index);
  } else {
    BindAt(index, text.text);
  }
}

void Statement::BindNull(int index) {
  CHECK(sqlite3_bind_null(statement_, index) == SQLITE_OK);
}

Result<bool> Statement::Step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  Failure failure = FailFrom(database_, "outbox");
  Reset();
  return failure;
}

Result<void> Statement::StepToEnd() {
  for (;;) {
    ASSIGN_OR_RETURN(bool row, Step());
    if (row) continue;
    Reset();
    return {};
  }
}

void Statement::Reset() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

std::int64_t Statement::Int(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::optional<std::int64_t> Statement::IntOrNull(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Int(column);
}

std::string_view Statement::Text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const int length = sqlite3_column_bytes(statement_, column);
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(length)};
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

bool Statement::IsInteger(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_INTEGER;
}

namespace {

int FlagsOf(OpenMode mode) {
  constexpr int kAlways = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  switch (mode) {
    case OpenMode::kReadWrite:
      return kAlways | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    case OpenMode::kReadOnly:
      return kAlways | SQLITE_OPEN_READONLY;
    case OpenMode::kImmutable:
      return kAlways | SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
  }
  return kAlways;
}

std::string NameFor(const std::filesystem::path& file, OpenMode mode) {
  if (mode != OpenMode::kImmutable) return file.string();
  std::string uri = "file:";
  for (const char c : file.string()) {
    if (c == '%' || c == '?' || c == '#') {
      constexpr std::string_view kDigits = "0123456789abcdef";
      uri += {'%', kDigits[static_cast<unsigned char>(c) >> 4], kDigits[static_cast<unsigned char>(c) & 15]};
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

}  // namespace

Result<Database> Database::Open(const std::filesystem::path& file, OpenMode mode, const char* vfs) {
  // SQLite would count its memory under a lock of the whole process. Refused when it runs already: then it
  // counts.
  static const int counts_memory = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  static_cast<void>(counts_memory);
  sqlite3* handle = nullptr;
  const std::string name = NameFor(file, mode);
  const int code = mode == OpenMode::kReadWrite && vfs == nullptr
                       ? OpenGathering(name, &handle, FlagsOf(mode))
                       : sqlite3_open_v2(name.c_str(), &handle, FlagsOf(mode), vfs);
  Database database(handle);
  if (code != SQLITE_OK) return FailFrom(handle, file.string());
  sqlite3_busy_timeout(handle, kBusyMs);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  return database;
}

Database::Database(Database&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), wal_(std::move(other.wal_)) {}

Database& Database::operator=(Database&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(wal_, other.wal_);
  return *this;
}

Database::~Database() {
  sqlite3_close_v2(handle_);
}

Result<Statement> Database::Prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return FailFrom(handle_, "outbox");
  return Statement(statement, handle_);
}

Result<void> Database::Execute(std::string_view sql) {
  if (sqlite3_exec(handle_, std::string(sql).c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    return FailFrom(handle_, "outbox");
  return {};
}

Result<std::int64_t> Database::Scalar(std::string_view sql) {
  ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  ASSIGN_OR_RETURN(bool row, statement.Step());
  return row ? statement.Int(0) : 0;
}

// A read-only connection has no WAL of its own to check: frames are -1 then, as when it could not be done.
int Database::CheckpointNow(sqlite3* handle, int mode, Wal& wal) {
  int frames = -1;
  int moved = -1;
  const int code = sqlite3_wal_checkpoint_v2(handle, nullptr, mode, &frames, &moved);
  if (frames >= 0 && moved >= 0) wal.held = static_cast<std::uint64_t>(std::max(frames - moved, 0));
  return code;
}

// The commit has succeeded, whatever becomes of the checkpoint: the next one tries again.
int Database::OnCommit(void* state, sqlite3* handle, const char*, int frames) {
  auto& wal = *static_cast<Wal*>(state);
  if (frames >= wal.checkpoint_from) CheckpointNow(handle, SQLITE_CHECKPOINT_PASSIVE, wal);
  return SQLITE_OK;
}

void Database::CheckpointFrom(int frames) {
  wal_->checkpoint_from = frames;
  sqlite3_wal_hook(handle_, &OnCommit, wal_.get());
}

Result<void> Database::Checkpoint() {
  if (CheckpointNow(handle_, SQLITE_CHECKPOINT_PASSIVE, *wal_) != SQLITE_OK)
    return FailFrom(handle_, "outbox");
  return {};
}

Result<bool> Database::TruncateWal() {
  sqlite3_busy_timeout(handle_, 0);
  const int code = CheckpointNow(handle_, SQLITE_CHECKPOINT_TRUNCATE, *wal_);
  sqlite3_busy_timeout(handle_, kBusyMs);
  if ((code & 0xff) == SQLITE_BUSY) return false;
  if (code != SQLITE_OK) return FailFrom(handle_, "outbox");
  return true;
}

std::int64_t Database::Changes() const {
  return sqlite3_changes64(handle_);
}

Result<void> Database::CopyPages(Database& target, const std::filesystem::path& name,
                                 const std::function<bool()>& gives_up) {
  sqlite3_backup* backup = sqlite3_backup_init(target.handle_, "main", handle_, "main");
  bool has_given_up = false;
  int code = backup == nullptr ? SQLITE_ERROR : SQLITE_OK;
  while (code == SQLITE_OK && !has_given_up) {
    code = sqlite3_backup_step(backup, kBackupPages);
    has_given_up = code == SQLITE_OK && gives_up();
  }
  sqlite3_backup_finish(backup);
  if (has_given_up) return Fail(ErrorKind::kBusy, name.string() + ": given up");
  if (code != SQLITE_DONE) return FailFrom(target.handle_, name.string());
  return {};
}

namespace {

// SQLite would take such a file for a part of the database whose name it has, and we for our lock or record.
bool HasReservedName(const std::filesystem::path& file) {
  const std::string name = file.filename().string();
  return std::ranges::any_of(std::array{"-journal", "-wal", "-shm", ".lock", ".crashes"},
                             [&](const char* suffix) { return name.ends_with(suffix); });
}

// SQLite's default way to files, but that it takes a path as it is given. The default follows each link in it
// and opens the text it finds, which leads elsewhere once somebody has swapped a part of it.
class VfsOfGivenPaths {
 public:
  VfsOfGivenPaths() : vfs_(*sqlite3_vfs_find(nullptr)) {
    vfs_.pNext = nullptr;
    vfs_.zName = name_.c_str();
    vfs_.xFullPathname = &Copy;
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~VfsOfGivenPaths() { sqlite3_vfs_unregister(&vfs_); }
  VfsOfGivenPaths(const VfsOfGivenPaths&) = delete;
  VfsOfGivenPaths& operator=(const VfsOfGivenPaths&) = delete;
  const char* name() const { return name_.c_str(); }

 private:
  static int Copy(sqlite3_vfs*, const char* path, int bytes_max, char* out) {
    const std::size_t bytes = std::strlen(path) + 1;
    if (bytes > static_cast<std::size_t>(bytes_max)) return SQLITE_CANTOPEN;
    std::memcpy(out, path, bytes);
    return SQLITE_OK;
  }

  const std::string name_ = "given-paths-" + std::to_string(reinterpret_cast<std::uintptr_t>(this));
  sqlite3_vfs vfs_;
};

}  // namespace

Result<std::uint64_t> Database::BackupTo(const std::filesystem::path& file, const std::filesystem::path& name,
                                         const std::function<bool()>& gives_up) {
  if (HasReservedName(file)) {
    return Fail(ErrorKind::kConflict, name.string() + ": a file beside a database has such a name", "path");
  }
  // Created by us alone (O_EXCL, 0600): neither an existing file nor a planted link is written through.
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) {
    const int why = errno;
    return Fail(why == EEXIST ? ErrorKind::kConflict : ErrorKind::kIo,
                name.string() + ": " + std::generic_category().message(why), "path");
  }
  fchmod(descriptor, 0600);  // with a strict umask SQLite could not open it
  close(descriptor);
  const VfsOfGivenPaths vfs;
  Result<void> copied = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(Database target, Open(file, OpenMode::kReadWrite, vfs.name()));
    // One read transaction around all steps: without it a busy writer would make the copy start over again
    // and again.
    const Result<void> begun = Execute("BEGIN; SELECT count(*) FROM sqlite_schema");
    Result<void> done = begun ? CopyPages(target, name, gives_up) : begun;
    static_cast<void>(Execute("ROLLBACK"));
    if (done) static_cast<void>(target.Execute("DELETE FROM start"));  // storage/start_stamp.h
    return done;
  }();
  if (copied) copied = SyncFile(file);
  std::error_code error;
  if (!copied) {
    std::filesystem::remove(file, error);
    return Failure(copied.error());
  }
  return static_cast<std::uint64_t>(std::filesystem::file_size(file, error));
}

Failure Database::Damaged(std::string_view detail) const {
  return Failure(DamagedFile(sqlite3_db_filename(handle_, "main"), detail));
}

}  // namespace outboxd
