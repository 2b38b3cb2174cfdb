#include "storage/operator_work.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "storage/boots.h"
#include "storage/column.h"
#include "storage/counters.h"
#include "storage/database.h"
#include "storage/filter.h"
#include "storage/history_pack.h"
#include "storage/moved_row.h"
#include "storage/outcome.h"
#include "storage/sequences.h"

namespace outboxd {
namespace {

constexpr std::size_t kExaminedRows = 5000;  // in a step: some milliseconds

Result<void> Nothing(Sequence, std::string_view) {
  return {};
}

}  // namespace

// Of the next rows of `table` those that meet `condition`.
Result<OperatorWork::Examined> OperatorWork::Examine(const CountedTable& table, const SqlCondition& condition,
                                                     Sequence after, std::size_t rows_max) {
  ASSIGN_OR_RETURN(Statement rows,
                   file_->database().Prepare("SELECT seq, connection, " + condition.sql + " FROM " +
                                             std::string(table.name) + " WHERE seq > ? ORDER BY seq LIMIT " +
                                             std::to_string(kExaminedRows)));
  rows.BindAt(condition.BindTo(rows, 1), ToSql(after));
  Examined examined;
  examined.through = after;
  for (std::size_t count = 0; examined.matches.size() < rows_max; ++count) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    examined.at_end = !row && count < kExaminedRows;
    if (!row) return examined;
    examined.through = SequenceAt(rows, 0);
    if (rows.Int(2) != 0) examined.matches.emplace_back(examined.through, rows.Text(1));
  }
  return examined;
}

// Whose row it is, and how long its line.
Result<OperatorWork::Owner> OperatorWork::OwnerOf(const CountedTable& table, Sequence sequence) {
  ASSIGN_OR_RETURN(Statement row, file_->database().Prepare("SELECT uid, length(CAST(line AS BLOB)) FROM " +
                                                            std::string(table.name) + " WHERE seq = ?"));
  Owner owner;
  ASSIGN_OR_RETURN(const bool is_there, row.BindAll(ToSql(sequence)).Step());
  if (!is_there) return owner;
  if (!row.IsNull(0)) owner.user = static_cast<std::uint32_t>(row.Int(0));
  owner.bytes = static_cast<std::uint64_t>(row.Int(1));
  return owner;
}

Result<void> OperatorWork::ForgetUser(const CountedTable& table, Sequence sequence) {
  ASSIGN_OR_RETURN(const Owner owner, OwnerOf(table, sequence));
  if (table.count == &Counts::jobs) {
    file_->users().RemoveJobs(owner.user, 1, owner.bytes);
  } else {
    file_->users().RemoveDead(owner.user, owner.bytes);
  }
  return {};
}

// One step through `table`: rows that match are deleted and no longer counted, each after `before_each`.
template <typename BeforeEach>
Result<OperatorWork::Erased> OperatorWork::Erase(const CountedTable& table, const SqlCondition& condition,
                                                 Sequence after, std::size_t rows_max,
                                                 BeforeEach before_each) {
  Erased erased;
  Result<void> done = file_->Transaction([&]() -> Result<void> {
    ASSIGN_OR_RETURN(const Examined examined, Examine(table, condition, after, rows_max));
    ASSIGN_OR_RETURN(Statement remove,
                     file_->database().Prepare("DELETE FROM " + std::string(table.name) + " WHERE seq = ?"));
    ASSIGN_OR_RETURN(Statement forget_lanes,
                     file_->database().Prepare("DELETE FROM stowed_lanes WHERE seq = ?"));
    for (const auto& [sequence, connection] : examined.matches) {
      RETURN_IF_ERROR(ForgetUser(table, sequence));
      RETURN_IF_ERROR(before_each(sequence, connection));
      if (table.count == &Counts::jobs) RETURN_IF_ERROR(forget_lanes.Run(ToSql(sequence)));
      RETURN_IF_ERROR(remove.Run(ToSql(sequence)));
      const auto gone = static_cast<std::uint64_t>(file_->database().Changes());
      file_->counters().Subtract(connection, table.count, gone);
      erased.rows += gone;
      erased.sequences.push_back(sequence);
    }
    erased.through = examined.through;
    erased.at_end = examined.at_end;
    return {};
  });
  if (!done) return Failure(done.error());
  return erased;
}

template <typename BeforeEach>
Result<OperatorWork::Step> OperatorWork::EraseDead(const DeadFilter& filter, const SqlCondition& condition,
                                                   Walk& walk, std::size_t rows_max, BeforeEach before_each) {
  if (filter.sequence) walk.after = std::max(walk.after, Sequence{ToNumber(*filter.sequence) - 1});
  ASSIGN_OR_RETURN(Erased erased, Erase(kCountedTables[1], condition, walk.after, rows_max, before_each));
  walk.after = erased.through;
  return Step{std::move(erased.sequences), !erased.at_end && !filter.sequence};
}

Result<Statement> OperatorWork::PrepareRevival() {
  return file_->database().Prepare(
      "INSERT OR REPLACE INTO outbox (" OUTBOXD_KEPT_COLUMNS
      ", redriven_ms, redriven_boot, redriven_boot_ms, attempts, reason) SELECT " OUTBOXD_KEPT_VALUES
      ", ?, ?, ?, ifnull(attempts, 0), reason FROM dead_letters WHERE seq = ?");
}

Result<void> OperatorWork::ReplaceLine(const Amendment& amendment, Timestamp now) {
  const std::int64_t sequence = ToSql(amendment.sequence);
  ASSIGN_OR_RETURN(Statement keep,
                   file_->database().Prepare(
                       "INSERT OR REPLACE INTO amended (seq, amended_ms, job, connection, type, customer, "
                       "line) SELECT seq, ?, job, connection, type, customer, ifnull(line, '') FROM "
                       "dead_letters WHERE seq = ? AND job = ?"));
  RETURN_IF_ERROR(keep.Run(ToSql(now), sequence, amendment.job));
  if (file_->database().Changes() == 0)
    return Fail(ErrorKind::kNotFound, "no such dead letter: " + amendment.job, "job");
  ASSIGN_OR_RETURN(Statement replace,
                   file_->database().Prepare("UPDATE dead_letters SET line = ?, customer = ? WHERE seq = ?"));
  return replace.Run(amendment.line, TextOrNull{amendment.customer}, sequence);
}

Result<OperatorWork::Step> OperatorWork::Amend(const Amendment& amendment, Timestamp now) {
  ASSIGN_OR_RETURN(Statement revive, PrepareRevival());
  ASSIGN_OR_RETURN(Statement remove, file_->database().Prepare("DELETE FROM dead_letters WHERE seq = ?"));
  ASSIGN_OR_RETURN(Statement where,
                   file_->database().Prepare("SELECT connection FROM dead_letters WHERE seq = ?"));
  if (ToNumber(amendment.sequence) >= Sequences::kEnd)
    return Fail(ErrorKind::kNotFound, "no such dead letter: " + amendment.job, "job");
  ++redrives_;
  const BootMoment& moment = file_->moment();
  const std::int64_t sequence = ToSql(amendment.sequence);
  Result<void> done = file_->Transaction([&]() -> Result<void> {
    ASSIGN_OR_RETURN(const Owner before, OwnerOf(kCountedTables[1], amendment.sequence));
    RETURN_IF_ERROR(ReplaceLine(amendment, now));
    ASSIGN_OR_RETURN(const bool is_there, where.BindAll(sequence).Step());
    const std::string connection(is_there ? where.Text(0) : std::string_view());
    where.Reset();
    RETURN_IF_ERROR(revive.Run(ToSql(now), moment.MovingBoot(), moment.MovingSql(), sequence));
    RETURN_IF_ERROR(remove.Run(sequence));
    file_->users().RemoveDead(before.user, before.bytes);
    file_->users().AddJob(before.user, amendment.line.size());
    file_->counters().Subtract(connection, &Counts::dead);
    file_->counters().Add(connection, &Counts::jobs);
    return {};
  });
  if (!done) return Failure(done.error());
  return Step{{amendment.sequence}, false};
}

Result<OperatorWork::Step> OperatorWork::Redrive(const DeadFilter& filter, Walk& walk, Timestamp now,
                                                 std::size_t rows_max) {
  ASSIGN_OR_RETURN(Statement revive, PrepareRevival());
  ++redrives_;
  SqlCondition condition = ToSql(filter);
  // With a number that no job can have it would hold up the new ones, and no start would take the outbox.
  condition.sql += " AND seq < " + std::to_string(Sequences::kEnd);
  const BootMoment& moment = file_->moment();
  const auto bring_back = [&](Sequence sequence, std::string_view connection) -> Result<void> {
    file_->counters().Add(connection, &Counts::jobs);
    ASSIGN_OR_RETURN(const Owner owner, OwnerOf(kCountedTables[1], sequence));
    file_->users().AddJob(owner.user, owner.bytes);
    return revive.Run(ToSql(now), moment.MovingBoot(), moment.MovingSql(), ToSql(sequence));
  };
  return EraseDead(filter, condition, walk, rows_max, bring_back);
}

Result<OperatorWork::Step> OperatorWork::Drop(const DeadFilter& filter, Walk& walk, std::size_t rows_max) {
  file_->NoteErasing();
  return EraseDead(filter, ToSql(filter), walk, rows_max, Nothing);
}

Result<std::string> OperatorWork::Cancel(Sequence sequence, Timestamp now) {
  Database& database = file_->database();
  std::string connection;
  Result<void> done = file_->Transaction([&]() -> Result<void> {
    ASSIGN_OR_RETURN(Statement job, database.Prepare("SELECT connection FROM outbox WHERE seq = ?"));
    ASSIGN_OR_RETURN(const bool is_there, job.BindAll(ToSql(sequence)).Step());
    if (!is_there) return Fail(ErrorKind::kNotFound, "no such waiting job", "job");
    connection = job.Text(0);
    job.Reset();
    ASSIGN_OR_RETURN(const Owner owner, OwnerOf(kCountedTables[0], sequence));
    file_->users().RemoveJobs(owner.user, 1, owner.bytes);
    file_->users().AddDead(owner.user, owner.bytes);
    ASSIGN_OR_RETURN(Statement bury,
                     database.Prepare("INSERT OR REPLACE INTO dead_letters (" OUTBOXD_KEPT_COLUMNS
                                      ", dead_ms, death, reason, cause, attempts) SELECT " OUTBOXD_KEPT_VALUES
                                      ", ?, ?, ?, ?, ifnull(attempts, 0) FROM outbox WHERE seq = ?"));
    constexpr std::string_view kReason = "cancelled by an operator";
    RETURN_IF_ERROR(bury.Run(ToSql(now), DeathName(Death::kCancelled), kReason, kReason, ToSql(sequence)));
    ASSIGN_OR_RETURN(Statement remove, database.Prepare("DELETE FROM outbox WHERE seq = ?"));
    RETURN_IF_ERROR(remove.Run(ToSql(sequence)));
    ASSIGN_OR_RETURN(Statement forget_lanes, database.Prepare("DELETE FROM stowed_lanes WHERE seq = ?"));
    RETURN_IF_ERROR(forget_lanes.Run(ToSql(sequence)));
    file_->counters().Subtract(connection, &Counts::jobs);
    file_->counters().Add(connection, &Counts::dead);
    return {};
  });
  if (!done) return Failure(done.error());
  return connection;
}

// With the rows' bytes overwritten in the file.
template <typename Work>
Result<OperatorWork::Erased> OperatorWork::Overwriting(const Work& erase) {
  RETURN_IF_ERROR(file_->database().Execute("PRAGMA secure_delete = ON"));
  Result<Erased> erased = erase();
  static_cast<void>(file_->database().Execute("PRAGMA secure_delete = OFF"));
  if (erased && erased->rows > 0) file_->NoteErasedInWal();
  return erased;
}

Result<OperatorWork::Erased> OperatorWork::EraseRows(const CountedTable& table, const Whose& whose,
                                                     Sequence after, std::size_t rows_max) {
  SqlCondition condition{"customer = ?", {whose.customer}};
  if (whose.connection) {
    condition.sql += " AND connection = ?";
    condition.values.emplace_back(*whose.connection);
  }
  return Erase(table, condition, after, rows_max, Nothing);
}

// One step through the packs: those with attempts of the customer are written anew without them.
Result<OperatorWork::Erased> OperatorWork::EraseAttempts(const Whose& whose, Sequence after,
                                                         std::size_t rows_max) {
  const std::optional<std::string> text = TextInPack(whose.customer);
  Erased erased;
  erased.through = after;
  Result<void> done = file_->Transaction([&]() -> Result<void> {
    ASSIGN_OR_RETURN(Statement packs,
                     file_->database().Prepare("SELECT id, first_ms, records, rows FROM history WHERE id > ? "
                                               "ORDER BY id"));
    packs.BindAll(ToSql(after));
    for (std::size_t examined = 0; examined < kExaminedRows && erased.rows < rows_max;) {
      ASSIGN_OR_RETURN(const bool row, packs.Step());
      erased.at_end = !row;
      if (!row) return {};
      erased.through = SequenceAt(packs, 0);
      ++examined;
      if (text && packs.Text(2).find(*text) == std::string_view::npos) continue;
      examined += CountAt(packs, 3);
      ASSIGN_OR_RETURN(const std::uint64_t gone, EraseFromPack(packs, whose));
      erased.rows += gone;
    }
    return {};
  });
  if (!done) return Failure(done.error());
  return erased;
}

// How many attempts it had of the customer.
Result<std::uint64_t> OperatorWork::EraseFromPack(const Statement& pack, const Whose& whose) {
  std::vector<AttemptRow> kept = ReadPack(pack.Int(0), pack.Int(1), pack.Text(2));
  const bool is_unreadable = kept.empty() && TextInPack(whose.customer);
  const std::size_t gone = std::erase_if(kept, [&](const AttemptRow& attempt) {
    const bool is_theirs =
        attempt.customer == whose.customer && (!whose.connection || attempt.connection == *whose.connection);
    if (is_theirs) file_->counters().Subtract(attempt.connection, &Counts::attempts);
    return is_theirs;
  });
  if (gone == 0 && !is_unreadable) return gone;
  file_->NoteErasedInWal();
  if (kept.empty()) {
    ASSIGN_OR_RETURN(Statement remove, file_->database().Prepare("DELETE FROM history WHERE id = ?"));
    RETURN_IF_ERROR(remove.Run(pack.Int(0)));
    return gone;
  }
  PackBuilder anew;
  anew.Begin(pack.Int(0), TimeAt(pack, 1));
  for (const AttemptRow& attempt : kept) anew.Add(RecordOf(attempt), std::string::npos);
  ASSIGN_OR_RETURN(Statement replace,
                   file_->database().Prepare(
                       "UPDATE history SET first_ms = ?, last_ms = ?, rows = ?, records = ? WHERE id "
                       "= ?"));
  RETURN_IF_ERROR(replace.Run(ToSql(anew.first()), ToSql(anew.last()), static_cast<std::int64_t>(anew.size()),
                              anew.Finish(), pack.Int(0)));
  return gone;
}

// They are few: each was written by hand.
Result<void> OperatorWork::ForgetAmended(const std::string& customer,
                                         const std::optional<std::string>& connection) {
  Database& database = file_->database();
  RETURN_IF_ERROR(database.Execute("PRAGMA secure_delete = ON"));
  Result<void> done = file_->Transaction([&]() -> Result<void> {
    ASSIGN_OR_RETURN(Statement remove,
                     database.Prepare("DELETE FROM amended WHERE customer = ?1 AND (?2 IS NULL OR "
                                      "connection = ?2)"));
    RETURN_IF_ERROR(remove.Run(customer, TextOrNull{connection.value_or(std::string())}));
    if (database.Changes() > 0) file_->NoteErasedInWal();
    return {};
  });
  static_cast<void>(database.Execute("PRAGMA secure_delete = OFF"));
  return done;
}

// Through one table after another. A job redriven meanwhile may have gone back behind the walk, which then
// begins anew.
Result<OperatorWork::Step> OperatorWork::Forget(const std::string& customer,
                                                const std::optional<std::string>& connection, Walk& walk,
                                                std::size_t rows_max, Counts& forgotten) {
  if (walk.table == 0 && walk.after == Sequence{}) walk.redrives = redrives_;
  file_->NoteErasing();
  if (walk.after == Sequence{}) RETURN_IF_ERROR(ForgetAmended(customer, connection));
  const CountedTable& table = kCountedTables[walk.table];
  const Whose whose{customer, connection};
  ASSIGN_OR_RETURN(Erased erased, Overwriting([&] {
                     return table.count == &Counts::attempts ? EraseAttempts(whose, walk.after, rows_max)
                                                             : EraseRows(table, whose, walk.after, rows_max);
                   }));
  forgotten.*table.count += erased.rows;
  Step step;
  if (walk.table == 0) step.sequences = std::move(erased.sequences);
  walk.after = erased.at_end ? Sequence{} : erased.through;
  walk.table += erased.at_end ? 1 : 0;
  if (walk.table == kCountedTables.size() && walk.redrives != redrives_) walk = {};
  step.more = walk.table < kCountedTables.size();
  if (!step.more && file_->MustTruncateWal()) static_cast<void>(file_->TruncateWal());
  return step;
}

}  // namespace outboxd
