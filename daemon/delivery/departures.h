// daemon/delivery/departures.h — what of one connection would leave next, in one request.
//
// Ready jobs stand in one of six queues. Repeats, whose connection broke before an answer, go first (every
// second time where the gate probes or recovers, for they may be what closes it); then the parts of a batch
// that was refused as a whole, in halves and apart from the others. Fresh jobs and retries (which failed
// before) take turns, so that neither starves the other. Suspects go alone, when it is their turn
// (suspect_turns.h). With batches on, those that fit one gather until it is full or the first has lingered; a
// job that is left alone goes by itself. With `same_lane` the followers of a gathered job ride with it, in
// their order. Heavy jobs (core/job_cost.h) go alone, when the daemon's turn is theirs (sending_budget.h), in
// turns with all others.
//
// The queues name jobs by sequence: one that left, ended or lost its place otherwise is skipped when its turn
// comes. No thread, no lock: belongs to the dispatcher. Time is an argument.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "config/config.h"
#include "core/job.h"
#include "core/lanes.h"
#include "core/policy.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/delivery/suspect_turns.h"
#include "daemon/delivery/transfer.h"
#include "daemon/delivery/user_turns.h"
#include "daemon/delivery/window.h"

namespace outboxd {

// One request. Its jobs are in flight from now on.
struct Departure {
  std::unique_ptr<QueuedJob> job;                 // either this one
  std::vector<std::unique_ptr<QueuedJob>> batch;  // or two and more
  Route route = Route::kPooled;
  std::size_t cost = 0;  // in memory, of all its jobs (SendCost)
  bool is_heavy = false;
  bool empty() const { return !job && batch.empty(); }
};

class Departures {
 public:
  enum class Company : std::uint8_t {
    kSought,   // as the config says
    kRefused,  // one job a request: the gate probes
  };
  // Of one call: what the rules are now.
  struct Terms {
    const BatchConfig& batch;
    const RetryPolicy& retry;
    Company company = Company::kSought;
    Timestamp now{};
    SuspectTurn suspects = SuspectTurn::kLast;
    bool is_recovering = false;  // as the gate has it
    bool may_send_heavy = true;
  };
  using Expired = std::vector<std::unique_ptr<QueuedJob>>;

  // Both outlive it.
  Departures(Window& window, Lanes& lanes) : window_(window), lanes_(lanes) {}

  // A waiting job may leave from now on.
  void Add(Window::Entry& entry);
  // Whether one is named. It may be gone; then Next() finds out.
  bool empty() const;
  bool HasHeavy() const { return !heavy_.empty(); }
  // What leaves now. Empty when nothing is ready, or what is ready lingers. Jobs found too old on the way are
  // settling, and join `expired`.
  Departure Next(const Terms& terms, Expired& expired);
  // All that are too old join `expired`, and those no longer ready are no longer named.
  void Sweep(const Terms& terms, Expired& expired);
  // Since when the first of those that linger does; nullopt when none does.
  std::optional<Timestamp> LingersSince() const;

  // Aborts when a ready job is not named, or the gathered ones are counted wrong. Slow; for tests.
  void CheckInvariants() const;

 private:
  struct Gathered {
    std::vector<Sequence> jobs;
    std::size_t bytes = 0;
    Timestamp since{};
    bool full = false;  // the next one did not fit
  };

  std::deque<Sequence>& QueueOf(const QueuedJob& job);
  static std::optional<Sequence> PopFront(std::deque<Sequence>& queue);
  Departure SendHeavy(const Terms& terms, Expired& expired);
  std::optional<Sequence> PopNamed(const Terms& terms);
  Window::Entry* PopReady(const Terms& terms);
  bool Expire(Window::Entry& entry, const Terms& terms, Expired& expired);
  void Gather(Window::Entry& entry, const Terms& terms);
  void GatherFollowers(Sequence sequence, LaneKey lane, const BatchConfig& batch);
  bool FitsGathered(const Job& job, const BatchConfig& batch) const;
  bool IsGatheredDue(const Terms& terms) const;
  std::vector<Sequence> TakePart(const Terms& terms);
  template <typename Pop>
  Departure SendOne(Pop pop, const Terms& terms, Expired& expired);
  Departure SendAlone(Window::Entry& entry);
  Departure SendTogether(std::span<const Sequence> jobs, const Terms& terms, Expired& expired);
  Departure SendOneOfGathered(const Terms& terms, Expired& expired);
  void Disband(std::span<const Sequence> jobs);

  Window& window_;
  Lanes& lanes_;
  std::array<std::deque<Sequence>*, 5> Queues() { return {&repeats_, &parts_, &fresh_, &retries_, &heavy_}; }

  std::deque<Sequence> repeats_, parts_, fresh_, retries_, heavy_;
  UserTurns suspects_;
  Gathered gathered_;
  std::uint32_t turn_ = 0;
  bool heavy_turn_ = true;
  bool repeat_turn_ = true;
  bool part_turn_ = true;  // parts and all others take turns: one that always fails holds nobody up
};

}  // namespace outboxd
