#include "storage/maintenance.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/time.h"
#include "storage/column.h"
#include "storage/database.h"
#include "storage/history_pack.h"

namespace outboxd {

namespace {

constexpr std::string_view kPacks =
    "SELECT id, first_ms, last_ms, rows, records FROM history WHERE id > ? ORDER BY id";

}  // namespace

// Packs are stored in the order of recording, which is nearly that of time: the walk goes through the oldest
// until it meets a stretch in which nothing is old enough, and starts over the next time.
Result<bool> Maintenance::PruneHistory(Timestamp before, std::uint64_t rows_max_kept, std::size_t rows_max) {
  const std::uint64_t held = file_->counters().Total().attempts;
  const std::uint64_t excess = held > rows_max_kept ? held - rows_max_kept : 0;
  if (excess > 0) prune_after_ = kFromStart;
  ASSIGN_OR_RETURN(Statement packs, file_->database().Prepare(kPacks));
  packs.BindAll(prune_after_);
  std::uint64_t seen = 0, removed = 0;
  bool has_removed = false;
  Result<void> done = file_->Transaction([&]() -> Result<void> {
    ASSIGN_OR_RETURN(Statement remove_lines,
                     file_->database().Prepare("DELETE FROM amended WHERE amended_ms < ?"));
    RETURN_IF_ERROR(remove_lines.Run(ToSql(before)));
    ASSIGN_OR_RETURN(Statement remove, file_->database().Prepare("DELETE FROM history WHERE id = ?"));
    while (seen < rows_max) {
      ASSIGN_OR_RETURN(const bool row, packs.Step());
      if (!row) return {};
      prune_after_ = packs.Int(0);
      seen += std::max(CountAt(packs, 3), 1U);
      if (removed >= excess && packs.Int(2) >= ToSql(before)) continue;
      for (const AttemptRow& attempt : ReadPack(packs.Int(0), packs.Int(1), packs.Text(4))) {
        file_->counters().Subtract(attempt.connection, &Counts::attempts);
        ++removed;
      }
      RETURN_IF_ERROR(remove.Run(packs.Int(0)));
      has_removed = true;
    }
    return {};
  });
  if (!done || !has_removed) prune_after_ = kFromStart;
  if (!done) return Failure(done.error());
  return has_removed && seen >= rows_max;
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
