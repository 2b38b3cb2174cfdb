#include "storage/outbox.h"

#include <algorithm>
#include <array>

#include "core/job_types.h"
#include "storage/column.h"
#include "storage/open.h"

namespace outboxd {
namespace {

#define OUTBOXD_INSERT_ATTEMPT                                                                            \
  "INSERT OR IGNORE INTO attempts (seq, attempt, job, connection, type, customer, sent_ms, duration_ms, " \
  "result, status, error, answer) "

constexpr std::uint64_t kReserveAhead = 100'000;
constexpr std::int64_t kSequenceMax = (std::int64_t{1} << 40) - 1;  // an id has room for 40 bits

// Behind the outcome at `begin`, or behind the last of those that follow it without a gap and are delivered
// like it.
std::size_t EndOfRun(std::span<const Outcome* const> outcomes, std::size_t begin) {
  std::size_t end = begin + 1;
  if (outcomes[begin]->kind != OutcomeKind::kDelivered) return end;
  for (; end < outcomes.size(); ++end) {
    const QueuedJob& last = *outcomes[end - 1]->job;
    const QueuedJob& next = *outcomes[end]->job;
    const bool follows =
        ToNumber(next.sequence) == ToNumber(last.sequence) + 1 && next.job.connection == last.job.connection;
    if (!follows || outcomes[end]->kind != OutcomeKind::kDelivered) break;
  }
  return end;
}

std::optional<std::int64_t> UnixMs(const std::optional<Timestamp>& at) {
  if (!at) return std::nullopt;
  return ToUnixMs(*at);
}

}  // namespace

Outbox::Outbox(FileLock lock, Database database, std::uint64_t seed)
    : lock_(std::move(lock)), database_(std::move(database)), random_(seed) {}

Result<Outbox> Outbox::Open(const std::filesystem::path& file, std::uint64_t seed) {
  RETURN_IF_ERROR(CheckIsFile(file));
  ASSIGN_OR_RETURN(FileLock lock, FileLock::Take(file));
  ASSIGN_OR_RETURN(Database database, OpenForWriting(file));
  Outbox outbox(std::move(lock), std::move(database), seed);
  Result<void> ready = outbox.Prepare();
  if (ready) ready = outbox.LoadSequence();
  if (ready) ready = outbox.LoadCounts();
  if (ready) return outbox;
  // Our own statements do not fit the schema that the file says it has, or a sequence would be used twice.
  if (ready.error().kind == ErrorKind::kInternal) return Failure(DamagedFile(file, ready.error().message));
  return Failure(ready.error());
}

Result<void> Outbox::Prepare() {
  const std::array<std::pair<Statement*, std::string_view>, 15> statements = {{
      {&begin_, "BEGIN IMMEDIATE"},
      {&commit_, "COMMIT"},
      {&rollback_, "ROLLBACK"},
      {&append_,
       "INSERT INTO outbox (seq, job, connection, type, customer, accepted_ms, line, uid) VALUES (?, ?, ?, "
       "?, ?, ?, ?, ?)"},
      {&remove_, "DELETE FROM outbox WHERE seq = ?"},
      {&remove_run_, "DELETE FROM outbox WHERE seq BETWEEN ? AND ?"},
      {&defer_, "UPDATE outbox SET attempts = ?, charged = ?, due_ms = ?, reason = ? WHERE seq = ?"},
      {&park_, "UPDATE outbox SET parked = ? WHERE seq = ?"},
      {&bury_,
       "INSERT OR REPLACE INTO dead_letters (seq, job, connection, type, customer, accepted_ms, dead_ms, "
       "death, status, reason, cause, answer, "
       "attempts, line, uid) SELECT seq, job, connection, type, customer, accepted_ms, ?, ?, ?, ?, ?, ?, ?, "
       "line, uid FROM outbox WHERE seq = ?"},
      {&attempt_, OUTBOXD_INSERT_ATTEMPT "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"},
      {&attempt_of_kept_, OUTBOXD_INSERT_ATTEMPT "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12 "
                                                 "WHERE EXISTS (SELECT 1 FROM outbox WHERE seq = ?1) OR "
                                                 "EXISTS (SELECT 1 FROM dead_letters WHERE seq = ?1)"},
      {&late_, "UPDATE dead_letters SET attempts = max(attempts, ?) WHERE seq = ?"},
      {&gate_,
       "INSERT OR REPLACE INTO connections (name, state, pause, detail, since_ms, reopen_ms, failures) "
       "VALUES (?, ?, ?, ?, ?, ?, ?)"},
      {&count_, "INSERT OR REPLACE INTO counters (connection, jobs, dead, attempts) VALUES (?, ?, ?, ?)"},
      {&reserve_, "UPDATE sequence SET reserved = ?"},
  }};
  for (const auto& [statement, sql] : statements) {
    ASSIGN_OR_RETURN(Statement prepared, database_.Prepare(sql));
    *statement = std::move(prepared);
  }
  return {};
}

Result<void> Outbox::LoadSequence() {
  ASSIGN_OR_RETURN(const std::int64_t reserved, database_.Scalar("SELECT reserved FROM sequence"));
  ASSIGN_OR_RETURN(const std::int64_t used,
                   database_.Scalar("SELECT max((SELECT ifnull(max(seq), 0) FROM outbox), (SELECT "
                                    "ifnull(max(seq), 0) FROM dead_letters), "
                                    "(SELECT ifnull(max(seq), 0) FROM attempts))"));
  if (reserved <= used || reserved > kSequenceMax) {
    return Fail(ErrorKind::kInternal, "the next sequence is " + std::to_string(reserved) +
                                          ", the last one used " + std::to_string(used));
  }
  next_ = reserved_ = static_cast<std::uint64_t>(reserved);
  return {};
}

Result<void> Outbox::LoadCounts() {
  ASSIGN_OR_RETURN(Statement rows,
                   database_.Prepare("SELECT connection, jobs, dead, attempts FROM counters"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    const auto unsigned_at = [&](int column) {
      return static_cast<std::uint64_t>(std::max<std::int64_t>(rows.Int(column), 0));
    };
    counts_[std::string(rows.Text(0))] = Counts{unsigned_at(1), unsigned_at(2), unsigned_at(3)};
  }
}

Counts& Outbox::Touch(std::string_view connection) {
  if (touched_last_.second != nullptr && touched_last_.first == connection) return *touched_last_.second;
  auto found = counts_.find(connection);
  if (found == counts_.end()) found = counts_.emplace(connection, Counts{}).first;
  if (std::find(touched_.begin(), touched_.end(), connection) == touched_.end())
    touched_.emplace_back(connection);
  touched_last_ = {found->first, &found->second};
  return found->second;
}

// On failure nothing has changed, in the file or here.
Result<void> Outbox::Transaction(const std::function<Result<void>()>& work) {
  RETURN_IF_ERROR(begin_.Run());
  const std::map<std::string, Counts, std::less<>> counts_before = counts_;
  const std::uint64_t next_before = next_;
  const std::uint64_t reserved_before = reserved_;
  touched_.clear();
  touched_last_ = {};
  Result<void> done = work();
  if (done) done = WriteCounts();
  if (done) done = commit_.Run();
  if (done) return done;
  static_cast<void>(rollback_.Run());  // SQLite may have rolled back by itself
  touched_last_ = {};
  counts_ = counts_before;
  next_ = next_before;
  reserved_ = reserved_before;
  return done;
}

Result<void> Outbox::Write(WriteBatch& batch, Timestamp now) {
  return Transaction([&] { return WriteAll(batch, now); });
}

Result<void> Outbox::WriteAll(WriteBatch& batch, Timestamp now) {
  RETURN_IF_ERROR(Reserve(batch.accepted.size()));
  for (QueuedJob* queued : batch.accepted) {
    RETURN_IF_ERROR(Append(*queued, now));
  }
  RETURN_IF_ERROR(RecordAll(batch.outcomes, now));
  for (const Park& park : batch.parks) {
    RETURN_IF_ERROR(park_.Bind(1, ToSql(park.lane)).Bind(2, ToSql(park.sequence)).Run());
  }
  for (const auto& [connection, gate] : batch.gates) {
    gate_.Bind(1, std::string_view(connection))
        .Bind(2, GateStateName(gate.state))
        .Bind(3, PauseReasonName(gate.pause));
    gate_.Bind(4, std::string_view(gate.detail))
        .Bind(5, ToUnixMs(gate.since))
        .Bind(6, UnixMs(gate.reopen_at));
    RETURN_IF_ERROR(gate_.Bind(7, std::int64_t{gate.failures}).Run());
  }
  return {};
}

Result<void> Outbox::Reserve(std::uint64_t count) {
  if (next_ + count <= reserved_) return {};
  reserved_ = next_ + count + kReserveAhead;
  return reserve_.Bind(1, static_cast<std::int64_t>(reserved_)).Run();
}

Result<void> Outbox::Append(QueuedJob& queued, Timestamp now) {
  queued.sequence = Sequence{next_++};
  queued.stamp = Stamp{Ulid::Make(now, queued.sequence, random_()), now};
  const Job& job = queued.job;
  const auto id = queued.stamp.id.ToChars();
  ++Touch(job.connection).jobs;
  append_.Bind(1, ToSql(queued.sequence))
      .Bind(2, std::string_view(id.data(), id.size()))
      .Bind(3, std::string_view(job.connection));
  append_.Bind(4, JobTypeName(job.type))
      .BindTextOrNull(5, job.customer)
      .Bind(6, ToUnixMs(now))
      .Bind(7, std::string_view(job.line));
  append_.Bind(8, queued.uid ? std::optional<std::int64_t>(*queued.uid) : std::nullopt);
  return append_.Run();
}

// In the order of the sequence, which is that of both tables: each page is visited once, and neighbours that
// were delivered go at a stroke.
Result<void> Outbox::RecordAll(std::vector<const Outcome*>& outcomes, Timestamp now) {
  std::sort(outcomes.begin(), outcomes.end(), [](const Outcome* left, const Outcome* right) {
    return std::pair(left->job->sequence, left->job->attempts) <
           std::pair(right->job->sequence, right->job->attempts);
  });
  for (const Outcome* outcome : outcomes) {
    if (!outcome->attempt) continue;
    RETURN_IF_ERROR(RecordAttempt(*outcome));
  }
  const std::span<const Outcome* const> all = outcomes;
  for (std::size_t begin = 0, end = 0; begin < all.size(); begin = end) {
    end = EndOfRun(all, begin);
    RETURN_IF_ERROR(end - begin > 1 ? RemoveRun(all.subspan(begin, end - begin)) : Record(*all[begin], now));
  }
  return {};
}

// Delivered jobs of one connection with consecutive sequences.
Result<void> Outbox::RemoveRun(std::span<const Outcome* const> run) {
  RETURN_IF_ERROR(
      remove_run_.Bind(1, ToSql(run.front()->job->sequence)).Bind(2, ToSql(run.back()->job->sequence)).Run());
  const auto gone = static_cast<std::uint64_t>(database_.Changes());
  Touch(run.front()->job->job.connection).jobs -= gone;
  if (gone == run.size()) return {};
  for (const Outcome* outcome : run) {
    RETURN_IF_ERROR(NoteLate(*outcome->job));
  }
  return {};
}

Result<void> Outbox::Record(const Outcome& outcome, Timestamp now) {
  const QueuedJob& queued = *outcome.job;
  switch (outcome.kind) {
    case OutcomeKind::kDead:
      RETURN_IF_ERROR(Bury(outcome, now));
      [[fallthrough]];
    case OutcomeKind::kDelivered: {
      RETURN_IF_ERROR(remove_.Bind(1, ToSql(queued.sequence)).Run());
      if (database_.Changes() == 0) return NoteLate(queued);
      --Touch(queued.job.connection).jobs;
      return {};
    }
    case OutcomeKind::kDeferred:
    case OutcomeKind::kReturned:
      defer_.Bind(1, std::int64_t{queued.attempts})
          .Bind(2, std::int64_t{queued.charged})
          .Bind(3, UnixMs(queued.due));
      defer_.BindTextOrNull(4, outcome.reason).Bind(5, ToSql(queued.sequence));
      RETURN_IF_ERROR(defer_.Run());
      return database_.Changes() == 0 ? NoteLate(queued) : Result<void>();
  }
  return {};
}

// The job was cancelled while it was out. Should it be redriven, its next attempt must not take the number of
// this one.
Result<void> Outbox::NoteLate(const QueuedJob& queued) {
  return late_.Bind(1, std::int64_t{queued.attempts}).Bind(2, ToSql(queued.sequence)).Run();
}

Result<void> Outbox::RecordAttempt(const Outcome& outcome) {
  const QueuedJob& queued = *outcome.job;
  const Attempt& attempt = *outcome.attempt;
  const auto id = queued.stamp.id.ToChars();
  Statement& record = has_erased_ ? attempt_of_kept_ : attempt_;
  record.Bind(1, ToSql(queued.sequence))
      .Bind(2, std::int64_t{queued.attempts})
      .Bind(3, std::string_view(id.data(), id.size()));
  record.Bind(4, std::string_view(queued.job.connection))
      .Bind(5, JobTypeName(queued.job.type))
      .BindTextOrNull(6, queued.job.customer);
  record.Bind(7, ToUnixMs(attempt.sent))
      .Bind(8, std::int64_t{attempt.duration.count()})
      .Bind(9, FateName(attempt.result));
  record.Bind(10, attempt.status == 0 ? std::nullopt : std::optional<std::int64_t>(attempt.status));
  record.BindTextOrNull(11, attempt.error).BindTextOrNull(12, attempt.answer);
  RETURN_IF_ERROR(record.Run());
  if (database_.Changes() > 0) ++Touch(queued.job.connection).attempts;
  return {};
}

Result<void> Outbox::Bury(const Outcome& outcome, Timestamp now) {
  const QueuedJob& queued = *outcome.job;
  const int status = outcome.attempt ? outcome.attempt->status : 0;
  bury_.Bind(1, ToUnixMs(now)).Bind(2, DeathName(outcome.death));
  bury_.Bind(3, status == 0 ? std::nullopt : std::optional<std::int64_t>(status));
  bury_.Bind(4, std::string_view(outcome.reason)).Bind(5, std::string_view(outcome.cause));
  bury_.BindTextOrNull(6, outcome.attempt ? std::string_view(outcome.attempt->answer) : std::string_view());
  bury_.Bind(7, std::int64_t{queued.attempts}).Bind(8, ToSql(queued.sequence));
  RETURN_IF_ERROR(bury_.Run());
  if (database_.Changes() > 0) ++Touch(queued.job.connection).dead;
  return {};
}

Result<void> Outbox::WriteCounts() {
  for (const std::string& connection : touched_) {
    const Counts& counts = counts_[connection];
    count_.Bind(1, std::string_view(connection)).Bind(2, static_cast<std::int64_t>(counts.jobs));
    count_.Bind(3, static_cast<std::int64_t>(counts.dead))
        .Bind(4, static_cast<std::int64_t>(counts.attempts));
    RETURN_IF_ERROR(count_.Run());
  }
  return {};
}

Counts Outbox::Total() const {
  Counts total;
  for (const auto& [connection, counts] : counts_) {
    total.jobs += counts.jobs;
    total.dead += counts.dead;
    total.attempts += counts.attempts;
  }
  return total;
}

Result<std::uint64_t> Outbox::UsedBytes() {
  ASSIGN_OR_RETURN(
      const std::int64_t bytes,
      database_.Scalar("SELECT (c.page_count - f.freelist_count) * s.page_size FROM pragma_page_count c, "
                       "pragma_freelist_count f, pragma_page_size s"));
  return static_cast<std::uint64_t>(bytes);
}

}  // namespace outboxd
