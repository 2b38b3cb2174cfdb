// daemon/delivery/backlog.h — brings the waiting jobs of one connection from the outbox into memory, as far
// as there is room.
//
// Jobs just accepted go straight in; the others are read back by sequence. Deferred jobs are read when they
// are due, as far as they leave half of the room to the others, suspects among them have an eighth of their
// own; parked ones when their lane opens. Both go in a little beyond the limits, for memory may be full of
// jobs that wait for them.
//
// While there is no room, jobs of users who have few in memory are read ahead (look_ahead.h).
//
// Deferred jobs beyond limits.deferred_jobs are stowed (stowed_jobs.h), and a parked job of several lanes
// keeps those where it does not wait. Who comes for a lane that may be kept is read back from disk, and the
// lane is looked for there: behind one that keeps a lane of it, it is parked. A redriven job that goes before
// a stowed one, which has the turn, brings that one back into memory. A lane is refilled up to the first that
// keeps it and waits elsewhere; who comes into memory brings what is known of its lanes along.
//
// No thread, no lock: belongs to the dispatcher. Time is an argument.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "config/config.h"
#include "core/job.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/clerk/report.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/delivery/held_jobs.h"
#include "daemon/delivery/look_ahead.h"
#include "daemon/delivery/stowed_jobs.h"
#include "daemon/delivery/window.h"
#include "storage/outbox_reader.h"

namespace outboxd {

// Size: each way into memory is a step of Read() with a method of its own.
class Backlog {
 public:
  // `held` outlives it.
  Backlog(HeldJobs& held, std::shared_ptr<const Endpoint> endpoint, const LimitsConfig& limits);

  // At start: deferred jobs and parked lanes. `tail` is the highest sequence in the outbox.
  Result<void> Load(OutboxReader& reader, Sequence tail, Timestamp now);
  void Configure(std::shared_ptr<const Endpoint> endpoint, const LimitsConfig& limits);

  // `jobs` are this connection's among those committed up to `last`.
  void OnAccepted(std::vector<std::unique_ptr<QueuedJob>> jobs, Sequence last, Report& report);
  // Jobs up to `last` were committed and are to be read back.
  void OnTail(Sequence last) { tail_ = std::max(tail_, last); }
  // Redriven jobs: rows from `from` on are looked at again.
  void Rewind(Sequence from) {
    cursor_ = std::min(cursor_, Sequence{ToNumber(from) - 1});
    look_ahead_.End();
  }

  // Reads what there is room for. `reader` sees everything committed.
  Result<void> Read(OutboxReader& reader, Timestamp now, Report& report);
  // When Read() has something to do by time alone; nullopt when time does not matter.
  std::optional<Timestamp> NextRead(Timestamp now) const;
  // Whether rows wait on disk that were not looked at.
  bool IsBehind() const { return cursor_ < tail_; }
  // How many rows have no room in memory, at most: other connections' count too.
  std::uint64_t ShutOut() const { return IsShutOut() ? ToNumber(tail_) - ToNumber(cursor_) : 0; }
  // Memory has its share of deferred jobs: one more waits on disk alone.
  bool IsDeferredFull() const { return held_.window().In(Window::State::kDeferred) >= limits_.deferred_jobs; }

  // Aborts when it is somewhere it cannot be. For tests.
  void CheckInvariants() const;

 private:
  Window::Part InTurn() const;
  bool HasRoom() const;
  bool HasRetryRoom() const;
  bool HasWakeRoom(bool for_suspect) const;
  bool MayReadBack() const;
  std::optional<Timestamp> NextWaiting(Timestamp now) const;
  Milliseconds LongestWait() const;
  LaneList LanesFor(const Job& job) const;
  Result<void> AdmitRead(OutboxReader& reader, StoredJob stored, Report& report);
  Result<std::optional<Sequence>> FirstKept(OutboxReader& reader, LaneKey lane);
  Result<std::optional<LaneKey>> WaitsOnDiskIn(OutboxReader& reader, Sequence sequence,
                                               std::span<const LaneKey> lanes);
  Result<void> BringTurns(OutboxReader& reader, const StoredJob& stored, std::span<const LaneKey> lanes,
                          Report& report);
  Result<void> FindParkedIn(OutboxReader& reader, std::span<const LaneKey> lanes);
  Result<std::optional<LaneKey>> WaitsIn(OutboxReader& reader, Sequence sequence,
                                         std::span<const LaneKey> lanes);
  Result<void> CutParked(OutboxReader& reader, LaneKey lane, OutboxReader::Parked& read, Report& report);
  Result<void> FindParkedBehind(OutboxReader& reader, Sequence sequence, std::span<const LaneKey> lanes);
  Result<void> Bring(OutboxReader& reader, const StoredJob& stored, Report& report);
  Result<void> LookAtStowed(OutboxReader& reader, Timestamp now);
  void MoveCursor(Sequence through);
  Result<bool> WakeNext(OutboxReader& reader, Timestamp now, Report& report);
  std::optional<Window::Due> NextDue(Timestamp now) const;
  Result<bool> WakeNextStowed(OutboxReader& reader, const StowedJobs::Stowed& next, Timestamp now,
                              Report& report);
  Result<void> WakeStowed(OutboxReader& reader, Sequence sequence, Timestamp now, Report& report);
  Result<void> WakeLate(OutboxReader& reader, Timestamp now, Report& report);
  Result<void> WakeDeferred(OutboxReader& reader, Timestamp now, Report& report);
  Result<void> Refill(OutboxReader& reader, Report& report);
  Result<void> CountParked(OutboxReader& reader, Timestamp now);
  Result<void> ReadBack(OutboxReader& reader, Report& report);
  bool IsShutOut() const { return IsBehind() && !HasRoom(); }
  LookAhead::Terms AheadTerms(Timestamp now) const {
    return {endpoint_->config, limits_, cursor_, tail_, now};
  }

  HeldJobs& held_;
  std::shared_ptr<const Endpoint> endpoint_;
  LimitsConfig limits_;
  LookAhead look_ahead_;
  bool is_stowed_stuck_ = false;  // the next stowed one is a suspect, of whom memory has enough
  Sequence cursor_{};             // every own row up to here is in memory, deferred or parked
  Sequence tail_{};               // highest sequence known to be committed
};

}  // namespace outboxd
