#include "storage/outcome_writer.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/job.h"
#include "core/job_types.h"
#include "core/result.h"
#include "core/text.h"
#include "core/time.h"
#include "core/ulid.h"
#include "core/verdict.h"
#include "storage/column.h"
#include "storage/counters.h"
#include "storage/database.h"
#include "storage/history_pack.h"
#include "storage/moved_row.h"
#include "storage/outcome.h"

namespace outboxd {
namespace {

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

// 0: no answer.
std::optional<std::int64_t> StatusOrNull(int status) {
  if (status == 0) return std::nullopt;
  return status;
}

}  // namespace

// In the order of the sequence, which is that of both tables: each page is visited once, and neighbours that
// were delivered go at a stroke.
Result<void> OutcomeWriter::WriteAll(std::vector<const Outcome*>& outcomes, Timestamp now) {
  std::sort(outcomes.begin(), outcomes.end(), [](const Outcome* left, const Outcome* right) {
    return std::pair(left->job->sequence, left->job->attempts) <
           std::pair(right->job->sequence, right->job->attempts);
  });
  const std::span<const Outcome* const> all = outcomes;
  RETURN_IF_ERROR(WriteAttempts(all));
  for (std::size_t begin = 0, end = 0; begin < all.size(); begin = end) {
    end = EndOfRun(all, begin);
    RETURN_IF_ERROR(end - begin > 1 ? RemoveRun(all.subspan(begin, end - begin))
                                    : WriteOne(*all[begin], now));
  }
  return {};
}

Result<void> OutcomeWriter::WriteOne(const Outcome& outcome, Timestamp now) {
  switch (outcome.kind) {
    case OutcomeKind::kDead:
      RETURN_IF_ERROR(Bury(outcome, now));
      return Remove(*outcome.job);
    case OutcomeKind::kDelivered:
      file_->counters().Add(outcome.job->job.connection, &Counts::delivered);
      return Remove(*outcome.job);
    case OutcomeKind::kDeferred:
    case OutcomeKind::kReturned:
      return Defer(outcome);
  }
  return {};
}

namespace {

// Ids beyond come from damage; behind them there would be no room.
constexpr std::int64_t kPackIdEnd = std::int64_t{1} << 48;

Timestamp FirstSent(std::span<const Outcome* const> outcomes) {
  Timestamp first = Timestamp::max();
  for (const Outcome* outcome : outcomes)
    if (outcome->attempt) first = std::min(first, outcome->attempt->sent);
  return first;
}

// `id`: of the job, as text.
AttemptRecord RecordOf(const Outcome& outcome, std::string_view id) {
  const QueuedJob& queued = *outcome.job;
  const Attempt& attempt = *outcome.attempt;
  AttemptRecord record;
  record.sequence = queued.sequence;
  record.attempt = queued.attempts;
  record.id_time = queued.stamp.id.Time();
  record.random = id.substr(id.size() - kRandomDigits);
  record.connection = queued.job.connection;
  record.type = JobTypeName(queued.job.type);
  record.customer = queued.job.customer;
  record.name = CutAtCharacter(queued.job.name, kNameKeptBytes);
  record.ref = queued.job.ref;
  record.uid = queued.uid;
  record.sent = attempt.sent;
  record.accepted = queued.stamp.accepted;
  record.duration = attempt.duration;
  record.result = FateName(attempt.result);
  record.status = attempt.status;
  record.error = attempt.error;
  record.answer = attempt.answer;
  return record;
}

}  // namespace

// Outcomes in the order of the sequence, which no id may be below.
Result<void> OutcomeWriter::WriteAttempts(std::span<const Outcome* const> outcomes) {
  if (outcomes.empty()) return {};
  BeginPack(FirstSent(outcomes), outcomes.back()->job->sequence);
  for (const Outcome* outcome : outcomes) {
    if (outcome->job->stowed) RETURN_IF_ERROR(forget_lanes_.Run(ToSql(outcome->job->sequence)));
    if (!outcome->attempt) continue;
    RETURN_IF_ERROR(WriteAttempt(*outcome));
  }
  return WritePack();
}

void OutcomeWriter::BeginPack(Timestamp first, Sequence highest) {
  constexpr std::int64_t kSequenceEnd = std::int64_t{1} << 40;
  pack_.Begin(std::max(last_pack_ + 1, std::min(ToSql(highest), kSequenceEnd)), first);
}

Result<void> OutcomeWriter::WriteAttempt(const Outcome& outcome) {
  if (file_->HasErased()) {
    ASSIGN_OR_RETURN(const bool is_kept, IsKept(outcome.job->sequence));
    if (!is_kept) return {};
  }
  const auto id = outcome.job->stamp.id.ToChars();
  const AttemptRecord record = RecordOf(outcome, std::string_view(id.data(), id.size()));
  if (!pack_.Add(record)) {
    RETURN_IF_ERROR(WritePack());
    pack_.Begin(last_pack_ + 1, pack_.first());
    pack_.Add(record);
  }
  file_->counters().Add(record.connection, &Counts::attempts);
  return {};
}

// A row that is there already was damaged: no id is used twice.
constexpr std::string_view kWritePack =
    "INSERT OR REPLACE INTO history (id, first_ms, last_ms, rows, records) VALUES (?, ?, ?, ?, ?)";

Result<void> OutcomeWriter::WritePack() {
  if (pack_.size() == 0) return {};
  last_pack_ = pack_.id();
  return write_pack_.Run(pack_.id(), ToSql(pack_.first()), ToSql(pack_.last()),
                         static_cast<std::int64_t>(pack_.size()), pack_.Finish());
}

// Whether the job is still there. It has to be asked only once something was erased, and costs a batch 4 %.
constexpr std::string_view kKept =
    "SELECT EXISTS (SELECT 1 FROM outbox WHERE seq = ?1) OR EXISTS (SELECT 1 FROM dead_letters WHERE seq = "
    "?1)";

Result<bool> OutcomeWriter::IsKept(Sequence sequence) {
  ASSIGN_OR_RETURN(const bool row, kept_.BindAll(ToSql(sequence)).Step());
  const bool is_kept = row && kept_.Int(0) != 0;
  kept_.Reset();
  return is_kept;
}

constexpr std::string_view kBury =
    "INSERT OR REPLACE INTO dead_letters (" OUTBOXD_KEPT_COLUMNS
    ", dead_ms, death, status, reason, cause, answer, attempts) SELECT " OUTBOXD_KEPT_VALUES
    ", ?, ?, ?, ?, ?, ?, ? FROM outbox WHERE seq = ?";

Result<void> OutcomeWriter::Bury(const Outcome& outcome, Timestamp now) {
  const QueuedJob& queued = *outcome.job;
  const Attempt* attempt = outcome.attempt ? &*outcome.attempt : nullptr;
  RETURN_IF_ERROR(
      bury_.Run(ToSql(now), DeathName(outcome.death), StatusOrNull(attempt != nullptr ? attempt->status : 0),
                outcome.reason, outcome.cause,
                TextOrNull{attempt != nullptr ? std::string_view(attempt->answer) : std::string_view()},
                queued.attempts, ToSql(queued.sequence)));
  if (file_->database().Changes() == 0) return {};
  file_->counters().Add(queued.job.connection, &Counts::dead);
  file_->users().AddDead(queued.uid, queued.job.line.size());
  return {};
}

constexpr std::string_view kRemove = "DELETE FROM outbox WHERE seq = ?";

Result<void> OutcomeWriter::Remove(const QueuedJob& queued) {
  RETURN_IF_ERROR(remove_.Run(ToSql(queued.sequence)));
  if (file_->database().Changes() == 0) return NoteLate(queued);
  file_->counters().Subtract(queued.job.connection, &Counts::jobs);
  file_->users().RemoveJobs(queued.uid, 1, queued.job.line.size());
  return {};
}

constexpr std::string_view kRemoveRun = "DELETE FROM outbox WHERE seq BETWEEN ? AND ?";

// Delivered jobs of one connection with consecutive sequences.
Result<void> OutcomeWriter::RemoveRun(std::span<const Outcome* const> run) {
  const Sequence first = run.front()->job->sequence;
  const Sequence last = run.back()->job->sequence;
  RETURN_IF_ERROR(remove_run_.Run(ToSql(first), ToSql(last)));
  const auto gone = static_cast<std::uint64_t>(file_->database().Changes());
  const std::string_view connection = run.front()->job->job.connection;
  file_->counters().Subtract(connection, &Counts::jobs, gone);
  file_->counters().Add(connection, &Counts::delivered, run.size());
  ForgetUsers(run.first(std::min<std::size_t>(gone, run.size())));
  if (gone == run.size()) return {};
  for (const Outcome* outcome : run) {
    RETURN_IF_ERROR(NoteLate(*outcome->job));
  }
  return {};
}

// They come in runs of one user.
void OutcomeWriter::ForgetUsers(std::span<const Outcome* const> run) {
  for (std::size_t begin = 0, end = 0; begin < run.size(); begin = end) {
    const std::optional<std::uint32_t> uid = run[begin]->job->uid;
    std::uint64_t bytes = 0;
    for (end = begin; end < run.size() && run[end]->job->uid == uid; ++end)
      bytes += run[end]->job->job.line.size();
    file_->users().RemoveJobs(uid, end - begin, bytes);
  }
}

constexpr std::string_view kDefer =
    "UPDATE outbox SET attempts = ?, charged = ?, due_ms = ?, reason = ?, failures = ?, "
    "deliveries_at_failure = ?, suspicion = ?, refusals = ?, counted_ms = ?, stowed = ? WHERE seq = ?";

Result<void> OutcomeWriter::Defer(const Outcome& outcome) {
  const QueuedJob& queued = *outcome.job;
  std::optional<std::int64_t> stowed;
  if (outcome.stow) stowed = std::int64_t{queued.batch_max.value_or(0)};
  RETURN_IF_ERROR(defer_.Run(queued.attempts, queued.charged, ToSql(queued.due), TextOrNull{outcome.reason},
                             queued.failures, ToSql(queued.deliveries_at_failure),
                             TextOrNull{SuspicionName(queued.suspicion)}, queued.refusals,
                             ToSql(queued.counted_at), stowed, ToSql(queued.sequence)));
  if (file_->database().Changes() == 0) return NoteLate(queued);
  if (queued.stowed || outcome.stow) RETURN_IF_ERROR(unpark_.Run(ToSql(queued.sequence)));
  return outcome.stow ? KeepLanes(queued.sequence, *outcome.stow) : Result<void>();
}

constexpr std::string_view kUnpark = "UPDATE outbox SET parked = NULL WHERE seq = ? AND parked IS NOT NULL";
constexpr std::string_view kKeepLane = "INSERT INTO stowed_lanes (seq, lane) VALUES (?, ?)";
constexpr std::string_view kForgetLanes = "DELETE FROM stowed_lanes WHERE seq = ?";

Result<void> OutcomeWriter::KeepLanes(Sequence sequence, std::span<const LaneKey> lanes) {
  RETURN_IF_ERROR(forget_lanes_.Run(ToSql(sequence)));
  for (const LaneKey lane : lanes) {
    RETURN_IF_ERROR(keep_lane_.Run(ToSql(sequence), ToSql(lane)));
  }
  return {};
}

constexpr std::string_view kLate = "UPDATE dead_letters SET attempts = max(attempts, ?) WHERE seq = ?";

// The job was cancelled while it was out. Should it be redriven, its next attempt must not take the number of
// this one.
Result<void> OutcomeWriter::NoteLate(const QueuedJob& queued) {
  return late_.Run(queued.attempts, ToSql(queued.sequence));
}

Result<OutcomeWriter> OutcomeWriter::Prepare(OutboxFile& file) {
  OutcomeWriter writer(file);
  Database& database = file.database();
  ASSIGN_OR_RETURN(writer.last_pack_,
                   database.Scalar("SELECT max(id) FROM history WHERE id < " + std::to_string(kPackIdEnd)));
  ASSIGN_OR_RETURN(writer.write_pack_, database.Prepare(kWritePack));
  ASSIGN_OR_RETURN(writer.kept_, database.Prepare(kKept));
  ASSIGN_OR_RETURN(writer.bury_, database.Prepare(kBury));
  ASSIGN_OR_RETURN(writer.remove_, database.Prepare(kRemove));
  ASSIGN_OR_RETURN(writer.remove_run_, database.Prepare(kRemoveRun));
  ASSIGN_OR_RETURN(writer.defer_, database.Prepare(kDefer));
  ASSIGN_OR_RETURN(writer.late_, database.Prepare(kLate));
  ASSIGN_OR_RETURN(writer.unpark_, database.Prepare(kUnpark));
  ASSIGN_OR_RETURN(writer.keep_lane_, database.Prepare(kKeepLane));
  ASSIGN_OR_RETURN(writer.forget_lanes_, database.Prepare(kForgetLanes));
  return writer;
}

}  // namespace outboxd
