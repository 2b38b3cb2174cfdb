#include "storage/start_stamp.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "core/result.h"
#include "storage/database.h"
#include "storage/file_lock.h"

namespace outboxd {
namespace {

std::uintmax_t SizeOf(const std::filesystem::path& file) {
  std::error_code missing;
  const std::uintmax_t size = std::filesystem::file_size(file, missing);
  return missing ? 0 : size;
}

// As the main file alone has it: "" where it has none, nullopt where it cannot be read by itself. A crash
// within a checkpoint leaves it in parts, which the WAL mends.
std::optional<std::string> StampOf(const std::filesystem::path& file) {
  Result<Database> database = Database::Open(file, OpenMode::kImmutable);
  if (!database) return std::nullopt;
  const Result<std::int64_t> tables =
      database->Scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'start'");
  if (!tables) return std::nullopt;
  if (*tables == 0) return "";
  Result<Statement> read = database->Prepare("SELECT stamp FROM start");
  if (!read) return std::nullopt;
  const Result<bool> row = read->Step();
  if (!row) return std::nullopt;
  return *row ? std::string(read->Text(0)) : "";
}

Result<void> WriteStamp(Database& database, const std::string& stamp) {
  RETURN_IF_ERROR(database.Execute("BEGIN IMMEDIATE; DELETE FROM start"));
  Result<void> written = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(Statement insert, database.Prepare("INSERT INTO start (stamp) VALUES (?)"));
    RETURN_IF_ERROR(insert.Run(stamp));
    return database.Execute("COMMIT");
  }();
  if (!written) static_cast<void>(database.Execute("ROLLBACK"));
  return written;
}

// Once the WAL is in the main file, that has the stamp which is read.
void KeepOldStamp(Database& database, FileLock& lock) {
  const Result<bool> moved = database.TruncateWal();
  if (!moved || !*moved) return;
  Result<Statement> read = database.Prepare("SELECT stamp FROM start");
  if (!read) return;
  const Result<bool> row = read->Step();
  if (row && *row) static_cast<void>(lock.NoteStamps({std::string(read->Text(0))}));
}

}  // namespace

Result<void> CheckWalBelongs(const std::filesystem::path& file, FileLock& lock) {
  const std::string wal = file.string() + "-wal";
  const std::vector<std::string>& known = lock.Stamps();
  if (known.empty()) return {};
  const std::optional<std::string> stamp = StampOf(file);
  const bool is_known = stamp && std::find(known.begin(), known.end(), *stamp) != known.end();
  if (SizeOf(wal) == 0) return is_known ? Result<void>() : lock.NoteStamps({});
  const std::string what_to_do =
      ": with it the outbox would be damaged. Move " + wal + " and " + file.string() +
      "-shm to another place to go on with " + file.string() +
      " as it is, or put back the file that they belong to; the next time use outboxctl restore";
  if (SizeOf(file) == 0) {
    return Fail(ErrorKind::kConflict,
                wal + " holds jobs, but " + file.string() + " is gone or empty" + what_to_do);
  }
  if (!stamp || is_known) return {};
  return Fail(ErrorKind::kConflict, wal + " is not of " + file.string() +
                                        ", which was put in the place of another file" + what_to_do);
}

void WriteStartStamp(Database& database, FileLock& lock, const std::string& stamp) {
  std::vector<std::string> possible = lock.Stamps();
  // Starts whose stamps did not get into the main file, where the first may still stand: each of them counts,
  // so this start leaves none before that is over.
  if (possible.size() >= FileLock::kStampsMax) return KeepOldStamp(database, lock);
  possible.push_back(stamp);
  // The lock first: whatever the file has after a crash is known. A file of which nothing is known stays so
  // until its stamp stands in it.
  if (possible.size() > 1 && !lock.NoteStamps(possible)) return;
  if (!WriteStamp(database, stamp)) return;
  const Result<bool> moved = database.TruncateWal();
  if (moved && *moved) static_cast<void>(lock.NoteStamps({stamp}));
}

}  // namespace outboxd
