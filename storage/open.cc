#include "storage/open.h"

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "core/result.h"
#include "storage/database.h"
#include "storage/schema.h"
#include "storage/upgrade.h"

namespace outboxd {
namespace {

// At this size the WAL is checkpointed, which delays one commit: 16 MB took 30 ms and more, and made nothing
// faster.
constexpr std::int64_t kWalBytes = 4 << 20;

// Rewritten within a second or two; larger ones would hold up the start, and need as much room on the disk.
constexpr std::int64_t kRewrittenBytes = 64 << 20;

Result<Upgrade> PlanFor(Database& database, std::int64_t version) {
  ASSIGN_OR_RETURN(const std::int64_t page_bytes, database.Scalar("PRAGMA page_size"));
  ASSIGN_OR_RETURN(const std::int64_t pages, database.Scalar("PRAGMA page_count"));
  Upgrade plan;
  plan.from = version;
  plan.to = static_cast<std::int64_t>(schema::kMigrations.size());
  plan.bytes = static_cast<std::uint64_t>(pages * page_bytes);
  plan.rewrites_pages =
      pages > 0 && page_bytes != schema::kPageBytes && pages * page_bytes <= kRewrittenBytes;
  return plan;
}

// A file that is made now is not an earlier version's.
bool IsWorthTelling(const Upgrade& plan) {
  return plan.from > 0 && (plan.from < plan.to || plan.rewrites_pages);
}

// VACUUM writes the file anew under a rollback journal, so whenever it is interrupted the next start has the
// old file or the new one. It needs the file for itself: a reader keeps it as it is until the next start.
Result<void> RewritePages(Database& database) {
  ASSIGN_OR_RETURN(const std::int64_t busy_ms, database.Scalar("PRAGMA busy_timeout"));
  Result<void> rewritten = database.Execute(
      "PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE;"
      "PRAGMA synchronous = EXTRA; PRAGMA page_size = " +
      std::to_string(schema::kPageBytes) + "; VACUUM");
  static_cast<void>(database.Execute("PRAGMA busy_timeout = " + std::to_string(busy_ms)));
  return rewritten;
}

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

Result<OpenedForWriting> OpenForWriting(const std::filesystem::path& file, const BeforeUpgrade& before) {
  const mode_t mask = umask(0027);  // the -wal and -shm files take after the main file
  Result<Database> database = Database::Open(file, OpenMode::kReadWrite);
  umask(mask);
  if (!database) return Failure(std::move(database).error());
  ASSIGN_OR_RETURN(const std::int64_t version, database->Scalar("PRAGMA user_version"));
  RETURN_IF_ERROR(CheckIdentity(*database, file, version));
  ASSIGN_OR_RETURN(const Upgrade plan, PlanFor(*database, version));
  if (before && IsWorthTelling(plan)) before(plan);
  std::optional<Error> pages_kept;
  if (plan.rewrites_pages) {
    if (Result<void> rewritten = RewritePages(*database); !rewritten)
      pages_kept = std::move(rewritten).error();
  }
  RETURN_IF_ERROR(Configure(*database));
  if (Result<void> migrated = Migrate(*database, version); !migrated)
    return Failure(AsDamage(file, std::move(migrated).error()));
  return OpenedForWriting{std::move(*database), std::move(pages_kept)};
}

Error AsDamage(const std::filesystem::path& file, Error error) {
  return error.kind == ErrorKind::kInternal ? DamagedFile(file, error.message) : std::move(error);
}

}  // namespace outboxd
