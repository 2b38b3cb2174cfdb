// storage/outbox.h — the durable queue: an accepted job lives here until its outcome is recorded.
//
// Durability: once Write() returns a value, all of it survives SIGKILL and power loss (WAL,
// synchronous=FULL).
// Time: passed in by the caller; nothing here reads a clock.
// Threads: belongs to one thread (the clerk's); readers open their own OutboxReader.
// Errors: kConflict = another process owns the file; kFull = no room, nothing changed; kCorrupt = a damaged
// or foreign file, or one of a later version: stop the daemon; kIo = the system refused, nothing changed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/gate.h"
#include "core/job.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "storage/counters.h"
#include "storage/database.h"
#include "storage/maintenance.h"
#include "storage/operator_work.h"
#include "storage/outbox_file.h"
#include "storage/outcome.h"
#include "storage/outcome_writer.h"
#include "storage/sequences.h"
#include "storage/upgrade.h"
#include "storage/user_counts.h"

namespace outboxd {

// A row is to be marked: it waits on disk in `lane`.
struct Park {
  Sequence sequence{};
  LaneKey lane{};
  std::vector<LaneKey> others;  // that it keeps meanwhile
};

// Everything one commit writes.
struct WriteBatch {
  std::vector<QueuedJob*> accepted;  // Write() sets sequence and stamp, in this order
  std::vector<const Outcome*> outcomes;
  std::vector<Park> parks;
  std::vector<std::pair<std::string, GateSnapshot>> gates;  // by connection
  bool only_accepts() const { return outcomes.empty() && parks.empty() && gates.empty(); }
  bool empty() const { return accepted.empty() && only_accepts(); }
};

// What a dispatcher goes by when it begins.
struct OutboxStart {
  Sequence tail{};                                              // the highest in the outbox
  std::map<std::string, std::uint64_t, std::less<>> delivered;  // jobs so far, by connection
};

class Outbox {
 public:
  // Creates the file, or migrates its schema; takes the lock that keeps other processes out. `seed` feeds the
  // random part of job ids and the stamp of this start. `before` is told of a migration before it begins.
  static Result<Outbox> Open(const std::filesystem::path& file, std::uint64_t seed,
                             const BeforeUpgrade& before = {});

  // What the clocks say, before Write() and the operator's work: rows keep it. By how much waiting jobs were
  // moved where the clock was set. What it could not write, the next Write() does.
  Result<std::optional<Milliseconds>> SeeClock(const ClockReading& clock) { return file_->SeeClock(clock); }

  // All of `batch` in one transaction, or nothing. An outcome of a job that was cancelled meanwhile only adds
  // its attempt; one of a job that is nowhere any more (forgotten, dropped) leaves no trace.
  Result<void> Write(WriteBatch& batch, Timestamp now);
  // Commits a change that changes nothing: tells whether the disk takes writes again.
  Result<void> TryWriting();

  // The same file's other writers.
  OperatorWork& operator_work() { return operator_work_; }
  Maintenance& maintenance() { return maintenance_; }

  const Counters::Map& CountsByConnection() const { return file_->counters().ByConnection(); }
  Counts Total() const { return file_->counters().Total(); }
  const UserCounts::Map& HoldsByUser() const { return file_->users().ByUser(); }
  // Counters that did not match the rows and were counted anew since the last call: something damaged the
  // file.
  std::vector<Recount> TakeRecounts() { return file_->counters().TakeRecounts(); }
  // Why a small file keeps the large pages of an earlier version, until the next start.
  const std::optional<Error>& PagesKept() const { return file_->pages_kept(); }
  Sequence LastSequence() const { return sequences_.Last(); }
  OutboxStart AtStart() const;

  // Between transactions. Aborts when broken.
  void CheckInvariants() const;

 private:
  struct Parts {
    std::unique_ptr<OutboxFile> file;
    Sequences sequences;
    OutcomeWriter outcomes;
  };
  Outbox(Parts parts, std::uint64_t seed);
  static Result<Outbox> Assemble(std::unique_ptr<OutboxFile> file, std::uint64_t seed);
  Result<void> Prepare();
  template <typename Work>
  Result<void> Transaction(OutboxFile::Storing storing, const Work& work);
  Result<void> WriteAll(WriteBatch& batch, Timestamp now);
  Result<void> Append(QueuedJob& queued, Timestamp now);
  Result<void> WritePark(const Park& park);
  Result<void> WriteGate(const std::string& connection, const GateSnapshot& gate);

  std::unique_ptr<OutboxFile> file_;  // the other members hold on to it
  Sequences sequences_;
  OutcomeWriter outcomes_;
  OperatorWork operator_work_;
  Maintenance maintenance_;
  std::mt19937_64 random_;
  Statement append_, park_, gate_;
};

}  // namespace outboxd
