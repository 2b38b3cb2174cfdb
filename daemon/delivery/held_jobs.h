// daemon/delivery/held_jobs.h — the jobs of one connection that are in memory, from their coming to their
// going.
//
// Keeps Window, Lanes, Parking and Departures in step: whoever enters, is given the turn, is given up or
// leaves changes all of them here. A lane opens again only after its job's outcome is committed; a failure
// takes effect at once. No thread, no lock: belongs to the dispatcher. Time is an argument.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "core/job.h"
#include "core/lanes.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/base/status.h"
#include "daemon/clerk/report.h"
#include "daemon/delivery/departures.h"
#include "daemon/delivery/parking.h"
#include "daemon/delivery/stowed_jobs.h"
#include "daemon/delivery/window.h"
#include "storage/outbox_reader.h"
#include "storage/outcome.h"

namespace outboxd {

// Size: its parts are reached through it, each for reading and for changing.
class HeldJobs {
 public:
  explicit HeldJobs(std::size_t lane_jobs_max) : lanes_(lane_jobs_max), departures_(window_, lanes_) {}
  HeldJobs(const HeldJobs&) = delete;  // its parts refer to each other
  HeldJobs& operator=(const HeldJobs&) = delete;
  void Configure(std::size_t lane_jobs_max) { lanes_.Configure(lane_jobs_max); }

  // A job just accepted, or read back by sequence. It may be parked instead of held; `report` takes what is
  // to be written. One that is held already is left as it is.
  void Admit(StoredJob stored, LaneList lanes, Report& report);
  // It was just admitted, ahead of its turn.
  void MarkAhead(Sequence sequence) { window_.MarkAhead(window_.At(sequence)); }
  // At start, before all others.
  void AdmitDeferred(const StoredJob& stored, LaneList lanes);
  // Rows of `lane` that were parked, read from where it is to be refilled: none that must wait in another
  // lane, and none behind a job that waits in another one.
  void AdmitParked(LaneKey lane, OutboxReader::Parked read, Report& report);
  // Rows of `lane` from `first` on are parked; memory did not know.
  void FindParked(LaneKey lane, Sequence first);
  // A stowed job, which keeps `lanes`, comes into memory; it waits there until it is due.
  void AdmitStowed(const StoredJob& stored, LaneList lanes, Report& report);
  // A row just read, of a job that is not held: it waits in `lane`, which it keeps like all of `lanes`, for
  // one on disk.
  void Park(Sequence sequence, LaneKey lane, const LaneList& lanes, Report& report);
  // Rows of `lane` are on their way to be parked although nothing of it is in memory.
  void FindBeingMarked(LaneKey lane);
  // The row of a deferred job, read when it was due; nullopt: it is gone. `longest` as in Window::NextDue().
  void Wake(Sequence sequence, std::optional<StoredJob> stored, Timestamp now, Milliseconds longest,
            Report& report);

  // The request of `job` came back. False when the job is no longer held: it rode behind one that is
  // deferred, and was given up with that one's followers.
  bool StartSettling(QueuedJob& job);
  // It was suspected wrongly, and waits for its next attempt: it goes as an ordinary one. Nothing otherwise.
  void Acquit(Sequence sequence);
  // It waits, and is a suspect from now on. Nothing when it does not wait in memory. Its row says so with its
  // next outcome.
  void Accuse(Sequence sequence, Suspicion suspicion);
  // A held job will be deferred: its followers are given up, and parked.
  void Hold(Sequence sequence, Report& report);
  // The lanes that it is to keep on disk if it waits there alone; null when it must stay in memory.
  std::unique_ptr<const LaneList> LanesToStow(Sequence sequence) const;
  // The outcome is on disk.
  void OnCommitted(Outcome outcome);
  // As of Window.
  void FollowClock(Milliseconds offset) { window_.FollowClock(offset); }
  // The job was taken off the disk by an operator.
  void Remove(Sequence sequence);

  std::optional<JobPlace> Place(Sequence sequence) const;
  const Window& window() const { return window_; }
  const Lanes& lanes() const { return lanes_; }
  Parking& parking() { return parking_; }
  const Parking& parking() const { return parking_; }
  StowedJobs& stowed() { return stowed_; }
  const StowedJobs& stowed() const { return stowed_; }
  Departures& departures() { return departures_; }
  const Departures& departures() const { return departures_; }
  // Aborts when its parts contradict themselves or each other. Slow; for tests.
  void CheckInvariants() const;

 private:
  void Bury(StoredJob stored, Window::Entry& entry, Report& report);
  void BringBack(Window::Entry& entry, std::unique_ptr<QueuedJob> job);
  void Open(const LanesOpened& opened);
  void Release(Sequence sequence, Window::Entry& entry);
  void Evict(Sequence sequence, Report& report);
  void OnDeferred(const Outcome& outcome, Window::Entry& entry);
  void OnCommittedLate(const Outcome& outcome, Window::Entry& entry);

  Window window_;
  Lanes lanes_;
  Parking parking_;
  StowedJobs stowed_;
  Departures departures_;
};

}  // namespace outboxd
