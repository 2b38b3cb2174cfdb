// storage/outbox.h — the durable queue: an accepted job lives here until its outcome is recorded.
//
// Durability: once Write() returns a value, all of it survives SIGKILL and power loss (WAL,
// synchronous=FULL). Time:       passed in by the caller; nothing here reads a clock. Threads:    belongs to
// one thread (the clerk's); readers open their own OutboxReader. Errors:     kConflict = another process owns
// the file; kFull = no room, nothing changed; kCorrupt = a damaged or foreign file, or one
//             of a later version: stop the daemon; kIo = the system refused, nothing changed.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "core/gate.h"
#include "core/job.h"
#include "core/names.h"
#include "core/result.h"
#include "core/verdict.h"
#include "storage/database.h"
#include "storage/file_lock.h"
#include "storage/filter.h"

namespace outboxd {

// One request that left, and what came of it.
struct Attempt {
  Timestamp sent{};
  Milliseconds duration{0};
  Fate result = Fate::kDelivered;
  int status = 0;  // 0: no answer
  std::string error;
  std::string answer;  // first bytes of the body
};

enum class OutcomeKind : std::uint8_t {
  kDelivered,
  kDeferred,  // job->due says until when
  kReturned,  // not charged; ready again
  kDead,
};

enum class Death : std::uint8_t { kRejected, kExhausted, kExpired, kCancelled };
template <>
inline constexpr Names<Death> kNames<Death>{{{Death::kRejected, "rejected"},
                                             {Death::kExhausted, "exhausted"},
                                             {Death::kExpired, "expired"},
                                             {Death::kCancelled, "cancelled"}}};
constexpr std::string_view DeathName(Death death) {
  return NameOf(death);
}

// What became of a job. `job` carries the new attempts, charged and due.
struct Outcome {
  std::unique_ptr<QueuedJob> job;
  OutcomeKind kind = OutcomeKind::kDelivered;
  std::optional<Attempt> attempt;  // absent when nothing left (expired while waiting)
  std::string reason;              // why not delivered
  Death death = Death::kRejected;  // with kDead
  std::string cause;               // with kDead
};

struct Park {
  Sequence sequence{};
  LaneKey lane{};
};

// Everything one commit writes.
struct WriteBatch {
  std::vector<QueuedJob*> accepted;  // Write() sets sequence and stamp, in this order
  std::vector<const Outcome*> outcomes;
  std::vector<Park> parks;
  std::vector<std::pair<std::string, GateSnapshot>> gates;  // by connection
  bool empty() const { return accepted.empty() && outcomes.empty() && parks.empty() && gates.empty(); }
};

struct Counts {
  std::uint64_t jobs = 0, dead = 0, attempts = 0;
};

class Outbox {
 public:
  // Creates the file, or migrates its schema; takes the lock that keeps other processes out. `seed` feeds the
  // random part of job ids.
  static Result<Outbox> Open(const std::filesystem::path& file, std::uint64_t seed);
  Outbox(Outbox&&) noexcept = default;
  Outbox& operator=(Outbox&&) noexcept = default;

  // All of `batch` in one transaction, or nothing. An outcome of a job that was cancelled meanwhile only adds
  // its attempt; one of a job that is nowhere any more (forgotten, dropped) leaves no trace.
  Result<void> Write(WriteBatch& batch, Timestamp now);

  // Operator's work walks once through the rows, so that none is met twice. Each call is a step: it looks at
  // some thousand rows and changes at most `rows_max`, so that accepting never waits long. Repeat with the
  // same walk until `more` is false.
  struct Walk {
    std::size_t table = 0;
    Sequence after{};
    std::uint64_t redrives = 0;
  };
  struct Step {
    std::vector<Sequence> sequences;  // the rows changed, in their order
    bool more = false;
  };
  Result<Step> Redrive(const DeadFilter& filter, Walk& walk, Timestamp now, std::size_t rows_max);
  Result<Step> Drop(const DeadFilter& filter, Walk& walk, std::size_t rows_max);
  // Waiting jobs, dead letters and history of a customer, erased (overwritten on disk). Counts add up over
  // the calls.
  Result<Step> Forget(const std::string& customer, const std::optional<std::string>& connection, Walk& walk,
                      std::size_t rows_max, Counts& counts);
  // Of one waiting job, which is a dead letter then. Its connection.
  Result<std::string> Cancel(Sequence sequence, Timestamp now);

  // History older than `before`, or beyond `rows_max_kept` rows; at most `rows_max` rows a call. True while
  // there is more to do.
  Result<bool> PruneHistory(Timestamp before, std::uint64_t rows_max_kept, std::size_t rows_max);
  // Gives free pages beyond `pages_kept` back to the file system, at most `pages_max` a call. True while
  // there is more to give.
  Result<bool> Shrink(std::size_t pages_max, std::size_t pages_kept);
  // Checkpoints what no reader needs of the WAL, without waiting: what Shrink() gave back is free only then.
  Result<void> Checkpoint();
  // Checkpoints the WAL and truncates it, without waiting for those who read it: then false, and it stays.
  Result<bool> TruncateWal();
  // After a Forget until the WAL, which may hold what was erased, was truncated.
  bool MustTruncateWal() const { return must_truncate_wal_; }
  // Commits a change that changes nothing: tells whether the disk takes writes again.
  Result<void> TryWriting();

  const std::map<std::string, Counts, std::less<>>& CountsByConnection() const { return counts_; }
  Counts Total() const;
  Result<std::uint64_t> UsedBytes();  // of the main file, without its free pages
  Sequence LastSequence() const { return Sequence{next_ - 1}; }

 private:
  Outbox(FileLock lock, Database database, std::uint64_t seed);
  Result<void> Prepare();
  Result<void> LoadSequence();
  Result<void> LoadCounts();
  Result<void> Append(QueuedJob& queued, Timestamp now);
  Result<void> RecordAll(std::vector<const Outcome*>& outcomes, Timestamp now);
  Result<void> Record(const Outcome& outcome, Timestamp now);
  Result<void> RemoveRun(std::span<const Outcome* const> run);
  Result<void> RecordAttempt(const Outcome& outcome);
  Result<void> NoteLate(const QueuedJob& queued);
  Result<void> Bury(const Outcome& outcome, Timestamp now);
  Result<void> WriteAll(WriteBatch& batch, Timestamp now);
  Result<void> WriteCounts();
  Result<void> Reserve(std::uint64_t count);
  Result<void> Transaction(const std::function<Result<void>()>& work);
  Counts& Touch(std::string_view connection);
  struct Examined {
    std::vector<std::pair<Sequence, std::string>> matches;  // with their connections
    Sequence through{};
    bool at_end = false;
  };
  Result<Examined> Examine(std::string_view table, const SqlCondition& condition, Sequence after,
                           std::size_t rows_max);
  template <typename Change>
  Result<Step> ForEachDead(const DeadFilter& filter, Walk& walk, std::size_t rows_max, Change change);

  FileLock lock_;
  Database database_;
  std::mt19937_64 random_;
  std::uint64_t next_ = 1;
  std::uint64_t reserved_ = 1;
  std::map<std::string, Counts, std::less<>> counts_;
  std::vector<std::string> touched_;                     // connections whose counts this transaction changed
  std::pair<std::string_view, Counts*> touched_last_{};  // points into counts_
  std::pair<std::int64_t, std::int64_t> prune_after_{0, 0};
  std::uint64_t redrives_ = 0;  // steps that brought rows back into the outbox
  bool must_truncate_wal_ = false;
  bool has_erased_ = false;  // jobs, since the start: a request of theirs may still be out
  Statement begin_, commit_, rollback_, append_, remove_, remove_run_, defer_, park_, bury_, attempt_,
      attempt_of_kept_, late_, gate_, count_, reserve_;
};

}  // namespace outboxd
