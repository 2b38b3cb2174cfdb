#include "storage/outbox_reader.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/acceptance.h"
#include "core/clock.h"
#include "core/gate.h"
#include "core/job.h"
#include "core/job_cost.h"
#include "core/job_line.h"
#include "core/job_types.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "core/user_shares.h"
#include "storage/column.h"
#include "storage/database.h"
#include "storage/filter.h"
#include "storage/moving_time.h"

namespace outboxd {
namespace {

// Times that nobody knows are negative.
#define OUTBOXD_JOB_COLUMNS \
  "seq, connection, due_ms, parked, job, type, " OUTBOXD_ACCEPTED_OR("-1") ", " OUTBOXD_REDRIVEN_OR("-1")   \
  ", attempts, charged, failures, deliveries_at_failure, suspicion, refusals, counted_ms, uid, stowed, "    \
  "boot, CASE WHEN synchronised = 0 THEN boot_ms END, redriven_boot, redriven_boot_ms, line"
enum Column {
  kSeq,
  kConnection,
  kDue,
  kParked,
  kJob,
  kType,
  kAccepted,
  kRedriven,
  kAttempts,
  kCharged,
  kFailures,
  kDeliveriesAtFailure,
  kSuspicion,
  kRefusals,
  kCounted,
  kUid,
  kStowed,
  kBoot,
  kBootTime,
  kRedrivenBoot,
  kRedrivenBootTime,
  kLine
};

// Accepted by an earlier version: today such a line is refused.
std::string TooCostly(std::size_t cost) {
  return "sending it would take " + std::to_string(cost >> 20) + " MiB of memory, more than " +
         std::to_string(kSendCostMax >> 20) + ": hand it over in several jobs";
}

// nullopt: of another boot.
std::optional<Milliseconds> BootTimeAt(const Statement& row, int boot, int column,
                                       const std::optional<std::int64_t>& this_boot) {
  if (!this_boot || !row.IsInteger(boot) || row.Int(boot) != *this_boot) return std::nullopt;
  return BootTimeOrNullAt(row, column);
}

}  // namespace

LaneList StoredJob::LanesWith(LaneKey lane) const {
  if (others.empty()) return LaneList(lane);
  std::vector<LaneKey> lanes = others;
  lanes.push_back(lane);
  return LaneList(std::move(lanes));
}

// A row may be damaged: whatever stands in it, a StoredJob comes out.
StoredJob OutboxReader::Decode(const Statement& row) const {
  const auto known_time = [&](int column) {
    return row.Int(column) < 0 && set_ ? *set_ : TimeAt(row, column);
  };
  StoredJob stored;
  stored.job = std::make_unique<QueuedJob>();
  stored.parked = row.IsInteger(kParked);
  QueuedJob& queued = *stored.job;
  queued.sequence = SequenceAt(row, kSeq);
  queued.attempts = CountAt(row, kAttempts);
  queued.charged = CountAt(row, kCharged);
  queued.failures = std::max(CountAt(row, kFailures), queued.charged);  // format 3 knew only those charged
  queued.deliveries_at_failure = DeliveriesOrNullAt(row, kDeliveriesAtFailure);
  queued.suspicion = kNames<Suspicion>.Find(row.Text(kSuspicion)).value_or(Suspicion::kNone);
  queued.refusals = CountAt(row, kRefusals);
  queued.counted_at = TimeOrNullAt(row, kCounted);
  if (!row.IsNull(kUid)) queued.uid = static_cast<std::uint32_t>(row.Int(kUid));
  queued.due = TimeOrNullAt(row, kDue);
  queued.stowed = !row.IsNull(kStowed);
  if (const std::uint32_t most = CountAt(row, kStowed); most > 0) queued.batch_max = most;
  if (!row.IsNull(kRedriven)) queued.redriven = known_time(kRedriven);
  queued.stamp.accepted = known_time(kAccepted);
  queued.accepted_boot = BootTimeAt(row, kBoot, kBootTime, this_boot_);
  queued.redriven_boot = BootTimeAt(row, kRedrivenBoot, kRedrivenBootTime, this_boot_);
  const std::optional<Ulid> id = Ulid::Parse(row.Text(kJob));
  if (id) queued.stamp.id = *id;
  auto job = ParseStoredLine(std::string(row.Text(kLine)));
  if (job && id && job->connection == row.Text(kConnection)) {
    queued.job = std::move(*job);
    stored.unreadable = WhyNeverSent(queued.job);
    const std::size_t cost = SendCost(queued.job);
    if (cost > kSendCostMax && stored.unreadable.empty()) stored.unreadable = TooCostly(cost);
    return stored;
  }
  stored.unreadable =
      job ? "stored job id or connection is damaged" : "stored line is damaged: " + job.error().message;
  queued.job.line = row.Text(kLine);  // its bytes count
  queued.job.connection = row.Text(kConnection);
  queued.job.type = kNames<JobType>.Find(row.Text(kType)).value_or(JobType::kRaw);
  return stored;
}

void OutboxReader::SeeClock(const ClockReading& clock) {
  if (!set_ && clock.IsSet()) set_ = clock.wall;
  if (this_boot_ || clock.boot_id.empty()) return;
  Result<Statement> row = database_.Prepare("SELECT number FROM boots WHERE id = ? ORDER BY number DESC");
  if (!row) return;  // looked for again
  row->BindAll(clock.boot_id);
  const Result<bool> is_there = row->Step();
  if (is_there && *is_there) this_boot_ = row->Int(0);
}

Result<OutboxReader> OutboxReader::Open(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(Database database, Database::Open(file, OpenMode::kReadOnly));
  // It reads each row once, in order: a cache would only hold what is behind it.
  RETURN_IF_ERROR(database.Execute("PRAGMA cache_size = -256"));
  OutboxReader reader(std::move(database));
  RETURN_IF_ERROR(reader.Prepare());
  return reader;
}

constexpr std::string_view kAfter =
    "SELECT " OUTBOXD_JOB_COLUMNS " FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?";

Result<OutboxReader::Page> OutboxReader::ReadAfter(std::string_view connection, Sequence after,
                                                   std::size_t count_max, std::size_t bytes_max,
                                                   std::size_t examined_max) {
  Page page;
  page.through = after;
  std::size_t bytes = 0;
  std::size_t examined = 0;
  after_.BindAll(ToSql(after), static_cast<std::int64_t>(examined_max));
  while (page.jobs.size() < count_max && bytes < bytes_max) {
    ASSIGN_OR_RETURN(const bool row, after_.Step());
    if (!row) {
      page.at_end = examined < examined_max;
      break;
    }
    ++examined;
    page.through = SequenceAt(after_, kSeq);
    if (!after_.IsNull(kDue) || after_.IsInteger(kParked) || after_.Text(kConnection) != connection) continue;
    page.jobs.push_back(Decode(after_));
    bytes += WindowCost(page.jobs.back().job->job);
  }
  after_.Reset();
  return page;
}

// Of the view `users` what can be had without their lines.
constexpr std::string_view kUsers =
    "SELECT uid FROM counters WHERE uid IS NOT NULL AND held_jobs > 0 UNION SELECT ifnull(uid, -1) FROM "
    "outbox WHERE seq > (SELECT ifnull(max(through), 0) FROM counters WHERE uid IS NULL)";

Result<std::vector<User>> OutboxReader::ReadUsers() {
  std::vector<User> users;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, users_.Step());
    if (!row) break;
    const std::int64_t uid = users_.Int(0);
    users.push_back(uid < 0 ? User() : User(static_cast<std::uint32_t>(uid)));
  }
  users_.Reset();
  return users;
}

constexpr std::string_view kOne = "SELECT " OUTBOXD_JOB_COLUMNS " FROM outbox WHERE seq = ?";

Result<std::optional<StoredJob>> OutboxReader::ReadOne(Sequence sequence) {
  ASSIGN_OR_RETURN(const bool row, one_.BindAll(ToSql(sequence)).Step());
  std::optional<StoredJob> found;
  if (row) found = Decode(one_);
  one_.Reset();
  return found;
}

// A lane is of one connection, but a damaged row may be parked under any.
constexpr std::string_view kParkedRows =
    "SELECT " OUTBOXD_JOB_COLUMNS
    " FROM outbox WHERE parked = ? AND seq >= ? AND connection = ? AND due_ms IS NULL ORDER BY seq";

Result<OutboxReader::Parked> OutboxReader::ReadParked(std::string_view connection, LaneKey lane,
                                                      Sequence from, std::size_t count_max,
                                                      std::size_t bytes_max) {
  Parked parked;
  std::size_t bytes = 0;
  parked_.BindAll(ToSql(lane), ToSql(from), connection);
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, parked_.Step());
    if (!row) break;
    if (parked.jobs.size() >= count_max || (bytes >= bytes_max && !parked.jobs.empty())) {
      parked.next = SequenceAt(parked_, kSeq);
      break;
    }
    StoredJob& stored = parked.jobs.emplace_back(Decode(parked_));
    bytes += WindowCost(stored.job->job);
    if (!stored.job->stowed) continue;
    ASSIGN_OR_RETURN(stored.others, ReadKeptLanes(stored.job->sequence));
  }
  parked_.Reset();
  return parked;
}

// INDEXED BY: for the order's sake SQLite would otherwise walk through the whole backlog.
constexpr std::string_view kDeferred =
    "SELECT " OUTBOXD_JOB_COLUMNS
    " FROM outbox INDEXED BY outbox_deferred WHERE due_ms IS NOT NULL AND stowed IS NULL AND connection = ? "
    "ORDER BY seq";

Result<void> OutboxReader::ReadDeferred(std::string_view connection,
                                        const std::function<void(StoredJob)>& each) {
  deferred_.BindAll(connection);
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, deferred_.Step());
    if (!row) break;
    each(Decode(deferred_));
  }
  deferred_.Reset();
  return {};
}

constexpr std::string_view kNextStowed =
    "SELECT seq, due_ms FROM outbox INDEXED BY outbox_stowed WHERE stowed IS NOT NULL AND connection = ? AND "
    "(due_ms, seq) > (?, ?) AND typeof(due_ms) = 'integer' ORDER BY due_ms, seq LIMIT 1";

Result<std::optional<OutboxReader::Stowed>> OutboxReader::ReadNextStowed(std::string_view connection,
                                                                         Stowed after) {
  next_stowed_.BindAll(connection, ToSql(after.due), ToSql(after.sequence));
  ASSIGN_OR_RETURN(const bool row, next_stowed_.Step());
  std::optional<Stowed> next;
  if (row) next = Stowed{FromUnixMs(next_stowed_.Int(1)), SequenceAt(next_stowed_, 0)};
  next_stowed_.Reset();
  return next;
}

// A damaged one, which is no number, is the latest of all.
Result<std::vector<Sequence>> OutboxReader::ReadStowedAfter(std::string_view connection, Timestamp due,
                                                            std::size_t count_max) {
  ASSIGN_OR_RETURN(
      Statement rows,
      database_.Prepare("SELECT seq FROM outbox INDEXED BY outbox_stowed WHERE stowed IS NOT NULL "
                        "AND connection = ? AND due_ms > ? ORDER BY due_ms DESC LIMIT ?"));
  rows.BindAll(connection, ToSql(due), static_cast<std::int64_t>(count_max));
  std::vector<Sequence> found;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return found;
    found.push_back(SequenceAt(rows, 0));
  }
}

Result<bool> OutboxReader::HasKept(std::string_view connection) {
  ASSIGN_OR_RETURN(
      Statement row,
      database_.Prepare("SELECT 1 FROM outbox INDEXED BY outbox_stowed WHERE stowed IS NOT NULL AND "
                        "connection = ? LIMIT 1"));
  row.BindAll(connection);
  return row.Step();
}

// A row that is gone, or keeps nothing any more, may have left its lanes behind.
constexpr std::string_view kKeptIn =
    "SELECT l.seq FROM stowed_lanes l CROSS JOIN outbox o ON o.seq = l.seq WHERE l.lane = ? AND l.seq > ? "
    "AND o.stowed IS NOT NULL AND (o.due_ms IS NOT NULL OR typeof(o.parked) = 'integer' AND o.parked <> "
    "l.lane) AND o.connection = ? ORDER BY l.seq LIMIT 1";

Result<std::optional<Sequence>> OutboxReader::FindKept(std::string_view connection, LaneKey lane,
                                                       Sequence after) {
  ASSIGN_OR_RETURN(const bool row, kept_in_.BindAll(ToSql(lane), ToSql(after), connection).Step());
  std::optional<Sequence> found;
  if (row) found = SequenceAt(kept_in_, 0);
  kept_in_.Reset();
  return found;
}

Result<void> OutboxReader::ReadKept(const std::function<void(LaneKey)>& each) {
  ASSIGN_OR_RETURN(Statement lanes, database_.Prepare("SELECT lane FROM stowed_lanes"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, lanes.Step());
    if (!row) return {};
    each(LaneKey{static_cast<std::uint64_t>(lanes.Int(0))});
  }
}

constexpr std::string_view kKeptLanes = "SELECT lane FROM stowed_lanes WHERE seq = ?";

Result<std::vector<LaneKey>> OutboxReader::ReadKeptLanes(Sequence sequence) {
  std::vector<LaneKey> lanes;
  kept_lanes_.BindAll(ToSql(sequence));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, kept_lanes_.Step());
    if (!row) break;
    lanes.push_back(LaneKey{static_cast<std::uint64_t>(kept_lanes_.Int(0))});
  }
  kept_lanes_.Reset();
  return lanes;
}

Result<std::uint64_t> OutboxReader::CountStowed(std::string_view connection) {
  ASSIGN_OR_RETURN(
      Statement count,
      database_.Prepare("SELECT count(*) FROM outbox INDEXED BY outbox_stowed WHERE stowed IS NOT "
                        "NULL AND connection = ? AND due_ms IS NOT NULL"));
  RETURN_IF_ERROR(count.BindAll(connection).Step());
  return static_cast<std::uint64_t>(count.Int(0));
}

constexpr std::string_view kFirstParked =
    "SELECT seq FROM outbox WHERE parked = ? AND seq > ? AND connection = ? AND due_ms IS NULL ORDER BY seq "
    "LIMIT 1";

Result<std::optional<Sequence>> OutboxReader::FirstParked(std::string_view connection, LaneKey lane,
                                                          Sequence after) {
  ASSIGN_OR_RETURN(const bool row, first_parked_.BindAll(ToSql(lane), ToSql(after), connection).Step());
  std::optional<Sequence> first;
  if (row) first = SequenceAt(first_parked_, 0);
  first_parked_.Reset();
  return first;
}

constexpr std::string_view kNextParkedLane =
    "SELECT parked, seq FROM outbox WHERE parked IS NOT NULL AND parked > ? AND parked <= "
    "9223372036854775807 "
    "AND typeof(parked) = 'integer' AND seq > 0 AND connection = ? AND due_ms IS NULL ORDER BY parked, seq "
    "LIMIT 1";

// One index seek a lane, however many rows each has. The rows of other connections are walked through once,
// in the index alone.
Result<std::vector<OutboxReader::ParkedLane>> OutboxReader::ReadParkedLanes(std::string_view connection) {
  std::vector<ParkedLane> lanes;
  std::int64_t last = std::numeric_limits<std::int64_t>::min();
  for (;;) {
    next_parked_lane_.BindAll(last, connection);
    ASSIGN_OR_RETURN(const bool row, next_parked_lane_.Step());
    if (!row) break;
    const std::int64_t key = next_parked_lane_.Int(0);
    if (key <= last) {  // the index is out of order: going on would not end
      next_parked_lane_.Reset();
      return database_.Damaged("the index of waiting jobs is out of order");
    }
    last = key;
    const ParkedLane lane{LaneKey{static_cast<std::uint64_t>(last)}, SequenceAt(next_parked_lane_, 1)};
    next_parked_lane_.Reset();
    ASSIGN_OR_RETURN(const std::optional<Sequence> kept, FindKept(connection, lane.lane, Sequence{}));
    if (!kept || lane.first < *kept) lanes.push_back(lane);
  }
  next_parked_lane_.Reset();
  return lanes;
}

Result<std::uint64_t> OutboxReader::CountParked(std::string_view connection) {
  ASSIGN_OR_RETURN(
      Statement count,
      database_.Prepare("SELECT count(*) FROM outbox WHERE parked IS NOT NULL AND typeof(parked) = "
                        "'integer' AND connection = ?"));
  RETURN_IF_ERROR(count.BindAll(connection).Step());
  return static_cast<std::uint64_t>(count.Int(0));
}

Result<std::map<std::string, GateSnapshot, std::less<>>> OutboxReader::ReadGates() {
  ASSIGN_OR_RETURN(
      Statement rows,
      database_.Prepare("SELECT name, state, pause, detail, since_ms, reopen_ms, failures FROM connections"));
  std::map<std::string, GateSnapshot, std::less<>> gates;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return gates;
    GateSnapshot& gate = gates[std::string(rows.Text(0))];
    gate.state = kNames<GateState>.Find(rows.Text(1)).value_or(GateState::kOpen);
    gate.pause = kNames<PauseReason>.Find(rows.Text(2)).value_or(PauseReason::kNone);
    gate.detail = rows.Text(3);
    gate.since = TimeAt(rows, 4);
    gate.reopen_at = TimeOrNullAt(rows, 5);
    gate.failures = CountAt(rows, 6);
  }
}

constexpr std::string_view kOldest =
    "SELECT " OUTBOXD_ACCEPTED
    " FROM outbox WHERE seq = (SELECT seq FROM (SELECT seq, connection FROM outbox ORDER BY seq LIMIT 20000) "
    "WHERE connection = ? LIMIT 1)";

Result<std::optional<Timestamp>> OutboxReader::Oldest(std::string_view connection) {
  ASSIGN_OR_RETURN(const bool row, oldest_.BindAll(connection).Step());
  std::optional<Timestamp> oldest;
  if (row) oldest = TimeAt(oldest_, 0);
  oldest_.Reset();
  return oldest;
}

Result<std::uint64_t> OutboxReader::CountDead(const DeadFilter& filter) {
  const SqlCondition condition = ToSql(filter);
  ASSIGN_OR_RETURN(Statement count,
                   database_.Prepare("SELECT count(*) FROM dead_letters WHERE " + condition.sql));
  condition.BindTo(count, 1);
  RETURN_IF_ERROR(count.Step());
  return static_cast<std::uint64_t>(count.Int(0));
}

Result<void> OutboxReader::Prepare() {
  ASSIGN_OR_RETURN(after_, database_.Prepare(kAfter));
  ASSIGN_OR_RETURN(users_, database_.Prepare(kUsers));
  ASSIGN_OR_RETURN(one_, database_.Prepare(kOne));
  ASSIGN_OR_RETURN(parked_, database_.Prepare(kParkedRows));
  ASSIGN_OR_RETURN(deferred_, database_.Prepare(kDeferred));
  ASSIGN_OR_RETURN(next_parked_lane_, database_.Prepare(kNextParkedLane));
  ASSIGN_OR_RETURN(oldest_, database_.Prepare(kOldest));
  ASSIGN_OR_RETURN(next_stowed_, database_.Prepare(kNextStowed));
  ASSIGN_OR_RETURN(kept_in_, database_.Prepare(kKeptIn));
  ASSIGN_OR_RETURN(kept_lanes_, database_.Prepare(kKeptLanes));
  ASSIGN_OR_RETURN(first_parked_, database_.Prepare(kFirstParked));
  return {};
}

}  // namespace outboxd
