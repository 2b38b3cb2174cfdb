// storage/start_stamp.h — tells a WAL that belongs to the outbox beside it from one that was left by another.
//
// Each start writes a random stamp into the file, checkpoints it into the main file, and notes it in the lock
// file. A file that was put back over a live one's remains has another stamp than the lock: its WAL, applied
// to it, would damage it. A backup has none (Database::BackupTo), so that it is not taken for its original.
//
// Threads: one. Errors: as each function says.
#pragma once

#include <filesystem>
#include <string>

#include "core/result.h"
#include "storage/database.h"
#include "storage/file_lock.h"

namespace outboxd {

// Before `file` is opened for writing. kConflict: a WAL with content lies beside it that is not its own; says
// what to do. A file that cannot be read without its WAL is not refused. What the lock
// knows of another file than this one is forgotten.
Result<void> CheckWalBelongs(const std::filesystem::path& file, FileLock& lock);

// Sixteen hexadecimal digits. Nothing is said when it cannot be written: then the next start goes by the
// stamps that the file may have.
void WriteStartStamp(Database& database, FileLock& lock, const std::string& stamp);

}  // namespace outboxd
