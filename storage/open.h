// storage/open.h — opening the outbox file for writing: its place, settings, identity check, page size,
// migrations. Used by storage/outbox_file.cc and storage/outbox.cc alone.
#pragma once

#include <filesystem>
#include <optional>

#include "core/result.h"
#include "storage/database.h"
#include "storage/upgrade.h"

namespace outboxd {

// A link would hide from the lock beside it whose outbox this is; a pipe or a device is waited for, or
// swallows what is written.
Result<void> CheckIsFile(const std::filesystem::path& file);

struct OpenedForWriting {
  Database database;
  std::optional<Error> pages_kept;  // why a small file with pages of another size was not rewritten
};

// kCorrupt when the file is damaged, not an outbox, or written by a later version; the message says what to
// do. The caller has its lock. A file of up to 64 MB with pages of another size than schema::kPageBytes is
// rewritten, by a transaction of SQLite's; where that fails it stays as it is. `before` is told of both; it
// may be empty.
Result<OpenedForWriting> OpenForWriting(const std::filesystem::path& file, const BeforeUpgrade& before);

// Of an error of our own statements in an opened file: kInternal becomes kCorrupt. They do not fit the schema
// that the file says it has, or a sequence would be used twice.
Error AsDamage(const std::filesystem::path& file, Error error);

}  // namespace outboxd
