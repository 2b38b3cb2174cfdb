// daemon/delivery/stowed_jobs.h — the deferred jobs of one connection that wait on disk alone, because memory
// has its share of deferred jobs: how many there are, and which of them is due next. And whether there are
// any jobs at all that keep lanes on disk.
//
// A stowed job keeps its lanes on disk, and so does a parked one of several lanes with all but that where it
// waits. Memory knows nothing of such a lane: who comes for it looks at the disk first (Backlog). The rows of
// stowed jobs are passed in the order of their due; one that is passed is in memory, and
// stays marked until its next outcome is written. No thread, no lock: belongs to the dispatcher. Time is an
// argument.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/job.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/delivery/lane_set.h"
#include "daemon/delivery/parking.h"
#include "storage/outbox_reader.h"

namespace outboxd {

class StowedJobs {
 public:
  using Stowed = OutboxReader::Stowed;

  // Whether jobs may keep lanes on disk. False only when none does for certain.
  bool any() const { return any_; }
  // Whether they may keep one of these, or others be parked there behind them that memory does not know: the
  // disk has to be asked.
  bool MayKeep(std::span<const LaneKey> lanes) const { return any_ && kept_.MayHaveAny(lanes); }
  // One of several lanes was parked.
  void OnKept(std::span<const LaneKey> lanes);
  // Those out of memory.
  EstimatedRows& rows() { return rows_; }
  const EstimatedRows& rows() const { return rows_; }

  // At start: none is in memory.
  Result<void> Load(OutboxReader& reader, std::string_view connection, Timestamp now);
  // Its row is written, and it has left memory.
  void OnLeft(Stowed job, std::span<const LaneKey> lanes);
  // One came into memory.
  void OnCame() { rows_.Subtract(); }

  // The first that is not passed; nullopt when there is none. Asks the disk once for each.
  Result<std::optional<Stowed>> Next(OutboxReader& reader, std::string_view connection);
  void Pass(Stowed job);
  // When Next() is worth a call; nullopt when time does not matter.
  std::optional<Timestamp> NextDue(Timestamp now) const;
  // Those whose time is later than `latest`: the clock was set back, or the caps were lowered. A few, and
  // seldom.
  Result<std::vector<Sequence>> TooLate(OutboxReader& reader, std::string_view connection, Timestamp now,
                                        Timestamp latest);

  // Operators took rows away, perhaps some of these.
  void OnTakenAway();
  // Jobs parked behind one that was taken away are to be looked for: nothing in memory knows of their lanes.
  bool HasTakenAway() const { return has_taken_away_; }
  void OnLookedFor() { has_taken_away_ = false; }
  // Once in a while: whether there are none any more.
  Result<bool> HasEnded(OutboxReader& reader, std::string_view connection, Timestamp now);
  void End();

 private:
  bool any_ = false;
  LaneSet kept_;
  bool has_taken_away_ = false;
  EstimatedRows rows_;
  Stowed passed_{FromUnixMs(0) - Milliseconds::max() / 2, Sequence{}};
  bool is_next_known_ = false;
  std::optional<Stowed> next_;
  std::optional<Timestamp> looked_late_, looked_;
};

}  // namespace outboxd
