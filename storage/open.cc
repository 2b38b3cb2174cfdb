#include "storage/open.h"

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "core/result.h"
#include "storage/database.h"
#include "storage/schema.h"

namespace outboxd {
namespace {

// At this size the WAL is checkpointed, which delays one commit: 16 MB took 30 ms and more, and made nothing
// faster.
constexpr std::int64_t kWalBytes = 4 << 20;

Result<void> Configure(Database& database) {
  // A crash loses nothing that was committed: WAL and FULL sync each commit. What the WAL grew to beyond 64
  // MB is given back.
  Result<void> configured =
      database.Execute("PRAGMA page_size = " + std::to_string(schema::kPageBytes) + R"sql(;
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA cache_size = -2048;
    PRAGMA temp_store = MEMORY;
    PRAGMA foreign_keys = OFF;)sql");
  if (!configured) return configured;
  ASSIGN_OR_RETURN(const std::int64_t page_bytes, database.Scalar("PRAGMA page_size"));
  database.CheckpointFrom(static_cast<int>(kWalBytes / page_bytes));
  return {};
}

Result<void> CheckIdentity(Database& database, const std::filesystem::path& file, std::int64_t version) {
  ASSIGN_OR_RETURN(const std::int64_t application, database.Scalar("PRAGMA application_id"));
  ASSIGN_OR_RETURN(const std::int64_t tables, database.Scalar("SELECT count(*) FROM sqlite_schema"));
  const bool fresh = tables == 0 && version == 0;
  if (!fresh && application != schema::kApplicationId) {
    return Fail(ErrorKind::kCorrupt,
                file.string() + " is a SQLite database but not an outbox; set outbox.path to another file");
  }
  if (version > static_cast<std::int64_t>(schema::kMigrations.size())) {
    return Fail(ErrorKind::kCorrupt, file.string() + " was written by a later outboxd (format " +
                                         std::to_string(version) + ", this one knows " +
                                         std::to_string(schema::kMigrations.size()) +
                                         "); run that version or restore a backup");
  }
  return {};
}

Result<void> Migrate(Database& database, std::int64_t version) {
  for (std::size_t next = static_cast<std::size_t>(version); next < schema::kMigrations.size(); ++next) {
    std::string sql = "BEGIN IMMEDIATE;";
    sql += schema::kMigrations[next];
    sql += "PRAGMA application_id = " + std::to_string(schema::kApplicationId) + ";";
    sql += "PRAGMA user_version = " + std::to_string(next + 1) + ";COMMIT;";
    if (Result<void> done = database.Execute(sql); !done) {
      static_cast<void>(database.Execute("ROLLBACK"));
      return done;
    }
  }
  return {};
}

}  // namespace

Result<void> CheckIsFile(const std::filesystem::path& file) {
  struct stat status{};
  if (lstat(file.c_str(), &status) != 0 || S_ISREG(status.st_mode)) return {};
  return Fail(
      ErrorKind::kConflict,
      file.string() + " is not a regular file; set outbox.path to the outbox itself or to a new file");
}

Result<Database> OpenForWriting(const std::filesystem::path& file) {
  const mode_t before = umask(0027);  // the -wal and -shm files take after the main file
  Result<Database> database = Database::Open(file, OpenMode::kReadWrite);
  umask(before);
  if (!database) return database;
  ASSIGN_OR_RETURN(const std::int64_t version, database->Scalar("PRAGMA user_version"));
  RETURN_IF_ERROR(CheckIdentity(*database, file, version));
  RETURN_IF_ERROR(Configure(*database));
  if (Result<void> migrated = Migrate(*database, version); !migrated)
    return Failure(AsDamage(file, std::move(migrated).error()));
  return database;
}

Error AsDamage(const std::filesystem::path& file, Error error) {
  return error.kind == ErrorKind::kInternal ? DamagedFile(file, error.message) : std::move(error);
}

}  // namespace outboxd
