// storage/database.h — one SQLite connection and its prepared statements; SQLite's result codes become Errors
// here and nowhere else.
//
// Errors: kFull = SQLITE_FULL or ENOSPC; kCorrupt = damaged or foreign file; kBusy = another writer; kIo =
// the system refused.
// Threads: a Database and its Statements belong to one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "core/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace outboxd {

class Database;

// kCorrupt, telling the operator what to do about `file`.
Error DamagedFile(const std::filesystem::path& file, std::string_view detail);

// Text that is stored as NULL when it is empty.
struct TextOrNull {
  std::string_view text;
};

// A prepared statement. Parameters: std::int64_t, text, TextOrNull, an optional of the first two; a text's
// bytes must live until Reset. Binding aborts when there is no memory, or no such parameter.
class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  // All parameters, in their order.
  template <typename... Values>
  Statement& BindAll(const Values&... values) {
    int index = 0;
    (BindAt(++index, values), ...);
    return *this;
  }
  // One of them, counted from 1.
  void BindAt(int index, std::int64_t value);
  void BindAt(int index, std::string_view text);
  void BindAt(int index, TextOrNull text);
  template <typename Value>
  void BindAt(int index, const std::optional<Value>& value) {
    if (value) {
      BindAt(index, *value);
    } else {
      BindNull(index);
    }
  }

  Result<bool> Step();  // true: a row is there; columns count from 0
  void Reset();         // to use it again; also clears the parameters
  // For statements whose rows do not matter: all of the above.
  template <typename... Values>
  Result<void> Run(const Values&... values) {
    BindAll(values...);
    return StepToEnd();
  }

  std::int64_t Int(int column) const;
  std::optional<std::int64_t> IntOrNull(int column) const;
  std::string_view Text(int column) const;  // valid until the next Step or Reset; "" for NULL
  bool IsNull(int column) const;
  bool IsInteger(int column) const;  // as it is stored

 private:
  friend class Database;
  Statement(sqlite3_stmt* statement, sqlite3* database) : statement_(statement), database_(database) {}
  void BindNull(int index);
  Result<void> StepToEnd();

  sqlite3_stmt* statement_ = nullptr;
  sqlite3* database_ = nullptr;
};

// kImmutable: what stands in the main file alone, without its WAL and without a lock; for a file that nobody
// writes.
enum class OpenMode { kReadWrite, kReadOnly, kImmutable };

class Database {
 public:
  static Result<Database> Open(const std::filesystem::path& file, OpenMode mode, const char* vfs = nullptr);
  Database(Database&& other) noexcept;
  Database& operator=(Database&& other) noexcept;
  ~Database();

  Result<Statement> Prepare(std::string_view sql);
  Result<void> Execute(std::string_view sql);  // any number of statements, rows ignored
  // Checkpoints after each commit that leaves at least `frames` in the WAL, in place of SQLite's own
  // automatism.
  void CheckpointFrom(int frames);
  // Checkpoints what no reader needs, without waiting.
  Result<void> Checkpoint();
  // Checkpoints the WAL and truncates it, without waiting: false while somebody reads it.
  Result<bool> TruncateWal();
  // Frames that the last checkpoint had to leave, because somebody reads a state from before them.
  std::uint64_t HeldFrames() const { return wal_->held; }
  Result<std::int64_t> Scalar(std::string_view sql);  // first column of the first row; 0 when there is none
  std::int64_t Changes() const;                       // rows changed by the last statement
  // Online, a state of one moment; the file must not exist, and have no name such as SQLite gives; fsynced;
  // its size. Asks `gives_up` every few megabytes; kBusy once it says so. `file` is taken as it stands, so
  // that a path through /proc/self/fd leads to what the descriptor holds; messages call it `name`.
  Result<std::uint64_t> BackupTo(const std::filesystem::path& file, const std::filesystem::path& name,
                                 const std::function<bool()>& gives_up);
  Result<std::uint64_t> BackupTo(const std::filesystem::path& file, const std::function<bool()>& gives_up) {
    return BackupTo(file, file, gives_up);
  }
  Failure Damaged(std::string_view detail) const;  // kCorrupt, for what SQLite itself did not notice

 private:
  // In a place of its own, which SQLite knows.
  struct Wal {
    int checkpoint_from = 0;
    std::uint64_t held = 0;
  };
  explicit Database(sqlite3* handle) : handle_(handle), wal_(std::make_unique<Wal>()) {}
  static int OnCommit(void* wal, sqlite3* handle, const char* database, int frames);
  static int CheckpointNow(sqlite3* handle, int mode, Wal& wal);
  Result<void> CopyPages(Database& target, const std::filesystem::path& name,
                         const std::function<bool()>& gives_up);
  sqlite3* handle_ = nullptr;
  std::unique_ptr<Wal> wal_;
};

}  // namespace outboxd
