// storage/restore.h — puts a backup in the place of an outbox that no daemon has open.
//
// Threads: one; the process must not have the outbox open.
#pragma once

#include <cstdint>
#include <filesystem>

#include "core/result.h"

namespace outboxd {

struct Restored {
  std::filesystem::path aside;  // where the outbox that was there is now, with its -wal and -shm; empty: none
  std::uint64_t bytes = 0, jobs = 0, dead = 0;
};

// Copies what `backup`, an open file named `name`, holds beside `outbox`, checks the copy, moves what is
// there aside, and puts the copy in its place, with the mode of the file before it. Holds the outbox's lock
// throughout. kConflict: an outboxd runs, or `name` has a WAL of its own; kCorrupt: not an outbox, of a later
// version, or damaged; kIo, kFull: the system refused. After an error the outbox is as it was, unless the
// message says where it is.
Result<Restored> RestoreOutbox(int backup, const std::filesystem::path& name,
                               const std::filesystem::path& outbox);

}  // namespace outboxd
