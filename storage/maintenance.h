// storage/maintenance.h — keeps the outbox's file in bounds: history that is too old, room it no longer
// needs.
//
// Threads: belongs to the thread of its Outbox. Errors: those of storage/outbox.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "core/result.h"
#include "core/time.h"
#include "storage/outbox_file.h"

namespace outboxd {

class Maintenance {
 public:
  // `file` outlives it.
  explicit Maintenance(OutboxFile& file) : file_(&file) {}

  // Whole packs of history that are older than `before`, or beyond `rows_max_kept` attempts; looks at about
  // `rows_max` attempts a call. True while there is more to do.
  Result<bool> PruneHistory(Timestamp before, std::uint64_t rows_max_kept, std::size_t rows_max);
  // Gives free pages beyond `pages_kept` back to the file system, at most `pages_max` a call. True while
  // there is more to give.
  Result<bool> Shrink(std::size_t pages_max, std::size_t pages_kept);
  // Of the main file, without its free pages, and of what is held of the WAL.
  Result<std::uint64_t> UsedBytes();
  // What the last checkpoint could not move from the WAL, because somebody reads an older state.
  std::uint64_t HeldWalBytes();

  // Checkpoints what no reader needs of the WAL, without waiting: what Shrink() gave back is free only then.
  Result<void> Checkpoint();
  // Checkpoints the WAL and truncates it, without waiting for those who read it: then false, and it stays.
  Result<bool> TruncateWal() { return file_->TruncateWal(); }
  // After a forget until the WAL, which may hold what was erased, was truncated.
  bool MustTruncateWal() const { return file_->MustTruncateWal(); }

 private:
  static constexpr std::int64_t kFromStart = std::numeric_limits<std::int64_t>::min();
  OutboxFile* file_;
  std::int64_t prune_after_ = kFromStart;  // a pack's id
};

}  // namespace outboxd
