// The operator's part of Outbox: redrive, drop, cancel, forget, and the housekeeping that runs between commits.
#include <algorithm>
#include <array>
#include <string>

#include "storage/column.h"
#include "storage/outbox.h"

namespace outboxd {
namespace {

constexpr std::string_view kRedrive =
    "INSERT OR REPLACE INTO outbox (seq, job, connection, type, customer, accepted_ms, redriven_ms, attempts, reason, line, uid) "
    "SELECT seq, job, connection, type, customer, accepted_ms, ?, attempts, reason, line, uid FROM dead_letters WHERE seq = ?";
constexpr std::string_view kCancel =
    "INSERT OR REPLACE INTO dead_letters (seq, job, connection, type, customer, accepted_ms, dead_ms, death, reason, cause, attempts, line, uid) "
    "SELECT seq, job, connection, type, customer, accepted_ms, ?, 'cancelled', 'cancelled by an operator', 'cancelled by an operator', "
    "attempts, line, uid FROM outbox WHERE seq = ?";

}  // namespace

// The first rows of `table` that meet `condition`, with their connections.
Result<std::vector<std::pair<Sequence, std::string>>> Outbox::Matching(std::string_view table, const SqlCondition& condition,
                                                                      std::size_t rows_max) {
  Result<Statement> rows = database_.Prepare("SELECT seq, connection FROM " + std::string(table) + " WHERE " + condition.sql +
                                             " ORDER BY seq LIMIT " + std::to_string(rows_max));
  if (!rows) return Failure(rows.error());
  condition.BindTo(*rows, 1);
  std::vector<std::pair<Sequence, std::string>> found;
  for (;;) {
    const Result<bool> row = rows->Step();
    if (!row) return Failure(row.error());
    if (!*row) return found;
    found.emplace_back(Sequence{static_cast<std::uint64_t>(rows->Int(0))}, rows->Text(1));
  }
}

Result<Outbox::Step> Outbox::Redrive(const DeadFilter& filter, Timestamp now, std::size_t rows_max) {
  Step step;
  const SqlCondition condition = ToSql(filter);
  Result<void> done = Transaction([&]() -> Result<void> {
    const auto rows = Matching("dead_letters", condition, rows_max);
    if (!rows) return Failure(rows.error());
    Result<Statement> revive = database_.Prepare(kRedrive);
    Result<Statement> remove = database_.Prepare("DELETE FROM dead_letters WHERE seq = ?");
    if (!revive || !remove) return Failure(revive ? remove.error() : revive.error());
    for (const auto& [sequence, connection] : *rows) {
      if (Result<void> revived = revive->Bind(1, ToUnixMs(now)).Bind(2, ToSql(sequence)).Run(); !revived) return revived;
      if (Result<void> removed = remove->Bind(1, ToSql(sequence)).Run(); !removed) return removed;
      Counts& counts = Touch(connection);
      ++counts.jobs;
      --counts.dead;
      step.sequences.push_back(sequence);
    }
    return {};
  });
  if (!done) return Failure(done.error());
  step.more = step.sequences.size() == rows_max;
  return step;
}

Result<Outbox::Step> Outbox::Drop(const DeadFilter& filter, std::size_t rows_max) {
  Step step;
  const SqlCondition condition = ToSql(filter);
  Result<void> done = Transaction([&]() -> Result<void> {
    const auto rows = Matching("dead_letters", condition, rows_max);
    if (!rows) return Failure(rows.error());
    Result<Statement> remove = database_.Prepare("DELETE FROM dead_letters WHERE seq = ?");
    if (!remove) return Failure(remove.error());
    for (const auto& [sequence, connection] : *rows) {
      if (Result<void> removed = remove->Bind(1, ToSql(sequence)).Run(); !removed) return removed;
      --Touch(connection).dead;
      step.sequences.push_back(sequence);
    }
    return {};
  });
  if (!done) return Failure(done.error());
  step.more = step.sequences.size() == rows_max;
  return step;
}

Result<Outbox::Step> Outbox::Cancel(Sequence sequence, Timestamp now) {
  JobFilter filter;
  filter.sequence = sequence;
  const SqlCondition condition = ToSql(filter);
  Step step;
  Result<void> done = Transaction([&]() -> Result<void> {
    const auto rows = Matching("outbox", condition, 1);
    if (!rows) return Failure(rows.error());
    if (rows->empty()) return Fail(ErrorKind::kNotFound, "no such waiting job", "job");
    Result<Statement> bury = database_.Prepare(kCancel);
    if (!bury) return Failure(bury.error());
    if (Result<void> buried = bury->Bind(1, ToUnixMs(now)).Bind(2, ToSql(sequence)).Run(); !buried) return buried;
    if (Result<void> removed = remove_.Bind(1, ToSql(sequence)).Run(); !removed) return removed;
    Counts& counts = Touch(rows->front().second);
    --counts.jobs;
    ++counts.dead;
    step.sequences.push_back(sequence);
    return {};
  });
  if (!done) return Failure(done.error());
  return step;
}

Result<Outbox::Step> Outbox::Forget(const std::string& customer, const std::optional<std::string>& connection, std::size_t rows_max,
                                    Counts& forgotten) {
  SqlCondition condition{"customer = ?", {customer}};
  if (connection) {
    condition.sql += " AND connection = ?";
    condition.values.emplace_back(*connection);
  }
  if (Result<void> erase = database_.Execute("PRAGMA secure_delete = ON"); !erase) return Failure(erase.error());
  Step step;
  Counts erased;
  Result<void> done = Transaction([&]() -> Result<void> {
    constexpr std::array<std::pair<std::string_view, std::uint64_t Counts::*>, 3> kTables = {
        {{"outbox", &Counts::jobs}, {"dead_letters", &Counts::dead}, {"attempts", &Counts::attempts}}};
    for (const auto& [table, count] : kTables) {
      const auto rows = Matching(table, condition, rows_max);
      if (!rows) return Failure(rows.error());
      Result<Statement> remove = database_.Prepare("DELETE FROM " + std::string(table) + " WHERE seq = ?");
      if (!remove) return Failure(remove.error());
      for (const auto& [sequence, name] : *rows) {
        if (Result<void> removed = remove->Bind(1, ToSql(sequence)).Run(); !removed) return removed;
        const auto gone = static_cast<std::uint64_t>(database_.Changes());
        Touch(name).*count -= gone;
        erased.*count += gone;
        if (table == "outbox") step.sequences.push_back(sequence);
      }
      step.more = step.more || rows->size() == rows_max;
    }
    return {};
  });
  static_cast<void>(database_.Execute("PRAGMA secure_delete = OFF"));
  if (!done) return Failure(done.error());
  forgotten.jobs += erased.jobs;
  forgotten.dead += erased.dead;
  forgotten.attempts += erased.attempts;
  if (!step.more) static_cast<void>(Checkpoint());  // else the log would still hold what was erased
  return step;
}

// Attempts are stored in the order of their jobs, which is nearly that of time: the walk goes through the oldest jobs until it meets a
// stretch in which nothing is old enough, and starts over the next time.
Result<bool> Outbox::PruneHistory(Timestamp before, std::uint64_t rows_max_kept, std::size_t rows_max) {
  const std::uint64_t held = Total().attempts;
  const std::uint64_t excess = held > rows_max_kept ? held - rows_max_kept : 0;
  Result<Statement> rows = database_.Prepare(
      "SELECT seq, attempt, connection, sent_ms FROM attempts WHERE (seq, attempt) > (?, ?) ORDER BY seq, attempt LIMIT ?");
  if (!rows) return Failure(rows.error());
  if (excess > 0) prune_after_ = {0, 0};
  rows->Bind(1, prune_after_.first).Bind(2, prune_after_.second).Bind(3, static_cast<std::int64_t>(rows_max));
  std::size_t seen = 0;
  std::uint64_t removed = 0;
  Result<void> done = Transaction([&]() -> Result<void> {
    Result<Statement> remove = database_.Prepare("DELETE FROM attempts WHERE seq = ? AND attempt = ?");
    if (!remove) return Failure(remove.error());
    for (;;) {
      const Result<bool> row = rows->Step();
      if (!row) return Failure(row.error());
      if (!*row) return {};
      ++seen;
      prune_after_ = {rows->Int(0), rows->Int(1)};
      if (removed >= excess && rows->Int(3) >= ToUnixMs(before)) continue;
      if (Result<void> gone = remove->Bind(1, rows->Int(0)).Bind(2, rows->Int(1)).Run(); !gone) return gone;
      --Touch(rows->Text(2)).attempts;
      ++removed;
    }
  });
  if (!done || removed == 0) prune_after_ = {0, 0};
  if (!done) return Failure(done.error());
  return removed > 0 && seen == rows_max;
}

Result<bool> Outbox::Shrink(std::size_t pages_max, std::size_t pages_kept) {
  const Result<std::int64_t> free_pages = database_.Scalar("PRAGMA freelist_count");
  if (!free_pages) return Failure(free_pages.error());
  const auto held = static_cast<std::size_t>(*free_pages);
  if (held <= pages_kept) return false;
  const std::size_t given = std::min(held - pages_kept, pages_max);
  Result<void> shrunk = database_.Execute("PRAGMA incremental_vacuum(" + std::to_string(given) + ")");
  if (!shrunk) return Failure(shrunk.error());
  return held - given > pages_kept;
}

Result<void> Outbox::Fold() { return database_.Execute("PRAGMA wal_checkpoint(PASSIVE)"); }

Result<void> Outbox::Checkpoint() { return database_.Execute("PRAGMA wal_checkpoint(TRUNCATE)"); }

Result<void> Outbox::TryWriting() {
  // Another value than before: SQLite does not write what stays the same.
  return Transaction([&] { return reserve_.Bind(1, static_cast<std::int64_t>(++reserved_)).Run(); });
}

}  // namespace outboxd
