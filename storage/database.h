// storage/database.h — one SQLite connection and its prepared statements; SQLite's result codes become Errors
// here and nowhere else.
//
// Errors: kFull = SQLITE_FULL or ENOSPC; kCorrupt = damaged or foreign file; kBusy = another writer; kIo =
// the system refused. Threads: a Database and its Statements belong to one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace outboxd {

class Database;

// kCorrupt, telling the operator what to do about `file`.
Error DamagedFile(const std::filesystem::path& file, std::string_view detail);

// A prepared statement. Bind from index 1, Step until false, read columns from index 0, Reset to use it
// again.
class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  Statement& Bind(int index, std::int64_t value);
  Statement& Bind(int index, std::string_view text);  // the bytes must live until Reset
  Statement& BindNull(int index);
  Statement& Bind(int index, std::optional<std::int64_t> value);
  Statement& BindTextOrNull(int index, std::string_view text);  // empty: NULL

  Result<bool> Step();  // true: a row is there
  Result<void> Run();   // for statements without rows: Step to the end, then Reset
  void Reset();         // also clears the bindings

  std::int64_t Int(int column) const;
  std::optional<std::int64_t> IntOrNull(int column) const;
  std::string_view Text(int column) const;  // valid until the next Step or Reset; "" for NULL
  bool IsNull(int column) const;

 private:
  friend class Database;
  Statement(sqlite3_stmt* statement, sqlite3* database) : statement_(statement), database_(database) {}
  sqlite3_stmt* statement_ = nullptr;
  sqlite3* database_ = nullptr;
};

enum class OpenMode { kReadWrite, kReadOnly };

class Database {
 public:
  static Result<Database> Open(const std::filesystem::path& file, OpenMode mode);
  Database(Database&& other) noexcept;
  Database& operator=(Database&& other) noexcept;
  ~Database();

  Result<Statement> Prepare(std::string_view sql);
  Result<void> Execute(std::string_view sql);  // any number of statements, rows ignored
  // Checkpoints the WAL and truncates it, without waiting: false while somebody reads it.
  Result<bool> TruncateWal();
  Result<std::int64_t> Scalar(std::string_view sql);  // first column of the first row; 0 when there is none
  std::int64_t Changes() const;                       // rows changed by the last statement
  // Online, a state of one moment; the file must not exist; fsynced; its size. Asks `gives_up` every few
  // megabytes; kBusy once it says so.
  Result<std::uint64_t> BackupTo(const std::filesystem::path& file, const std::function<bool()>& gives_up);
  Failure Damaged(std::string_view detail) const;  // kCorrupt, for what SQLite itself did not notice

 private:
  explicit Database(sqlite3* handle) : handle_(handle) {}
  Result<void> CopyPages(Database& target, const std::filesystem::path& file,
                         const std::function<bool()>& gives_up);
  sqlite3* handle_ = nullptr;
};

}  // namespace outboxd
