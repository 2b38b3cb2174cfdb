// core/lanes.h — who may go next: jobs of one lane go one after another, lanes do not wait for each other.
//
// A job may keep the order of several lanes (merge, segments); it is ready when it is first in all of them.
// Few jobs of a lane are held in memory: behind a failing head, or past `lane_jobs_max`, followers are parked
// on disk and come back when the lane opens, so a million of them cost the others nothing. One of several
// lanes is parked under a lane that it must wait in; that it keeps the others is known on disk alone, and who
// comes for one of these is to be parked behind it by the caller.
//
// A job has its lanes' turn from the moment it is named ready until it is released, through failed attempts
// as well: a redriven job with a lower sequence goes before those that wait, never past the one that may be
// on its way. (Parked under one of several lanes, it lets those that the others hold go first.) Pure; belongs
// to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/job.h"
#include "core/ulid.h"

namespace outboxd {

enum class Admission : std::uint8_t {
  kReady,  // held; may be started now
  kWaits,  // held; Release() will name it
  kPark,   // not held: the caller marks it on disk as parked under ParksUnder()
};

// What an ended job set free.
struct LanesOpened {
  std::vector<Sequence>
      ready;  // held jobs that have the turn now; one found deferred at start waits for its time with it
  std::vector<LaneKey> refill;  // lanes whose next job is parked on disk: read it and call Refilled()
};

// Size: each event in the life of a job or a lane, and each question about them, is one call.
class Lanes {
 public:
  explicit Lanes(std::size_t lane_jobs_max) : lane_jobs_max_(lane_jobs_max) {}

  // `lanes` sorted and unique (LanesOf); a job without lanes is always ready and never held.
  Admission Admit(Sequence sequence, std::span<const LaneKey> lanes);
  // The first of `lanes` in which the job would be, or was just told to be, parked; nullopt: in none.
  std::optional<LaneKey> ParksUnder(Sequence sequence, std::span<const LaneKey> lanes) const;
  // It has the turn and no attempt is under way.
  bool IsReady(Sequence sequence, std::span<const LaneKey> lanes) const;

  // An attempt begins. Requires IsReady().
  void Start(Sequence sequence, std::span<const LaneKey> lanes);
  // The attempt ended and the job is not settled: it keeps its turn.
  void Stop(Sequence sequence, std::span<const LaneKey> lanes);
  // The job failed and waits for its next attempt. Its held followers of one lane are given up (`evicted`, to
  // be parked) and later ones will be parked, until the job is released. Also for a job found deferred at
  // start: it is held whatever else its lanes hold.
  void Hold(Sequence sequence, std::span<const LaneKey> lanes, std::vector<Sequence>& evicted);
  // The job is settled, or was removed: it leaves its lanes.
  void Release(Sequence sequence, std::span<const LaneKey> lanes, LanesOpened& opened);

  // A held job that waits for its next attempt leaves memory with all that is known of its lanes; false, and
  // nothing is changed, while others are held in one of them. Whoever brings it back says where jobs are
  // parked behind it.
  bool Forget(Sequence sequence, std::span<const LaneKey> lanes);

  // Parked rows of `lane` that were not told by Admit() or Hold().
  void MarkParked(LaneKey lane, Sequence from);
  // A parked job of several lanes is read back: it is held in all of them from now on, and named when it is
  // first in all. Before Refilled() of the lane it was parked under.
  void Join(Sequence sequence, std::span<const LaneKey> lanes);
  // Behind whom rows of `lane` may be parked without being known; nullopt when some are known.
  std::optional<Sequence> UnknownBehind(LaneKey lane) const;
  // Where to read `lane`'s parked rows from; nullopt when there are none or its next job is held already.
  std::optional<Sequence> RefillFrom(LaneKey lane) const;
  // `loaded` (ascending) were read back and are held now; further parked rows start at `next` at the earliest
  // (nullopt: none). Names the lane again if all that was passed over is gone.
  void Refilled(LaneKey lane, std::span<const Sequence> loaded, std::optional<Sequence> next,
                LanesOpened& opened);

  // The held jobs that come next behind `sequence` in `lane`, in their order, up to the first that is parked.
  // Valid until the next change.
  std::span<const Sequence> Behind(Sequence sequence, LaneKey lane) const;
  // Whether jobs wait behind `sequence` in one of its lanes, held or parked.
  bool HasFollowers(Sequence sequence, std::span<const LaneKey> lanes) const;
  // The held job that `sequence` waits for; nullopt when it waits for none (or for a parked one).
  std::optional<Sequence> Blocker(Sequence sequence, std::span<const LaneKey> lanes) const;
  // What is held already stays.
  void Configure(std::size_t lane_jobs_max) { lane_jobs_max_ = lane_jobs_max; }
  std::size_t LaneCount() const { return lanes_.size(); }
  bool Holds(LaneKey lane) const;
  // Whether anything is known of it.
  bool Has(LaneKey lane) const { return lanes_.contains(lane); }
  // Each lane with its held jobs, ascending; valid until the next change. Slow; for tests.
  std::vector<std::pair<LaneKey, std::span<const Sequence>>> Held() const;
  // Aborts when lanes contradict themselves or a job that has nobody to wait for was not given the turn.
  // Slow; for tests.
  void CheckInvariants() const;

 private:
  struct Lane {
    std::vector<Sequence> jobs;           // held, ascending
    std::optional<Sequence> turn;         // who may go, goes, or waits for its next attempt
    std::optional<Sequence> parked_from;  // no parked row of this lane has a lower sequence
    bool active = false;                  // an attempt of `turn` is under way
    bool troubled = false;                // a job of it failed: followers go to disk
  };
  struct Hash {
    std::size_t operator()(LaneKey key) const { return static_cast<std::size_t>(key); }
  };

  using Map = std::unordered_map<LaneKey, Lane, Hash>;

  bool IsFirst(const Lane& lane, Sequence sequence) const;
  bool Parks(const Lane& lane, Sequence sequence) const;
  bool HasTurn(Sequence sequence, std::span<const LaneKey> lanes) const;
  bool GiveTurn(Sequence sequence, std::span<const LaneKey> lanes);
  static void Leave(Lane& lane, Sequence sequence);
  static std::optional<Sequence> RefillFrom(const Lane& lane);
  void Announce(Map::iterator place, LanesOpened& opened);
  void EraseIfIdle(Map::iterator place);

  std::size_t lane_jobs_max_;
  Map lanes_;
  std::unordered_map<std::uint64_t, std::vector<LaneKey>>
      pinned_;  // held jobs that are not given up, and their lanes
};

}  // namespace outboxd
