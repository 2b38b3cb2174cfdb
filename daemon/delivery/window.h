// daemon/delivery/window.h — the jobs of one connection that are in memory: each with its state, and the
// counts that follow from the states.
//
// The states and the moves between them:
//
//   (new)     → waiting               admitted behind others of its lane
//   waiting   → ready                 it may leave
//   ready     → waiting               it lost its place: others of its lane go first
//   ready     → in flight             its request leaves
//   in flight → settling              its answer came: the outcome is being written
//   (new), ready, deferred → settling it ends without a request: too old, or its row is damaged
//   settling  → waiting               written: it goes again, uncharged
//   settling  → deferred              written: it goes again when it is due; its line stays on disk only
//   deferred  → waiting               it is due and was read back
//
// A job is erased in any state. Entries stay where they are in memory until they are erased.
// No thread, no lock: belongs to the dispatcher.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "core/clock.h"
#include "core/job.h"
#include "core/job_cost.h"
#include "core/time.h"
#include "core/ulid.h"

namespace outboxd {

// Size: each move between states is a method, so that the counts change with it.
class Window {
 public:
  enum class State : std::uint8_t { kWaiting, kReady, kInFlight, kSettling, kDeferred };

  class Entry {
   public:
    State state() const { return state_; }
    bool is_suspect() const { return is_suspect_; }
    bool is_ahead() const { return is_ahead_; }
    std::size_t send_cost() const { return send_cost_; }  // while waiting or ready
    bool is_heavy() const { return send_cost_ > kHeavyCost; }
    std::unique_ptr<QueuedJob> job;  // while waiting or ready
    LaneList lanes;
    bool parked = false;                     // its row is marked so
    bool acquitted = false;                  // its row still says that it is a suspect
    std::optional<std::uint32_t> batch_max;  // of its job, while deferred
    bool removed = false;  // taken off the disk while it was out: it ends when it comes back
    // Since then, while its attempt from before is out: what it is charged for begins with that attempt.
    std::optional<Timestamp> redriven;
    std::optional<Milliseconds> redriven_boot;

   private:
    friend class Window;
    std::optional<Timestamp> due_;  // while deferred; nullopt: at once
    std::uint32_t bytes_ = 0;       // WindowCost(); none while deferred
    std::uint32_t send_cost_ = 0;
    State state_ = State::kWaiting;
    bool is_suspect_ = false;
    bool is_woken_ = false;  // was deferred, and is due
    bool is_ahead_ = false;
  };
  using Entries = std::unordered_map<std::uint64_t, Entry>;

  // The entry of `sequence`, and whether it is new. A new one waits and has no job yet: Fill(), Settle() or
  // Defer() it, or erase it.
  std::pair<Entry&, bool> Add(Sequence sequence);
  Entry* Find(Sequence sequence);
  const Entry* Find(Sequence sequence) const;
  Entry& At(Sequence sequence);   // aborts when there is none
  void Erase(Sequence sequence);  // aborts when there is none

  // The moves. Each aborts when the state does not allow it.
  void Fill(Entry& entry, std::unique_ptr<QueuedJob> job);  // new, settling or deferred → waiting
  void MakeReady(Entry& entry);                             // waiting → ready
  void MakeWait(Entry& entry);                              // ready → waiting
  std::unique_ptr<QueuedJob> Send(Entry& entry);            // ready → in flight
  // new, ready, in flight or deferred → settling. The job of a ready one; else null.
  std::unique_ptr<QueuedJob> Settle(Sequence sequence, Entry& entry);
  // new, settling or deferred → deferred, due at once without `due`.
  void Defer(Sequence sequence, Entry& entry, std::optional<Timestamp> due);

  void MarkAhead(Entry& entry);

  // Whether its job is suspected of what looks like the connection's trouble; Fill() goes by the job.
  void MarkSuspect(Sequence sequence, Entry& entry, bool is_suspect);

  // The wall clock was set, and is so far ahead of the boot clock: jobs held, and those that come from now
  // on, have their times by it.
  void FollowClock(Milliseconds offset);
  // The same for one that is out.
  void MoveTimes(QueuedJob& job) const {
    if (clock_offset_) outboxd::MoveTimes(job, *clock_offset_);
  }

  struct Due {
    Sequence sequence{};
    Timestamp at{};
  };
  // The deferred job that is due first; nullopt when none is deferred. A time later than `longest` from now
  // is over: the clock was set back, or the caps were lowered.
  std::optional<Due> NextDue(Timestamp now, Milliseconds longest) const;
  // Of suspects, or of all others.
  std::optional<Due> NextDue(bool of_suspects, Timestamp now, Milliseconds longest) const;

  std::size_t jobs() const { return entries_.size() - In(State::kDeferred); }  // not counting deferred ones
  std::size_t bytes() const { return counts_.bytes; }                          // WindowCost()
  // Of them those that were deferred and are due: suspects, and all others.
  struct Part {
    std::size_t jobs = 0, bytes = 0;
    bool operator==(const Part&) const = default;
  };
  const Part& woken(bool are_suspects) const { return counts_.woken[are_suspects ? 1 : 0]; }
  // Of them those that were read ahead of their turn (look_ahead.h), and were not deferred since.
  const Part& ahead() const { return counts_.ahead; }
  std::size_t In(State state) const { return counts_.jobs[static_cast<std::size_t>(state)]; }
  std::size_t suspects() const { return counts_.suspects; }
  std::size_t CountParked() const;  // those whose row is marked so. Slow
  const Entries& entries() const { return entries_; }

  // Aborts when a count differs from what the entries say. Slow; for tests.
  void CheckInvariants() const;

 private:
  struct Counts {
    std::array<std::size_t, 5> jobs{};  // by state
    std::size_t bytes = 0;
    std::size_t suspects = 0;
    std::array<Part, 2> woken;  // suspects are the second
    Part ahead;
    bool operator==(const Counts&) const = default;
  };

  void Move(Entry& entry, State to, std::uint32_t bytes);
  void ForgetDue(Sequence sequence, Entry& entry);
  template <typename Change>
  static void Recount(Counts& counts, const Entry& entry, Change change);
  static void Include(Counts& counts, const Entry& entry);
  static void Exclude(Counts& counts, const Entry& entry);

  Entries entries_;
  std::optional<Milliseconds> clock_offset_;
  Counts counts_;
  using DueSet = std::set<std::pair<std::optional<Timestamp>, Sequence>>;
  DueSet& DueOf(const Entry& entry) { return due_[entry.is_suspect_ ? 1 : 0]; }
  std::array<DueSet, 2> due_;  // of deferred ones; suspects are the second
};

}  // namespace outboxd
