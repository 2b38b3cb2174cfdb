// daemon/clerk/clerk.h — the one owner of the database: takes everything that waits, writes it in one
// transaction, then answers everyone.
//
// While one commit is being synced the next group gathers by itself: no timer, no delay when idle, large
// groups under load. New jobs and outcomes share a commit; when it fails they are tried apart, so that a full
// disk refuses new jobs and still settles old ones. Outcomes that nobody waits for gather over several
// commits, since each would write pages for them alone: so many jobs a crash may send again. Outcomes that
// cannot be written are kept and tried again: nothing of them is lost but time.
//
// Of max_jobs and max_bytes each user has a share (core/user_shares.h); dead letters count in it when a job
// is accepted. Who has used his up is refused, and he alone. History has no share: it gives way, oldest
// first, once the file takes more than nine tenths of max_bytes, and while it keeps jobs out. For what its
// death adds each waiting job counts some bytes more; beyond the nine tenths deaths are recorded in short.
//
// Threads: belongs to one thread, which drives it (daemon/clerk/clerk_thread.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "core/clock.h"
#include "core/job.h"
#include "core/result.h"
#include "core/time.h"
#include "core/user_shares.h"
#include "daemon/clerk/disk_space.h"
#include "daemon/clerk/held_wal.h"
#include "daemon/clerk/report.h"
#include "daemon/clerk/submission.h"
#include "storage/counters.h"
#include "storage/operator_work.h"
#include "storage/outbox.h"

namespace outboxd {

// An operator's work in steps between commits. Returns true while there is more to do.
using ClerkTask = std::function<bool(OperatorWork&, Timestamp now)>;

// What the clerk knows of the outbox as a whole.
struct OutboxState {
  std::map<std::string, Counts, std::less<>> counts;
  std::uint64_t used_bytes = 0;      // with the WAL's that are held
  std::uint64_t wal_held_bytes = 0;  // by a reader of an older state
  std::optional<Timestamp> wal_held_since;
  std::uint64_t disk_free_bytes = 0;  // 0 while it is not known
  std::string not_accepting;          // empty: accepting
  std::string not_healthy;            // empty: the last write succeeded
};

// Size: admitting, writing and housekeeping share what they know of the file.
class Clerk {
 public:
  struct Limits {
    OutboxConfig outbox;
    HistoryConfig history;
    PerUserLimits per_uid;
  };
  // How many outcomes that nobody waits for gather, and how long.
  static constexpr std::size_t kOutcomesGathered = 64;
  static constexpr Milliseconds kOutcomePatience{500};

  // `disk_free` tells the free bytes of the outbox's file system.
  Clerk(Outbox outbox, Limits limits, DiskSpace::Ask disk_free);

  void Configure(Limits limits) { limits_ = std::move(limits); }
  void Add(std::unique_ptr<Submission> submission);
  void Add(Report report);
  void Add(ClerkTask task) { tasks_.push_back(std::move(task)); }

  // What the clocks say, before Work(): jobs accepted by a clock that is not synchronised move when it is
  // set.
  void SeeClock(const ClockReading& clock);

  struct Done {
    std::vector<std::unique_ptr<Submission>> submissions;  // answered, in order
    Committed committed;
    std::optional<Error> fatal;  // the outbox is damaged: stop
  };
  // A step of the operator's work, then writes what was added, in one commit where possible; then a step of
  // housekeeping.
  Done Work(Timestamp now);
  // True when Work() should be called again at once, or soon: nothing new has to come.
  bool HasTasks() const { return !tasks_.empty() || more_housekeeping_; }
  // True when Work() has something to write that does not wait for company, or the last write failed.
  bool MustRetry() const {
    return (!pending_.empty() && pending_.haste != Haste::kWhenever) || !not_healthy_.empty();
  }
  // When outcomes that wait for company are written at the latest; nullopt: none wait.
  std::optional<Timestamp> OutcomesDue() const;
  // The next Work() writes them.
  void Hurry() { pending_.haste = Haste::kAtOnce; }
  bool IsAccepting() const { return not_healthy_.empty() && !WhyFull(0) && !WhyNobodyMay(); }
  OutboxState State() const;
  Outbox& outbox() { return outbox_; }

  // Between two calls of Work(). Aborts when broken.
  void CheckInvariants() const;

 private:
  // What users hold of the limits that they share.
  struct Shares {
    UserShares jobs, dead, bytes;
    std::set<User> refused;  // nothing more of theirs is accepted in this commit: it would overtake
  };
  Shares SharesNow() const;
  void CheckRoom(Timestamp now);
  void ReadRoom(Timestamp now);
  std::optional<Error> WhyFull(std::size_t jobs) const;
  void Admit(Done& done);
  bool MayLeaveDead(User user, const UserShares& dead) const;
  void AdmitOne(Submission& submission, std::size_t most, Shares& shares);
  Error WhyShareIsUsed(User user, const Shares& shares) const;
  std::optional<Error> WhyNobodyMay() const;
  void WriteApart(Timestamp now, Done& done);
  void Refuse(Done& done, const Error& error);
  void ConfirmJobs(Done& done);
  void ConfirmReport(Done& done);
  void Note(const Result<void>& written, Done& done);
  bool IsCrowdedOut(User user, std::uint64_t bytes, UserShares shares) const;
  bool IsBeyondNineTenths() const;
  void Housekeep(Timestamp now);
  Result<bool> PruneHistory(Timestamp now);
  void TellHistoryGivesWay(Timestamp now);
  void LogRecounts();
  void WorkForOperator(Timestamp now);
  bool MustSettle(const Done& done, Timestamp now);
  void AddReport(WriteBatch& batch);

  Outbox outbox_;
  Limits limits_;
  DiskSpace disk_space_;
  std::vector<std::unique_ptr<Submission>> submissions_;
  std::vector<QueuedJob*> accepting_;  // jobs of submissions_ that are not refused
  struct TurnedAway {
    std::uint64_t bytes = 0;  // what he held then
    Error why;
  };
  std::map<User, TurnedAway> turned_away_;  // because their share was used up, at their last submission
  Report pending_;                          // not yet written
  std::optional<Timestamp> pending_since_;  // Work() saw it first
  std::deque<ClerkTask> tasks_;
  std::uint64_t used_bytes_ = 0;
  HeldWal held_wal_;
  Timestamp room_checked_{};
  std::uint64_t stored_bytes_ = 0;  // of lines, since then
  Timestamp housekept_{};
  bool more_housekeeping_ = false;
  bool history_keeps_out_ = false;         // jobs, since the last step of housekeeping
  std::optional<Timestamp> history_told_;  // that it gives way
  std::string not_healthy_;
};

}  // namespace outboxd
