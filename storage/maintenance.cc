#include "storage/maintenance.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/result.h"
#include "core/time.h"
#include "storage/column.h"
#include "storage/database.h"

namespace outboxd {

// Attempts are stored in the order of their jobs, which is nearly that of time: the walk goes through the
// oldest jobs until it meets a stretch in which nothing is old enough, and starts over the next time.
Result<bool> Maintenance::PruneHistory(Timestamp before, std::uint64_t rows_max_kept, std::size_t rows_max) {
  const std::uint64_t held = file_->counters().Total().attempts;
  const std::uint64_t excess = held > rows_max_kept ? held - rows_max_kept : 0;
  ASSIGN_OR_RETURN(Statement rows, file_->database().Prepare(
                                       "SELECT seq, attempt, connection, sent_ms FROM attempts WHERE (seq, "
                                       "attempt) > (?, ?) ORDER BY seq, attempt LIMIT ?"));
  if (excess > 0) prune_after_ = {0, 0};
  rows.BindAll(prune_after_.first, prune_after_.second, static_cast<std::int64_t>(rows_max));
  std::size_t seen = 0;
  std::uint64_t removed = 0;
  Result<void> done = file_->Transaction([&]() -> Result<void> {
    ASSIGN_OR_RETURN(Statement remove_lines,
                     file_->database().Prepare("DELETE FROM amended WHERE amended_ms < ?"));
    RETURN_IF_ERROR(remove_lines.Run(ToSql(before)));
    ASSIGN_OR_RETURN(Statement remove,
                     file_->database().Prepare("DELETE FROM attempts WHERE seq = ? AND attempt = ?"));
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) return {};
      ++seen;
      prune_after_ = {rows.Int(0), rows.Int(1)};
      if (removed >= excess && rows.Int(3) >= ToSql(before)) continue;
      RETURN_IF_ERROR(remove.Run(rows.Int(0), rows.Int(1)));
      if (file_->database().Changes() == 0) continue;  // a damaged key names no row
      file_->counters().Subtract(rows.Text(2), &Counts::attempts);
      ++removed;
    }
  });
  if (!done || removed == 0) prune_after_ = {0, 0};
  if (!done) return Failure(done.error());
  return removed > 0 && seen == rows_max;
}

Result<bool> Maintenance::Shrink(std::size_t pages_max, std::size_t pages_kept) {
  ASSIGN_OR_RETURN(const std::int64_t free_pages, file_->database().Scalar("PRAGMA freelist_count"));
  const auto held = static_cast<std::size_t>(free_pages);
  if (held <= pages_kept) return false;
  const std::size_t given = std::min(held - pages_kept, pages_max);
  RETURN_IF_ERROR(file_->database().Execute("PRAGMA incremental_vacuum(" + std::to_string(given) + ")"));
  return held - given > pages_kept;
}

Result<std::uint64_t> Maintenance::UsedBytes() {
  ASSIGN_OR_RETURN(const std::int64_t bytes,
                   file_->database().Scalar(
                       "SELECT (c.page_count - f.freelist_count) * s.page_size FROM pragma_page_count c, "
                       "pragma_freelist_count f, pragma_page_size s"));
  return static_cast<std::uint64_t>(bytes) + HeldWalBytes();
}

std::uint64_t Maintenance::HeldWalBytes() {
  constexpr std::uint64_t kFrameHeader = 24;
  const std::uint64_t frames = file_->database().HeldFrames();
  if (frames == 0) return 0;
  const Result<std::int64_t> page = file_->database().Scalar("PRAGMA page_size");
  return page ? frames * (static_cast<std::uint64_t>(*page) + kFrameHeader) : 0;
}

Result<void> Maintenance::Checkpoint() {
  return file_->database().Checkpoint();
}

}  // namespace outboxd
