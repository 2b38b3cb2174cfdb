#include "daemon/clerk/clerk.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "config/config.h"
#include "config/log_level.h"
#include "core/check.h"
#include "core/clock.h"
#include "core/job.h"
#include "core/result.h"
#include "core/text.h"
#include "core/time.h"
#include "core/user_shares.h"
#include "daemon/base/host_clock.h"
#include "daemon/base/log.h"
#include "daemon/clerk/disk_space.h"
#include "daemon/clerk/held_wal.h"
#include "daemon/clerk/report.h"
#include "daemon/clerk/submission.h"
#include "storage/counters.h"
#include "storage/outbox.h"
#include "storage/outcome.h"
#include "storage/user_counts.h"

namespace outboxd {
namespace {

constexpr Milliseconds kRoomInterval{100};     // how often the disk is asked for its free space
constexpr std::uint64_t kRoomBytes = 2 << 20;  // and after how many bytes of lines at the latest
constexpr Milliseconds kHousekeepingInterval{1000};
constexpr std::chrono::hours kHistoryToldInterval{1};
constexpr std::size_t kPruneRows = 500;
constexpr std::size_t kShrinkPages = 256;
constexpr std::size_t kFreePagesKept = 1024;
// What the death of a waiting job adds to the file, where it is recorded in short.
constexpr std::uint64_t kDeathBytes = 150;
constexpr std::size_t kShortTextBytes = 60;
constexpr User kNobody = std::numeric_limits<std::uint32_t>::max();  // no process has this uid

// Of max_bytes: lines, and what the deaths of those that wait will add.
std::uint64_t SharedBytes(const UserHolds& holds) {
  return holds.job_bytes + holds.dead_bytes + holds.jobs * kDeathBytes;
}

std::uint64_t SharedBytes(const QueuedJob& job) {
  return job.job.line.size() + kDeathBytes;
}

// The answer goes, and of the texts all but their beginning.
void Shorten(Outcome& outcome) {
  if (outcome.attempt) outcome.attempt->answer.clear();
  for (std::string* text : {&outcome.reason, &outcome.cause})
    text->resize(CutAtCharacter(*text, kShortTextBytes).size());
}

}  // namespace

Clerk::Clerk(Outbox outbox, Limits limits, DiskSpace::Ask disk_free)
    : outbox_(std::move(outbox)), limits_(std::move(limits)), disk_space_(std::move(disk_free)) {
  pending_.haste = Haste::kWhenever;
  ReadRoom({});
  LogRecounts();
}

void Clerk::Add(std::unique_ptr<Submission> submission) {
  submissions_.push_back(std::move(submission));
}

void Clerk::Add(Report report) {
  report.haste = std::max(pending_.haste, report.haste);
  if (pending_.empty()) {
    report.ticket = std::max(pending_.ticket, report.ticket);
    pending_ = std::move(report);
    return;
  }
  pending_.haste = report.haste;
  std::move(report.outcomes.begin(), report.outcomes.end(), std::back_inserter(pending_.outcomes));
  std::move(report.parks.begin(), report.parks.end(), std::back_inserter(pending_.parks));
  std::move(report.gates.begin(), report.gates.end(), std::back_inserter(pending_.gates));
  pending_.ticket = std::max(pending_.ticket, report.ticket);
}

// What could not be written is news the next time as well; a disk that takes nothing is found by Work().
void Clerk::SeeClock(const ClockReading& clock) {
  const auto moved = outbox_.SeeClock(clock);
  if (moved && *moved) LogClockStep(**moved);
}

void Clerk::CheckRoom(Timestamp now) {
  if (now >= room_checked_ && now < room_checked_ + kRoomInterval && stored_bytes_ < kRoomBytes) return;
  room_checked_ = now;
  stored_bytes_ = 0;
  ReadRoom(now);
}

void Clerk::ReadRoom(Timestamp now) {
  disk_space_.Read();
  held_wal_.Note(outbox_.maintenance().HeldWalBytes(), now);
  if (const Result<std::uint64_t> used = outbox_.maintenance().UsedBytes()) used_bytes_ = *used;
}

std::optional<Error> Clerk::WhyFull(std::size_t jobs) const {
  const OutboxConfig& config = limits_.outbox;
  if (outbox_.Total().jobs + jobs >= config.max_jobs) {
    return Error{
        ErrorKind::kBusy,
        "the outbox holds its limit of " + std::to_string(config.max_jobs) + " jobs (outbox.max_jobs)",
        {}};
  }
  if (used_bytes_ >= config.max_bytes) {
    return Error{ErrorKind::kFull,
                 "the outbox has its limit of " + std::to_string(config.max_bytes) +
                     " bytes (outbox.max_bytes)" +
                     (held_wal_.bytes() == 0
                          ? ""
                          : "; of these, " + std::to_string(held_wal_.bytes()) +
                                " are WAL that a reader holds since " + FormatRfc3339(*held_wal_.since())),
                 {}};
  }
  const std::optional<std::uint64_t> free_bytes = disk_space_.FreeBytes();
  if (!free_bytes) {
    return Error{ErrorKind::kFull,
                 "the free space of the outbox's disk is not known: " + disk_space_.WhyUnknown(),
                 {}};
  }
  if (*free_bytes < config.min_free_bytes) {
    return Error{ErrorKind::kFull,
                 "only " + std::to_string(*free_bytes) +
                     " bytes are free on the outbox's disk (outbox.min_free_bytes: " +
                     std::to_string(config.min_free_bytes) + ")",
                 {}};
  }
  return std::nullopt;
}

// In the order of submission, as long as there is room: once a job is refused, none behind it overtakes it.
void Clerk::Admit(Done& done) {
  done.submissions.swap(submissions_);
  const std::optional<Error> full_already = WhyFull(0);
  const std::uint64_t held = outbox_.Total().jobs;
  const std::uint64_t room = full_already ? 0 : limits_.outbox.max_jobs - held;
  if (done.submissions.empty()) return;
  Shares shares = SharesNow();
  for (const std::unique_ptr<Submission>& submission : done.submissions) {
    const std::size_t left = room - accepting_.size();
    const bool fits = submission->jobs.size() <= left;
    if (!fits) submission->refused = WhyFull(room);
    AdmitOne(*submission, fits ? submission->jobs.size() : submission->all_or_none ? 0 : left, shares);
  }
}

// What the file holds beside lines (attempts, pages half full) is nobody's.
Clerk::Shares Clerk::SharesNow() const {
  const OutboxConfig& outbox = limits_.outbox;
  const PerUserLimits& per_uid = limits_.per_uid;
  Shares shares{UserShares(outbox.max_jobs, per_uid.jobs),
                UserShares(outbox.max_jobs, per_uid.jobs),
                UserShares(outbox.max_bytes, per_uid.bytes),
                {}};
  std::uint64_t lines = 0;
  for (const auto& [user, holds] : outbox_.HoldsByUser()) {
    shares.jobs.Take(user, holds.jobs);
    shares.dead.Take(user, holds.dead);
    shares.bytes.Take(user, SharedBytes(holds));
    lines += holds.job_bytes + holds.dead_bytes;
  }
  if (used_bytes_ > lines) shares.bytes.Take(kNobody, used_bytes_ - lines);
  return shares;
}

// Dead letters of others are never the reason.
bool Clerk::MayLeaveDead(User user, const UserShares& dead) const {
  const std::uint64_t held = dead.HeldBy(user);
  if (limits_.per_uid.jobs != 0 && held >= limits_.per_uid.jobs) return false;
  return held < limits_.outbox.max_jobs / 10 || held == 0 || dead.Allows(user, 1);
}

// At most `most` of its jobs, from the front.
void Clerk::AdmitOne(Submission& submission, std::size_t most, Shares& shares) {
  const auto user_may = [&](User user, std::uint64_t jobs, std::uint64_t bytes) {
    return !shares.refused.contains(user) && shares.jobs.Allows(user, jobs) &&
           shares.bytes.Allows(user, bytes) && MayLeaveDead(user, shares.dead);
  };
  const auto take = [&](User user, std::uint64_t jobs, std::uint64_t bytes) {
    shares.jobs.Take(user, jobs);
    shares.bytes.Take(user, bytes);
  };
  // A submission is of one user: as a rule all of it fits.
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < most; ++i) bytes += SharedBytes(*submission.jobs[i]);
  std::size_t admitted = most;
  const User user = submission.jobs.empty() ? User() : submission.jobs.front()->uid;
  if (most > 0 && user_may(user, most, bytes)) {
    take(user, most, bytes);
    if (!turned_away_.empty()) turned_away_.erase(user);
  } else if (most > 0) {
    admitted = 0;
    for (; !submission.all_or_none && admitted < most; ++admitted) {
      const std::uint64_t line = SharedBytes(*submission.jobs[admitted]);
      if (!user_may(user, 1, line)) break;
      take(user, 1, line);
      bytes -= line;
    }
    if (IsCrowdedOut(user, bytes, shares.bytes)) history_keeps_out_ = true;
    submission.refused = WhyShareIsUsed(user, shares);
    if (!submission.all_or_none) {
      shares.refused.insert(user);
      turned_away_[user] = {shares.bytes.HeldBy(user), *submission.refused};
    }
  }
  submission.admitted = admitted;
  for (std::size_t i = 0; i < admitted; ++i) accepting_.push_back(submission.jobs[i].get());
}

// Whether so many bytes of lines are refused for what the file holds beside lines, as history.
bool Clerk::IsCrowdedOut(User user, std::uint64_t bytes, UserShares shares) const {
  if (shares.Allows(user, bytes)) return false;
  shares.Give(kNobody, shares.HeldBy(kNobody));
  return shares.Allows(user, bytes);
}

// The kind is that of the limit which is shared out.
Error Clerk::WhyShareIsUsed(User user, const Shares& shares) const {
  const std::string who = user ? "user " + std::to_string(*user) : "the users who come by TCP";
  const std::string holds = " of the outbox (" + std::to_string(shares.jobs.HeldBy(user)) +
                            " waiting jobs, " + std::to_string(shares.dead.HeldBy(user)) + " dead letters, " +
                            std::to_string(shares.bytes.HeldBy(user)) +
                            " bytes; limits.per_uid, outbox.max_jobs, outbox.max_bytes)";
  const bool has_jobs_left = shares.jobs.Allows(user, 1) && MayLeaveDead(user, shares.dead);
  return Error{has_jobs_left ? ErrorKind::kFull : ErrorKind::kBusy,
               who + " hold" + (user ? "s" : "") + " all that one user may have" + holds,
               {}};
}

// Of those who have something in the outbox. Whoever comes anew still may.
std::optional<Error> Clerk::WhyNobodyMay() const {
  if (turned_away_.empty()) return std::nullopt;
  const TurnedAway* last = nullptr;
  for (const auto& [user, holds] : outbox_.HoldsByUser()) {
    const auto found = turned_away_.find(user);
    if (found == turned_away_.end() || SharedBytes(holds) < found->second.bytes) return std::nullopt;
    last = &found->second;
  }
  return last == nullptr ? std::nullopt : std::optional(last->why);
}

// A commit of many jobs takes them along: it writes many pages anyway. So does one that has no room for all.
bool Clerk::MustSettle(const Done& done, Timestamp now) {
  if (pending_.empty()) return false;
  if (!pending_since_) pending_since_ = now;
  const bool may_wait =
      pending_.haste == Haste::kWhenever && not_healthy_.empty() &&
      pending_.outcomes.size() < kOutcomesGathered && accepting_.size() < kOutcomesGathered &&
      std::ranges::none_of(
          done.submissions, [](const auto& submission) { return submission->refused.has_value(); });
  return !may_wait || now < *pending_since_ || now >= *pending_since_ + kOutcomePatience;
}

std::optional<Timestamp> Clerk::OutcomesDue() const {
  if (!pending_since_) return std::nullopt;
  return *pending_since_ + kOutcomePatience;
}

void Clerk::AddReport(WriteBatch& batch) {
  const bool is_short_of_room = IsBeyondNineTenths();
  batch.outcomes.reserve(pending_.outcomes.size());
  for (Outcome& outcome : pending_.outcomes) {
    if (is_short_of_room && outcome.kind == OutcomeKind::kDead) Shorten(outcome);
    batch.outcomes.push_back(&outcome);
  }
  batch.parks = pending_.parks;
  batch.gates = pending_.gates;
}

// What it tells the dispatcher comes in the order of the disk, so before the commit; yet after deliveries
// that wait for company: they are no longer to be cancelled.
void Clerk::WorkForOperator(Timestamp now) {
  if (tasks_.empty()) return;
  if (!pending_.empty() && pending_.haste == Haste::kWhenever) return Hurry();
  if (!tasks_.front()(outbox_.operator_work(), now)) tasks_.pop_front();
}

Clerk::Done Clerk::Work(Timestamp now) {
  Done done;
  WorkForOperator(now);
  CheckRoom(now);
  Admit(done);
  WriteBatch batch;
  batch.accepted = accepting_;
  const bool settles = MustSettle(done, now);
  if (settles) AddReport(batch);
  if (!batch.empty()) {
    const Result<void> written = outbox_.Write(batch, now);
    if (written) {
      not_healthy_.clear();
      ConfirmJobs(done);
      if (settles) ConfirmReport(done);
    } else if (!batch.accepted.empty() && settles) {
      WriteApart(now, done);
    } else {
      Note(written, done);
      if (!batch.accepted.empty()) Refuse(done, written.error());
    }
  } else if (!not_healthy_.empty()) {
    // Producers stop submitting while /readyz fails, so nothing else would notice the recovery.
    Note(outbox_.TryWriting(), done);
  }
  Housekeep(now);
  LogRecounts();
  accepting_.clear();
  done.committed.last = outbox_.LastSequence();
  return done;
}

// Outcomes first: they free room.
void Clerk::WriteApart(Timestamp now, Done& done) {
  WriteBatch reports;
  AddReport(reports);
  const Result<void> settled = outbox_.Write(reports, now);
  Note(settled, done);
  if (settled) ConfirmReport(done);
  WriteBatch jobs;
  jobs.accepted = accepting_;
  const Result<void> stored = outbox_.Write(jobs, now);
  if (settled || !stored) Note(stored, done);  // storing jobs does not prove that outcomes can be written
  if (stored) {
    ConfirmJobs(done);
  } else {
    Refuse(done, stored.error());
  }
}

void Clerk::Note(const Result<void>& written, Done& done) {
  if (written) {
    not_healthy_.clear();
    return;
  }
  if (not_healthy_.empty())
    Log(LogLevel::kError, "outbox cannot be written", {{"reason", written.error().message}});
  not_healthy_ = written.error().message;
  if (written.error().kind == ErrorKind::kCorrupt) done.fatal = written.error();
}

void Clerk::Refuse(Done& done, const Error& error) {
  for (const std::unique_ptr<Submission>& submission : done.submissions) {
    if (submission->admitted > 0) submission->refused = error;
  }
}

void Clerk::ConfirmJobs(Done& done) {
  done.committed.accepted.reserve(accepting_.size());
  for (const std::unique_ptr<Submission>& submission : done.submissions) {
    submission->ids.reserve(submission->admitted);
    for (std::size_t i = 0; i < submission->admitted; ++i) {
      submission->ids.push_back(submission->jobs[i]->stamp.id);
      stored_bytes_ += submission->jobs[i]->job.line.size();
      done.committed.accepted.push_back(std::move(submission->jobs[i]));
    }
  }
}

void Clerk::ConfirmReport(Done& done) {
  done.committed.outcomes = std::move(pending_.outcomes);
  done.committed.ticket = pending_.ticket;
  pending_.outcomes.clear();
  pending_.parks.clear();
  pending_.gates.clear();
  pending_.haste = Haste::kWhenever;
  pending_since_.reset();
}

// Where the room begins that is kept for others, with what the deaths of waiting jobs will add. What a reader
// holds of the WAL does not count: to remove rows makes that grow.
bool Clerk::IsBeyondNineTenths() const {
  const std::uint64_t limit = limits_.outbox.max_bytes;
  const std::uint64_t used = used_bytes_ - std::min(used_bytes_, held_wal_.bytes());
  return used + outbox_.Total().jobs * kDeathBytes > limit - limit / 10;
}

// Where it gives way a step of it goes, whatever its age.
Result<bool> Clerk::PruneHistory(Timestamp now) {
  const bool gives_way = std::exchange(history_keeps_out_, false) || IsBeyondNineTenths();
  const std::uint64_t held = outbox_.Total().attempts;
  std::uint64_t rows_max = limits_.history.max_rows;
  if (gives_way && held > 0) {
    rows_max = std::min(rows_max, held - std::min<std::uint64_t>(held, kPruneRows));
    TellHistoryGivesWay(now);
  }
  const Timestamp before = now - limits_.history.keep;
  Result<bool> more = outbox_.maintenance().PruneHistory(before, rows_max, kPruneRows);
  if (gives_way) ReadRoom(now);
  return more;
}

void Clerk::TellHistoryGivesWay(Timestamp now) {
  if (history_told_ && now >= *history_told_ && now < *history_told_ + kHistoryToldInterval) return;
  history_told_ = now;
  Log(LogLevel::kWarn, "history is pruned early: jobs need the room (outbox.max_bytes)");
}

void Clerk::Housekeep(Timestamp now) {
  const Milliseconds interval = IsBeyondNineTenths() ? kRoomInterval : kHousekeepingInterval;
  if (!more_housekeeping_ && now >= housekept_ && now < housekept_ + interval) return;
  housekept_ = now;
  const Result<bool> pruned = PruneHistory(now);
  const Result<bool> shrunk = outbox_.maintenance().Shrink(kShrinkPages, kFreePagesKept);
  more_housekeeping_ = (pruned && *pruned) || (shrunk && *shrunk);
  if (outbox_.maintenance().MustTruncateWal()) static_cast<void>(outbox_.maintenance().TruncateWal());
  // After the last job left nothing else is written that would cause a checkpoint, and the room it gave back
  // would never be seen; nor that a reader has gone.
  if (!more_housekeeping_ && (WhyFull(0) || held_wal_.bytes() > 0))
    static_cast<void>(outbox_.maintenance().Checkpoint());
}

void Clerk::LogRecounts() {
  const auto text = [](const Counts& counts) {
    const auto number = [](std::uint64_t count) { return std::to_string(static_cast<std::int64_t>(count)); };
    return number(counts.jobs) + " jobs, " + number(counts.dead) + " dead, " + number(counts.attempts) +
           " attempts, " + number(counts.delivered) + " delivered";
  };
  for (const Recount& recount : outbox_.TakeRecounts()) {
    Log(LogLevel::kWarn, "counters did not match the rows and were counted anew",
        {{"connection", recount.connection}, {"was", text(recount.before)}, {"is", text(recount.after)}});
  }
}

OutboxState Clerk::State() const {
  OutboxState state;
  state.counts = outbox_.CountsByConnection();
  state.used_bytes = used_bytes_;
  state.wal_held_bytes = held_wal_.bytes();
  state.wal_held_since = held_wal_.since();
  state.disk_free_bytes = disk_space_.FreeBytes().value_or(0);
  state.not_healthy = not_healthy_;
  if (const std::optional<Error> nobody = WhyNobodyMay()) state.not_accepting = nobody->message;
  if (const std::optional<Error> full = WhyFull(0)) state.not_accepting = full->message;
  if (!not_healthy_.empty()) state.not_accepting = not_healthy_;
  return state;
}

void Clerk::CheckInvariants() const {
  outbox_.CheckInvariants();
  CHECK(accepting_.empty());
  for (const std::unique_ptr<Submission>& submission : submissions_) {
    CHECK(submission != nullptr);
    CHECK(submission->admitted == 0 && submission->ids.empty());
  }
  for (const Outcome& outcome : pending_.outcomes) CHECK(outcome.job != nullptr);
}

}  // namespace outboxd
