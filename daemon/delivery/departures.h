// daemon/delivery/departures.h — what of one connection would leave next, in one request.
//
// Ready jobs stand in one of seven queues. Repeats, whose connection broke before an answer, go first (every
// second time where the gate probes or recovers, for they may be what closes it); then the parts of a batch
// that was refused as a whole, in halves and apart from the others. Fresh jobs and retries (which failed
// before) take turns, so that neither starves the other. Suspects go alone, when it is their turn
// (suspect_turns.h). While several may share a request (core/batch_switch.h), those that fit one gather until
// it is full or the first has lingered; a job that is left alone goes by itself. With `same_lane` the
// followers of a gathered job ride with it, in their order. Heavy jobs (core/job_cost.h) go alone, when the
// daemon's turn is theirs (sending_budget.h), in turns with all others. Patient jobs, whose own timeout is
// longer than the connection's, have half of the requests at most, so that they cannot all be out for
// minutes, and are the probe only where nothing else is ready.
//
// The queues name jobs by sequence: one that left, ended or lost its place otherwise is skipped when its turn
// comes. No thread, no lock: belongs to the dispatcher. Time is an argument.
#pragma once

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
#include "core/user_shares.h"
#include "daemon/delivery/suspect_turns.h"
#include "daemon/delivery/transfer.h"
#include "daemon/delivery/troubled_users.h"
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
  bool is_patient = false;
  bool is_of_troubled = false;
  bool empty() const { return !job && batch.empty(); }
};

// Size: seven queues take turns, and each names and sends its jobs in its own way.
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
    std::uint32_t items_max = 1;  // of jobs in a request
    SuspectTurn suspects = SuspectTurn::kLast;
    bool is_recovering = false;  // as the gate has it
    bool may_send_heavy = true;
    std::uint32_t limit = 1;  // the gate's
    Milliseconds timeout{0};  // the connection's
  };
  using Expired = std::vector<std::unique_ptr<QueuedJob>>;

  // Both outlive it.
  Departures(Window& window, Lanes& lanes) : window_(window), lanes_(lanes) {}

  // A waiting job may leave from now on.
  void Add(Window::Entry& entry);
  // Whether one is named. It may be gone; then Next() finds out.
  bool empty() const;
  bool HasHeavy() const { return !heavy_.empty(); }
  TroubledUsers& troubled_users() { return troubled_users_; }
  const TroubledUsers& troubled_users() const { return troubled_users_; }
  // What left came back.
  void OnReturned(const Transfer& transfer);
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
    bool is_of_troubled = false;  // of users in trouble alone, or of others alone
    bool full = false;            // the next one did not fit
  };

  void Queue(const QueuedJob& job);
  static std::optional<Sequence> PopFront(std::deque<Sequence>& queue);
  Departure SendHeavy(const Terms& terms, Expired& expired);
  std::optional<Sequence> PopNamed(const Terms& terms);
  bool IsHeldBack(User user, const Terms& terms) const;
  bool IsGatheredFirst(const Terms& terms) const;
  std::optional<Sequence> PopRepeat(const Terms& terms);
  template <typename Predicate>
  std::optional<Sequence> PopOfUsers(bool is_retrys, UserTurns::End fresh_end, Predicate may_go);
  Window::Entry* PopReady(const Terms& terms);
  bool MaySendPatient(const Terms& terms) const;
  bool Expire(Window::Entry& entry, const Terms& terms, Expired& expired);
  void Gather(Window::Entry& entry, const Terms& terms);
  void GatherFollowers(Sequence sequence, LaneKey lane, const Terms& terms);
  bool FitsGathered(const Job& job, const Terms& terms) const;
  bool IsGatheredDue(const Terms& terms) const;
  std::vector<Sequence> TakePart(const Terms& terms);
  template <typename Pop>
  Departure SendOne(Pop pop, const Terms& terms, Expired& expired);
  Departure SendAlone(Window::Entry& entry, const Terms& terms);
  Departure SendTogether(std::span<const Sequence> jobs, const Terms& terms, Expired& expired);
  Departure SendGathered(const Terms& terms, Expired& expired);
  void Disband(std::span<const Sequence> jobs);

  Window& window_;
  Lanes& lanes_;

  std::deque<Sequence> parts_, heavy_;
  UserTurns repeats_, fresh_, retries_, suspects_;
  UserTurns patients_;  // for whom there was no room
  TroubledUsers troubled_users_;
  Gathered gathered_;
  std::uint32_t turn_ = 0;
  std::uint32_t patients_out_ = 0;
  bool heavy_turn_ = true;
  bool patient_turn_ = true;
  bool repeat_turn_ = true;
  bool part_turn_ = true;  // parts and all others take turns: one that always fails holds nobody up
};

}  // namespace outboxd
