// storage/outcome_writer.h — writes what became of jobs: the history of their attempts, packed
// (storage/history_pack.h), and the rows that go, wait or die.
//
// Threads: belongs to one thread. Errors: those of storage/database.h; the caller's transaction then fails.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/job.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "storage/database.h"
#include "storage/history_pack.h"
#include "storage/outbox_file.h"
#include "storage/outcome.h"

namespace outboxd {

class OutcomeWriter {
 public:
  // `file` outlives it.
  static Result<OutcomeWriter> Prepare(OutboxFile& file);

  // Within a transaction; reorders `outcomes`. Each that is delivered counts once (Counts::delivered),
  // whether its row is still there or not. An outcome of a job that was cancelled meanwhile only adds its
  // attempt; one of a job that is nowhere any more (forgotten, dropped) leaves no trace.
  Result<void> WriteAll(std::vector<const Outcome*>& outcomes, Timestamp now);
  // The job keeps these lanes on disk, and no others.
  Result<void> KeepLanes(Sequence sequence, std::span<const LaneKey> lanes);

 private:
  explicit OutcomeWriter(OutboxFile& file) : file_(&file) {}
  Result<void> WriteAttempts(std::span<const Outcome* const> outcomes);
  Result<void> WriteAttempt(const Outcome& outcome);
  void BeginPack(Timestamp first, Sequence highest);
  Result<void> WritePack();
  Result<bool> IsKept(Sequence sequence);
  Result<void> WriteOne(const Outcome& outcome, Timestamp now);
  Result<void> Bury(const Outcome& outcome, Timestamp now);
  Result<void> Remove(const QueuedJob& queued);
  Result<void> RemoveRun(std::span<const Outcome* const> run);
  void ForgetUsers(std::span<const Outcome* const> run);
  Result<void> Defer(const Outcome& outcome);
  Result<void> NoteLate(const QueuedJob& queued);

  OutboxFile* file_;
  PackBuilder pack_;
  std::int64_t last_pack_ = 0;  // the highest id in use
  Statement write_pack_, kept_, bury_, remove_, remove_run_, defer_, late_, unpark_, keep_lane_,
      forget_lanes_;
};

}  // namespace outboxd
