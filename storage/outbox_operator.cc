// The operator's part of Outbox: redrive, drop, cancel, forget, and the housekeeping that runs between
// commits.
#include <algorithm>
#include <array>
#include <string>

#include "storage/column.h"
#include "storage/outbox.h"

namespace outboxd {
namespace {

constexpr std::string_view kRedrive =
    "INSERT OR REPLACE INTO outbox (seq, job, connection, type, customer, accepted_ms, redriven_ms, "
    "attempts, reason, line, uid) "
    "SELECT seq, job, connection, type, customer, accepted_ms, ?, attempts, reason, line, uid FROM "
    "dead_letters WHERE seq = ?";
constexpr std::string_view kCancel =
    "INSERT OR REPLACE INTO dead_letters (seq, job, connection, type, customer, accepted_ms, dead_ms, death, "
    "reason, cause, attempts, line, uid) "
    "SELECT seq, job, connection, type, customer, accepted_ms, ?, 'cancelled', 'cancelled by an operator', "
    "'cancelled by an operator', "
    "attempts, line, uid FROM outbox WHERE seq = ?";

// Looked at in a step: some milliseconds.
constexpr std::size_t kExaminedRows = 5000;

}  // namespace

// Of the next rows of `table` those that meet `condition`.
Result<Outbox::Examined> Outbox::Examine(std::string_view table, const SqlCondition& condition,
                                         Sequence after, std::size_t rows_max) {
  ASSIGN_OR_RETURN(
      Statement rows,
      database_.Prepare("SELECT seq, connection, " + condition.sql + " FROM " + std::string(table) +
                        " WHERE seq > ? ORDER BY seq LIMIT " + std::to_string(kExaminedRows)));
  rows.Bind(condition.BindTo(rows, 1), ToSql(after));
  Examined examined;
  examined.through = after;
  for (std::size_t count = 0; examined.matches.size() < rows_max; ++count) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    examined.at_end = !row && count < kExaminedRows;
    if (!row) return examined;
    examined.through = SequenceAt(rows, 0);
    const bool is_new = examined.matches.empty() ||
                        examined.matches.back().first != examined.through;  // a job has many attempts
    if (rows.Int(2) != 0 && is_new) examined.matches.emplace_back(examined.through, rows.Text(1));
  }
  return examined;
}

// One step through the dead letters: `change` and then removes those that match.
template <typename Change>
Result<Outbox::Step> Outbox::ForEachDead(const DeadFilter& filter, Walk& walk, std::size_t rows_max,
                                         Change change) {
  const SqlCondition condition = ToSql(filter);
  if (filter.sequence) walk.after = std::max(walk.after, Sequence{ToNumber(*filter.sequence) - 1});
  Step step;
  Examined examined;
  Result<void> done = Transaction([&]() -> Result<void> {
    ASSIGN_OR_RETURN(Examined rows, Examine("dead_letters", condition, walk.after, rows_max));
    examined = std::move(rows);
    ASSIGN_OR_RETURN(Statement remove, database_.Prepare("DELETE FROM dead_letters WHERE seq = ?"));
    for (const auto& [sequence, connection] : examined.matches) {
      RETURN_IF_ERROR(change(sequence, Touch(connection)));
      RETURN_IF_ERROR(remove.Bind(1, ToSql(sequence)).Run());
      --Touch(connection).dead;
      step.sequences.push_back(sequence);
    }
    return {};
  });
  if (!done) return Failure(done.error());
  walk.after = examined.through;
  step.more = !examined.at_end && !filter.sequence;
  return step;
}

Result<Outbox::Step> Outbox::Redrive(const DeadFilter& filter, Walk& walk, Timestamp now,
                                     std::size_t rows_max) {
  ASSIGN_OR_RETURN(Statement revive, database_.Prepare(kRedrive));
  ++redrives_;
  return ForEachDead(filter, walk, rows_max, [&](Sequence sequence, Counts& counts) {
    ++counts.jobs;
    return revive.Bind(1, ToUnixMs(now)).Bind(2, ToSql(sequence)).Run();
  });
}

Result<Outbox::Step> Outbox::Drop(const DeadFilter& filter, Walk& walk, std::size_t rows_max) {
  has_erased_ = true;
  return ForEachDead(filter, walk, rows_max, [](Sequence, Counts&) { return Result<void>(); });
}

Result<std::string> Outbox::Cancel(Sequence sequence, Timestamp now) {
  std::string connection;
  Result<void> done = Transaction([&]() -> Result<void> {
    Result<Statement> row = database_.Prepare("SELECT connection FROM outbox WHERE seq = ?");
    Result<Statement> bury = database_.Prepare(kCancel);
    if (!row || !bury) return Failure(row ? bury.error() : row.error());
    ASSIGN_OR_RETURN(const bool found, row->Bind(1, ToSql(sequence)).Step());
    if (!found) return Fail(ErrorKind::kNotFound, "no such waiting job", "job");
    connection = row->Text(0);
    row->Reset();
    RETURN_IF_ERROR(bury->Bind(1, ToUnixMs(now)).Bind(2, ToSql(sequence)).Run());
    RETURN_IF_ERROR(remove_.Bind(1, ToSql(sequence)).Run());
    Counts& counts = Touch(connection);
    --counts.jobs;
    ++counts.dead;
    return {};
  });
  if (!done) return Failure(done.error());
  return connection;
}

// Through one table after another. A job redriven meanwhile may have gone back behind the walk, which then
// begins anew.
Result<Outbox::Step> Outbox::Forget(const std::string& customer, const std::optional<std::string>& connection,
                                    Walk& walk, std::size_t rows_max, Counts& forgotten) {
  constexpr std::array<std::pair<std::string_view, std::uint64_t Counts::*>, 3> kTables = {
      {{"outbox", &Counts::jobs}, {"dead_letters", &Counts::dead}, {"attempts", &Counts::attempts}}};
  if (walk.table == 0 && walk.after == Sequence{}) walk.redrives = redrives_;
  has_erased_ = true;
  const auto& [table, count] = kTables[walk.table];
  SqlCondition condition{"customer = ?", {customer}};
  if (connection) {
    condition.sql += " AND connection = ?";
    condition.values.emplace_back(*connection);
  }
  RETURN_IF_ERROR(database_.Execute("PRAGMA secure_delete = ON"));
  Step step;
  Examined examined;
  std::uint64_t erased = 0;
  Result<void> done = Transaction([&]() -> Result<void> {
    ASSIGN_OR_RETURN(Examined rows, Examine(table, condition, walk.after, rows_max));
    examined = std::move(rows);
    ASSIGN_OR_RETURN(Statement remove,
                     database_.Prepare("DELETE FROM " + std::string(table) + " WHERE seq = ?"));
    for (const auto& [sequence, name] : examined.matches) {
      RETURN_IF_ERROR(remove.Bind(1, ToSql(sequence)).Run());
      const auto gone = static_cast<std::uint64_t>(database_.Changes());
      Touch(name).*count -= gone;
      erased += gone;
      if (walk.table == 0) step.sequences.push_back(sequence);
    }
    return {};
  });
  static_cast<void>(database_.Execute("PRAGMA secure_delete = OFF"));
  if (!done) return Failure(done.error());
  forgotten.*count += erased;
  must_truncate_wal_ = must_truncate_wal_ || erased > 0;
  walk.after = examined.at_end ? Sequence{} : examined.through;
  walk.table += examined.at_end ? 1 : 0;
  if (walk.table == kTables.size() && walk.redrives != redrives_) walk = {};
  step.more = walk.table < kTables.size();
  if (!step.more && must_truncate_wal_) static_cast<void>(TruncateWal());
  return step;
}

// Attempts are stored in the order of their jobs, which is nearly that of time: the walk goes through the
// oldest jobs until it meets a stretch in which nothing is old enough, and starts over the next time.
Result<bool> Outbox::PruneHistory(Timestamp before, std::uint64_t rows_max_kept, std::size_t rows_max) {
  const std::uint64_t held = Total().attempts;
  const std::uint64_t excess = held > rows_max_kept ? held - rows_max_kept : 0;
  ASSIGN_OR_RETURN(Statement rows, database_.Prepare("SELECT seq, attempt, connection, sent_ms FROM attempts "
                                                     "WHERE (seq, attempt) > (?, ?) ORDER BY seq, "
                                                     "attempt LIMIT ?"));
  if (excess > 0) prune_after_ = {0, 0};
  rows.Bind(1, prune_after_.first).Bind(2, prune_after_.second).Bind(3, static_cast<std::int64_t>(rows_max));
  std::size_t seen = 0;
  std::uint64_t removed = 0;
  Result<void> done = Transaction([&]() -> Result<void> {
    ASSIGN_OR_RETURN(Statement remove,
                     database_.Prepare("DELETE FROM attempts WHERE seq = ? AND attempt = ?"));
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) return {};
      ++seen;
      prune_after_ = {rows.Int(0), rows.Int(1)};
      if (removed >= excess && rows.Int(3) >= ToUnixMs(before)) continue;
      RETURN_IF_ERROR(remove.Bind(1, rows.Int(0)).Bind(2, rows.Int(1)).Run());
      --Touch(rows.Text(2)).attempts;
      ++removed;
    }
  });
  if (!done || removed == 0) prune_after_ = {0, 0};
  if (!done) return Failure(done.error());
  return removed > 0 && seen == rows_max;
}

Result<bool> Outbox::Shrink(std::size_t pages_max, std::size_t pages_kept) {
  ASSIGN_OR_RETURN(const std::int64_t free_pages, database_.Scalar("PRAGMA freelist_count"));
  const auto held = static_cast<std::size_t>(free_pages);
  if (held <= pages_kept) return false;
  const std::size_t given = std::min(held - pages_kept, pages_max);
  RETURN_IF_ERROR(database_.Execute("PRAGMA incremental_vacuum(" + std::to_string(given) + ")"));
  return held - given > pages_kept;
}

Result<void> Outbox::Checkpoint() {
  return database_.Execute("PRAGMA wal_checkpoint(PASSIVE)");
}

Result<bool> Outbox::TruncateWal() {
  Result<bool> emptied = database_.TruncateWal();
  must_truncate_wal_ = must_truncate_wal_ && !(emptied && *emptied);
  return emptied;
}

Result<void> Outbox::TryWriting() {
  // Another value than before: SQLite does not write what stays the same.
  return Transaction([&] { return reserve_.Bind(1, static_cast<std::int64_t>(++reserved_)).Run(); });
}

}  // namespace outboxd
