// daemon/delivery/connection_queue.h — the waiting jobs of one connection, as far as they are in memory, and
// the decision what leaves next.
//
// Holds a bounded window over the outbox: jobs just accepted go straight into it while there is room, the
// others are read back by sequence. Lanes say who may go next, the gate and the rate limiter whether anyone
// may. A lane opens again only after its job's outcome is committed; a failure takes effect at once.
//
// With batches on, ready jobs that fit one gather until it is full or the first has lingered, and leave
// together; a job that is left alone goes by itself. With `same_lane` the followers of a gathered job ride
// with it, in their order. Of a batch that was refused as a whole the jobs are suspects: they go again in
// halves, apart from the others. Time and randomness are arguments; no thread, no lock: belongs to the
// dispatcher.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/config.h"
#include "core/gate.h"
#include "core/lanes.h"
#include "core/rate_limiter.h"
#include "core/region_probe.h"
#include "daemon/base/status.h"
#include "daemon/clerk/report.h"
#include "daemon/delivery/transfer.h"
#include "storage/outbox_reader.h"

namespace outboxd {

// What a queue wants done; the dispatcher does it. `report.ticket` is given by the dispatcher, a higher one
// each time.
struct Actions {
  std::vector<Transfer> transfers;
  Report report;
};

class ConnectionQueue {
 public:
  ConnectionQueue(std::shared_ptr<const Endpoint> endpoint, const LimitsConfig& limits, std::uint64_t seed,
                  Timestamp now);

  // At start: deferred jobs, parked lanes and the gate of the last run. `tail` is the highest sequence in the
  // outbox.
  Result<void> Load(OutboxReader& reader, const GateSnapshot* gate, Sequence tail);
  // New settings or credentials. A paused connection whose credentials changed probes at once.
  void Configure(std::shared_ptr<const Endpoint> endpoint, const LimitsConfig& limits);

  // `jobs` are this connection's among those committed up to `last`.
  void OnAccepted(std::vector<std::unique_ptr<QueuedJob>> jobs, Sequence last, Actions& actions);
  // Jobs up to `last` were committed and are to be read back.
  void OnTail(Sequence last) { tail_ = std::max(tail_, last); }
  void OnFinished(Finished finished, Timestamp now, Actions& actions);
  void OnCommitted(Outcome outcome);
  void OnTicket(std::uint64_t ticket);  // every report up to it is written

  // Redriven jobs: rows from `from` on are looked at again.
  void Rewind(Sequence from) { cursor_ = std::min(cursor_, Sequence{ToNumber(from) - 1}); }
  // The job was taken off the disk by an operator.
  void Remove(Sequence sequence);

  // Reads back, expires, and sends what may be sent. `reader` sees everything committed.
  Result<void> Pump(OutboxReader& reader, Timestamp now, Actions& actions);
  // Whether it changed since the last call; Pump does so as well.
  void ReportGate(Actions& actions);
  // Jobs wait, none is ready, and what is out or written down now may set them free.
  bool IsStarved() const {
    return window_jobs_ > 0 && !HasReady() && (waiting_ > 0 || parked_out_ > 0 || cursor_ < tail_);
  }
  // When Pump has something to do by time alone.
  Timestamp NextWake(Timestamp now) const;

  void Pause(PauseReason reason, std::string detail, Timestamp now);
  void Resume(Timestamp now);
  void ProbeNow() { probe_at_ = Timestamp::min(); }
  // Results of probes that ended since the last call.
  std::optional<ProbeReport> TakeProbeReport() { return std::exchange(probe_report_, std::nullopt); }

  std::optional<JobPlace> Place(Sequence sequence) const;
  void AppendInFlight(std::vector<Sequence>& sequences) const;
  ConnectionStatus Status() const;                         // without counts of the disk
  std::size_t in_flight() const { return requests_out_; }  // requests
  const GateSnapshot& gate() const { return gate_.Snapshot(); }

 private:
  enum class State : std::uint8_t { kWaiting, kReady, kInFlight, kSettling, kDeferred };
  struct Entry {
    std::unique_ptr<QueuedJob> job;  // null while in flight, settling or deferred
    LaneList lanes;
    std::uint32_t bytes = 0;  // of its line, counted in the window while not deferred
    State state = State::kWaiting;
    bool parked = false;   // its row is marked so
    bool removed = false;  // taken off the disk while it was out: it ends when it comes back
    std::optional<Timestamp>
        redriven;  // since then: what it is charged for begins with the attempt that is out
  };
  using Entries = std::unordered_map<std::uint64_t, Entry>;
  using Deferred = std::set<std::pair<Timestamp, Sequence>>;

  bool HasRoom() const;
  bool HasRetryRoom() const;
  bool MayReadBack() const;
  Entry* Find(Sequence sequence);
  void Fill(Entry& entry, std::unique_ptr<QueuedJob> job);
  void Admit(StoredJob stored, Actions& actions);
  void ParkLater(Sequence sequence, LaneKey lane, Report& report);
  void MakeReady(Sequence sequence);
  void MakeReady(Entry& entry);
  void Open(const LanesOpened& opened);
  void Release(Sequence sequence);
  void Evict(Sequence sequence, Report& report);
  void MoveCursor(Sequence through);
  std::optional<Sequence> ParkingFrom(LaneKey lane) const;
  void BuryUnreadable(StoredJob stored, Actions& actions);

  Result<void> CountParked(OutboxReader& reader);
  Result<void> RecountParked(OutboxReader& reader, Timestamp now);
  Result<void> Read(OutboxReader& reader, Timestamp now, Actions& actions);
  Result<void> ReadBack(OutboxReader& reader, Actions& actions);
  Result<void> Refill(OutboxReader& reader, LaneKey lane, Actions& actions);
  Timestamp DueAt(const std::pair<Timestamp, Sequence>& deferred, Timestamp now) const;
  Deferred::const_iterator NextDeferred(Timestamp now) const;
  Result<void> WakeDeferred(OutboxReader& reader, Timestamp now, Actions& actions);
  void ExpireWaiting(Timestamp now, Actions& actions);
  std::optional<Sequence> NextReady();
  bool HasReady() const {
    return !fresh_.empty() || !retries_.empty() || !suspects_.empty() || !gathered_.jobs.empty();
  }
  bool TryAdmit(Timestamp now);
  void Send(Timestamp now, Actions& actions);
  void SendAlone(Entry& entry, Actions& actions);
  void Gather(Sequence sequence, Entry& entry, Timestamp now);
  void GatherFollowers(Sequence sequence, LaneKey lane);
  bool FitsGathered(const Job& job) const;
  bool IsGatheredDue(Timestamp now) const;
  void SendGathered(Timestamp now, Actions& actions);
  void SendSuspects(Timestamp now, Actions& actions);
  void SendTogether(std::span<const Sequence> jobs, Timestamp now, Actions& actions);
  bool MayJoin(Sequence sequence, const Entry& entry, const std::set<LaneKey>& lanes) const;
  Transfer& NewTransfer(TransferKind kind, Actions& actions) const;
  void SendProbe(Timestamp now, Actions& actions);
  void OnProbeFinished(const Finished& finished, Timestamp now);
  void SettleJob(Finished& finished, Timestamp now, Actions& actions);
  void SettleBatch(Finished& finished, Timestamp now, Actions& actions);
  void Settle(std::unique_ptr<QueuedJob> job, const Finished& finished, const Verdict& verdict,
              std::string_view answer, Timestamp now, Actions& actions);
  void Defer(Outcome& outcome, const Verdict& verdict, Timestamp now, Actions& actions);
  bool Expire(Sequence sequence, Timestamp now, Actions& actions);
  void UpdateGate(const Finished& finished, const Verdict& verdict, Timestamp now);
  double Random() { return std::uniform_real_distribution<double>(0.0, 1.0)(random_); }
  LaneList LanesFor(const Job& job) const;

  std::shared_ptr<const Endpoint> endpoint_;
  LimitsConfig limits_;
  std::mt19937_64 random_;
  Gate gate_;
  RateLimiter limiter_;
  Lanes lanes_;

  Entries entries_;
  std::size_t window_bytes_ = 0;
  std::size_t window_jobs_ = 0;
  std::size_t waiting_ = 0;
  std::size_t requests_out_ = 0;
  std::size_t jobs_out_ = 0;
  std::uint64_t parked_out_ = 0;  // rows parked and not in memory
  bool parked_unsure_ = false;    // an operator may have taken some of them
  Timestamp parked_counted_{};
  struct Gathered {
    std::vector<Sequence> jobs;
    std::size_t bytes = 0;
    Timestamp since{};
    bool full = false;  // the next one did not fit
  };
  std::deque<Sequence> fresh_, retries_, suspects_;  // ready ones; stale entries are skipped
  Gathered gathered_;                                // the same, taken from fresh_ and retries_
  bool retry_turn_ = false;
  Deferred deferred_;  // committed, by due time

  Sequence cursor_{};    // every own row up to here is in memory, deferred or parked
  Sequence frontier_{};  // the highest cursor so far: parked rows beyond it come after rows not yet read
  Sequence tail_{};      // highest sequence known to be committed
  std::deque<LaneKey> refills_;
  std::multimap<Sequence, LaneKey> later_refills_;  // by parked row, when the frontier has come that far
  struct Parking {
    Sequence first{};
    std::size_t rows = 0;
  };
  std::map<std::pair<LaneKey, std::uint64_t>, Parking> parking_;  // rows being marked: by lane and ticket
  std::size_t parking_rows_ = 0;

  Timestamp probe_at_{};
  bool probing_ = false;
  std::optional<ProbeReport> probe_report_;
  Timestamp swept_at_{};
};

}  // namespace outboxd
