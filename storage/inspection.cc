#include "storage/inspection.h"

#include <string.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/job.h"
#include "core/result.h"
#include "core/ulid.h"
#include "storage/column.h"
#include "storage/database.h"
#include "storage/filter.h"
#include "storage/history_pack.h"
#include "storage/moving_time.h"

namespace outboxd {
namespace {

constexpr std::string_view kJobQuery =
    "SELECT seq, job, connection, type, customer, " OUTBOXD_ACCEPTED ", " OUTBOXD_REDRIVEN
    ", attempts, due_ms, parked, reason,"
    " length(CAST(line AS BLOB)), CASE WHEN json_valid(line) THEN json_extract(line, '$.ref') END, uid, "
    "charged, failures, suspicion, refusals, counted_ms, line FROM outbox WHERE seq = ?";
constexpr std::string_view kDeadQuery =
    "SELECT seq, job, connection, type, customer, " OUTBOXD_ACCEPTED
    ", dead_ms, death, status, reason, cause, "
    "attempts,"
    " CASE WHEN json_valid(line) THEN json_extract(line, '$.ref') END, uid, answer, line FROM dead_letters "
    "WHERE seq = ?";
constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

JobRow ReadJob(const Statement& row, Detail detail) {
  JobRow job;
  job.sequence = SequenceAt(row, 0);
  job.job = TextAt(row, 1);
  job.connection = TextAt(row, 2);
  job.type = TextAt(row, 3);
  job.customer = TextAt(row, 4);
  job.accepted = TimeAt(row, 5);
  job.redriven = TimeOrNullAt(row, 6);
  job.attempts = CountAt(row, 7);
  job.due = TimeOrNullAt(row, 8);
  if (row.IsInteger(9)) job.parked = row.Int(9);
  job.reason = TextAt(row, 10);
  job.bytes = static_cast<std::uint64_t>(row.Int(11));
  job.ref = TextOrNullAt(row, 12);
  job.uid = row.IntOrNull(13);
  job.failures = std::max(CountAt(row, 15), CountAt(row, 14));
  job.suspicion = kNames<Suspicion>.Find(row.Text(16)).value_or(Suspicion::kNone);
  job.refusals = CountAt(row, 17);
  job.counted = TimeOrNullAt(row, 18);
  if (detail == Detail::kFull) job.line = TextAt(row, 19);
  return job;
}

DeadRow ReadDead(const Statement& row, Detail detail) {
  DeadRow dead;
  dead.sequence = SequenceAt(row, 0);
  dead.job = TextAt(row, 1);
  dead.connection = TextAt(row, 2);
  dead.type = TextAt(row, 3);
  dead.customer = TextAt(row, 4);
  dead.accepted = TimeAt(row, 5);
  dead.dead = TimeAt(row, 6);
  dead.death = TextAt(row, 7);
  dead.status = row.IntOrNull(8);
  dead.reason = TextAt(row, 9);
  dead.cause = TextAt(row, 10);
  dead.attempts = CountAt(row, 11);
  dead.ref = TextOrNullAt(row, 12);
  dead.uid = row.IntOrNull(13);
  if (detail == Detail::kFull) {
    dead.answer = TextAt(row, 14);
    dead.line = TextAt(row, 15);
  }
  return dead;
}

DeadGroup ReadGroup(const Statement& row) {
  DeadGroup group;
  group.cause = TextAt(row, 0);
  group.death = TextAt(row, 1);
  group.status = row.IntOrNull(2);
  group.count = static_cast<std::uint64_t>(row.Int(3));
  group.first = TimeAt(row, 4);
  group.last = TimeAt(row, 5);
  group.example = TextAt(row, 6);
  return group;
}

std::size_t TextBytes(const JobRow& row) {
  return row.line.size();
}
std::size_t TextBytes(const DeadRow& row) {
  return row.line.size() + row.answer.size();
}

// The rows that `query` finds for each sequence in turn; one that is gone by now is left out. Stops behind
// the row that makes `bytes_max`.
template <typename Row, typename Read>
Result<std::vector<Row>> RowsOf(Database& database, std::string_view query,
                                const std::vector<Sequence>& sequences, Read read,
                                std::size_t bytes_max = kNoLimit) {
  std::vector<Row> rows;
  if (sequences.empty()) return rows;
  ASSIGN_OR_RETURN(Statement statement, database.Prepare(query));
  std::size_t bytes = 0;
  for (const Sequence sequence : sequences) {
    if (bytes >= bytes_max) break;
    statement.BindAll(ToSql(sequence));
    for (;;) {
      ASSIGN_OR_RETURN(bool found, statement.Step());
      if (!found) break;
      rows.push_back(read(statement));
      bytes += TextBytes(rows.back());
    }
    statement.Reset();
  }
  return rows;
}

// A page that was cut short by its size ends with its last row.
template <typename Row>
std::optional<Sequence> NextAfter(const std::vector<Row>& rows, const std::vector<Sequence>& found,
                                  std::optional<Sequence> next) {
  const bool is_cut = !rows.empty() && rows.back().sequence < found.back();
  return is_cut ? rows.back().sequence : next;
}

template <typename Row>
std::optional<Row> FirstOf(std::vector<Row> rows) {
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

}  // namespace

Result<Inspection> Inspection::Open(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(Database database, Database::Open(file, OpenMode::kReadOnly));
  return Inspection(std::move(database));
}

// `rows` names the table (and the index). The condition stands in the result, not in WHERE: that way every
// examined row is seen and the scan can be cut short. No column behind the condition's is read, so long lines
// cost nothing.
Result<Inspection::Found> Inspection::Scan(std::string_view rows, const SqlCondition& condition,
                                           const PageRequest& request, std::optional<Sequence> only) {
  std::string query = "SELECT seq, " + condition.sql + " FROM ";
  query += rows;
  query += " AND seq > ? AND seq <= ? ORDER BY seq";
  ASSIGN_OR_RETURN(Statement statement, database_.Prepare(query));
  const std::int64_t after = std::max(ToSql(request.after), only ? ToSql(*only) - 1 : 0);
  const std::int64_t last = only ? ToSql(*only) : std::numeric_limits<std::int64_t>::max();
  const int index = condition.BindTo(statement, 1);
  statement.BindAt(index, after);
  statement.BindAt(index + 1, last);

  Found found;
  std::size_t matches = 0;
  Sequence examined_last{};
  for (;;) {
    ASSIGN_OR_RETURN(bool row, statement.Step());
    if (!row) return found;
    if (found.examined == request.examined_max) break;
    ++found.examined;
    const Sequence sequence = SequenceAt(statement, 0);
    if (statement.Int(1) != 0) {
      const bool is_new = found.sequences.empty() || found.sequences.back() != sequence;
      if (is_new && matches >= request.rows_max) break;
      if (is_new) found.sequences.push_back(sequence);
      ++matches;
    }
    examined_last = sequence;
  }
  found.next = examined_last;
  return found;
}

Result<Page<JobRow>> Inspection::Jobs(const JobFilter& filter, const PageRequest& request) {
  // With stowed ones there may be millions: then it walks through the table, a page at a time.
  bool by_index = filter.deferred_only;
  if (by_index) {
    ASSIGN_OR_RETURN(const std::int64_t are_stowed,
                     database_.Scalar("SELECT EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_stowed WHERE "
                                      "stowed IS NOT NULL)"));
    by_index = are_stowed == 0;
  }
  const std::string_view rows =
      by_index ? "outbox INDEXED BY outbox_deferred WHERE due_ms IS NOT NULL AND stowed IS NULL"
               : "outbox WHERE 1";
  ASSIGN_OR_RETURN(Found found, Scan(rows, outboxd::ToSql(filter), request, filter.sequence));
  ASSIGN_OR_RETURN(auto jobs, RowsOf<JobRow>(database_, kJobQuery, found.sequences, [](const Statement& row) {
                     return ReadJob(row, Detail::kRow);
                   }));
  return Page<JobRow>{std::move(jobs), found.next, found.examined};
}

Result<std::optional<JobRow>> Inspection::Job(Sequence sequence) {
  ASSIGN_OR_RETURN(auto jobs, RowsOf<JobRow>(database_, kJobQuery, {sequence}, [](const Statement& row) {
                     return ReadJob(row, Detail::kFull);
                   }));
  return FirstOf(std::move(jobs));
}

Result<std::optional<JobRow>> Inspection::FirstJob(std::string_view query, const SqlCondition& values) {
  ASSIGN_OR_RETURN(Statement statement, database_.Prepare(query));
  values.BindTo(statement, 1);
  ASSIGN_OR_RETURN(bool row, statement.Step());
  if (!row) return std::optional<JobRow>();
  const Sequence first = SequenceAt(statement, 0);
  statement.Reset();
  return Job(first);
}

Result<std::optional<JobRow>> Inspection::DeferredBefore(const std::string& connection,
                                                         const std::string& customer, Sequence sequence) {
  ASSIGN_OR_RETURN(
      std::optional<JobRow> stowed,
      FirstJob("SELECT l.seq FROM stowed_lanes l CROSS JOIN outbox o ON o.seq = l.seq WHERE l.lane = ? AND "
               "l.seq < ? AND o.stowed IS NOT NULL AND o.due_ms IS NOT NULL ORDER BY l.seq LIMIT 1",
               SqlCondition{{}, {ToSql(MakeLaneKey(connection, customer)), ToSql(sequence)}}));
  if (stowed) return stowed;
  return FirstJob(
      "SELECT seq FROM outbox INDEXED BY outbox_deferred WHERE due_ms IS NOT NULL AND stowed IS NULL AND "
      "connection = ? AND customer = ? AND seq < ? ORDER BY seq LIMIT 1",
      SqlCondition{{}, {connection, customer, ToSql(sequence)}});
}

Result<std::optional<JobRow>> Inspection::ParkedBefore(std::int64_t parked, Sequence sequence) {
  ASSIGN_OR_RETURN(
      std::optional<JobRow> kept,
      FirstJob("SELECT l.seq FROM stowed_lanes l CROSS JOIN outbox o ON o.seq = l.seq WHERE "
               "l.lane = ? AND l.seq < ? AND o.stowed IS NOT NULL AND o.parked IS NOT NULL ORDER "
               "BY l.seq LIMIT 1",
               SqlCondition{{}, {parked, ToSql(sequence)}}));
  ASSIGN_OR_RETURN(std::optional<JobRow> here,
                   FirstJob("SELECT seq FROM outbox WHERE parked = ? AND seq < ? ORDER BY seq LIMIT 1",
                            SqlCondition{{}, {parked, ToSql(sequence)}}));
  return kept && here && here->sequence < kept->sequence ? here : kept ? kept : here;
}

Result<Page<DeadRow>> Inspection::DeadRows(const DeadFilter& filter, const PageRequest& request,
                                           Detail detail) {
  ASSIGN_OR_RETURN(Found found,
                   Scan("dead_letters WHERE 1", outboxd::ToSql(filter), request, filter.sequence));
  const auto read = [detail](const Statement& row) { return ReadDead(row, detail); };
  ASSIGN_OR_RETURN(auto rows,
                   RowsOf<DeadRow>(database_, kDeadQuery, found.sequences, read, request.bytes_max));
  const std::optional<Sequence> next = NextAfter(rows, found.sequences, found.next);
  return Page<DeadRow>{std::move(rows), next, found.examined};
}

Result<std::optional<DeadRow>> Inspection::Dead(Sequence sequence) {
  ASSIGN_OR_RETURN(auto rows, RowsOf<DeadRow>(database_, kDeadQuery, {sequence}, [](const Statement& row) {
                     return ReadDead(row, Detail::kFull);
                   }));
  return FirstOf(std::move(rows));
}

Result<std::vector<DeadGroup>> Inspection::DeadGroups() {
  // min(job) is the earliest job's id: ULIDs sort by time.
  ASSIGN_OR_RETURN(Statement statement,
                   database_.Prepare(
                       "SELECT cause, death, status, count(*) AS size, min(dead_ms), max(dead_ms), min(job) "
                       "FROM dead_letters"
                       " GROUP BY cause, death, status ORDER BY size DESC, cause, death, status LIMIT 1000"));
  std::vector<DeadGroup> groups;
  for (;;) {
    ASSIGN_OR_RETURN(bool row, statement.Step());
    if (!row) return groups;
    groups.push_back(ReadGroup(statement));
  }
}

namespace {

constexpr std::string_view kPackQuery =
    "SELECT id, first_ms, last_ms, records FROM history WHERE id > ? ORDER BY id";

std::vector<AttemptRow> PackAt(const Statement& row) {
  return ReadPack(row.Int(0), row.Int(1), row.Text(3));
}

// Texts that a pack has if it has a match. What is usual is not written, and some texts have several forms.
std::vector<std::string> TextsToFind(const AttemptFilter& filter) {
  std::vector<std::string> texts;
  for (const auto& wanted : {filter.customer, filter.connection, filter.name, filter.ref, filter.result}) {
    if (!wanted || IsUsualInPack(*wanted)) continue;
    if (std::optional<std::string> text = TextInPack(*wanted)) texts.push_back(std::move(*text));
  }
  return texts;
}

bool HasAll(std::string_view records, const std::vector<std::string>& texts) {
  return std::all_of(texts.begin(), texts.end(), [&](const std::string& text) {
    return !records.empty() && memmem(records.data(), records.size(), text.data(), text.size()) != nullptr;
  });
}

bool MayMatch(const Statement& row, const AttemptFilter& filter, const std::vector<std::string>& texts) {
  const bool is_in_time =
      (!filter.from || row.Int(2) >= ToSql(*filter.from)) && (!filter.to || row.Int(1) < ToSql(*filter.to));
  return is_in_time && HasAll(row.Text(3), texts);
}

}  // namespace

bool AttemptFilter::Matches(const AttemptRow& row) const {
  const auto is = [](const std::optional<std::string>& wanted, const std::string& text) {
    return !wanted || *wanted == text;
  };
  return is(customer, row.customer) && is(connection, row.connection) && is(name, row.name) &&
         is(ref, row.ref) && is(result, row.result) && (!uid || row.uid == uid) &&
         (!from || row.sent >= *from) && (!to || row.sent < *to);
}

// The random part of its id is like no other text.
Result<std::vector<AttemptRow>> Inspection::Attempts(const Ulid& job) {
  const std::string id = job.ToText();
  const std::vector<std::string> texts = {'"' + id.substr(id.size() - kRandomDigits) + '"'};
  ASSIGN_OR_RETURN(Statement packs, database_.Prepare(kPackQuery));
  packs.BindAll(ToSql(job.SequencePart()) - 1);
  std::vector<AttemptRow> found;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, packs.Step());
    if (!row) break;
    if (!HasAll(packs.Text(3), texts)) continue;
    for (AttemptRow& attempt : PackAt(packs))
      if (attempt.job == id) found.push_back(std::move(attempt));
  }
  std::sort(found.begin(), found.end(), [](const AttemptRow& left, const AttemptRow& right) {
    return std::pair(left.attempt, left.sent) < std::pair(right.attempt, right.sent);
  });
  return found;
}

Result<Page<AttemptRow>> Inspection::Attempts(const AttemptFilter& filter, const PageRequest& request) {
  const std::vector<std::string> texts = TextsToFind(filter);
  ASSIGN_OR_RETURN(Statement packs, database_.Prepare(kPackQuery));
  packs.BindAll(ToSql(request.after));
  Page<AttemptRow> page;
  Sequence last{};
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, packs.Step());
    if (!row) return page;
    if (page.examined >= request.examined_max || page.rows.size() >= request.rows_max) break;
    last = SequenceAt(packs, 0);
    ++page.examined;
    if (!MayMatch(packs, filter, texts)) continue;
    std::vector<AttemptRow> attempts = PackAt(packs);
    page.examined += attempts.size();
    for (AttemptRow& attempt : attempts)
      if (filter.Matches(attempt)) page.rows.push_back(std::move(attempt));
  }
  page.next = last;
  return page;
}

}  // namespace outboxd
