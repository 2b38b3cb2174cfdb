// daemon/delivery/connection_queue.h — the queue of one connection: decides what leaves next, and what
// becomes of what comes back.
//
// Coordinates its parts: HeldJobs are the jobs in memory and say who may go, the Backlog brings them there
// from the outbox, the Gate and the RateLimiter say whether anything may leave, settlement turns answers into
// outcomes, the RegionProber asks about credentials and region while the connection is paused. Time and
// randomness are arguments; no thread, no lock: belongs to the dispatcher.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/batch_switch.h"
#include "core/batch_verdict.h"
#include "core/gate.h"
#include "core/job.h"
#include "core/rate_limiter.h"
#include "core/result.h"
#include "core/ruling.h"
#include "core/time.h"
#include "core/ulid.h"
#include "core/user_shares.h"
#include "core/verdict.h"
#include "daemon/base/status.h"
#include "daemon/clerk/report.h"
#include "daemon/delivery/backlog.h"
#include "daemon/delivery/departures.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/delivery/held_jobs.h"
#include "daemon/delivery/refused_row.h"
#include "daemon/delivery/region_prober.h"
#include "daemon/delivery/sending_budget.h"
#include "daemon/delivery/settlement.h"
#include "daemon/delivery/suspect_turns.h"
#include "daemon/delivery/transfer.h"
#include "storage/outbox_reader.h"

namespace outboxd {

// What a queue wants done; the dispatcher does it. `report.ticket` is given by the dispatcher, a higher one
// each time.
struct Actions {
  std::vector<Transfer> transfers;
  Report report;
  std::vector<std::string> without_batches;  // connections whose host turned out to have none
};

// What the last run left of a connection, beside its jobs.
struct ConnectionStart {
  const GateSnapshot* gate = nullptr;  // null: there was none
  std::uint64_t deliveries = 0;        // jobs delivered so far
};

// Size: the dispatcher, operators and the clerk's news each have methods here; many only pass on.
class ConnectionQueue {
 public:
  // All queues of a dispatcher share `budget`.
  ConnectionQueue(std::shared_ptr<const Endpoint> endpoint, const LimitsConfig& limits,
                  std::shared_ptr<SendingBudget> budget, std::uint64_t seed, Timestamp now);

  // At start: deferred jobs, parked lanes and what `start` says. `tail` is the highest sequence in the
  // outbox.
  Result<void> Load(OutboxReader& reader, const ConnectionStart& start, Sequence tail, Timestamp now);
  // New settings or credentials. A paused connection whose credentials changed probes at once; one whose
  // credentials are awaited sends nothing, and its gate stays as it is.
  void Configure(std::shared_ptr<const Endpoint> endpoint, const LimitsConfig& limits);

  // What was accepted, redriven or is to be read: see Backlog. What became of the jobs in memory: see
  // HeldJobs.
  Backlog& backlog() { return backlog_; }
  HeldJobs& held() { return held_; }
  const HeldJobs& held() const { return held_; }
  void OnFinished(Finished finished, Timestamp now, Actions& actions);
  // Nothing is sent any more, no probe either: what waits for its word is returned.
  void StopAsking(Timestamp now, Actions& actions);

  // Reads back, expires, and sends what may be sent. `reader` sees everything committed.
  Result<void> Pump(OutboxReader& reader, Timestamp now, Actions& actions);
  // Whether it changed since the last call, and whether batches are lost; Pump does so as well.
  void ReportGate(Actions& actions);
  // How soon outcomes are to be written. kAtOnce: jobs wait, none is ready, and what is out or being written
  // may set them free. kWhenever: no job waits for anything but its own answer.
  Haste HasteNow() const;
  // When Pump has something to do by time alone.
  Timestamp NextWake(Timestamp now) const;

  void Pause(PauseReason reason, std::string detail, Timestamp now);
  void Resume(Timestamp now) { gate_.Resume(now); }
  void ProbeNow() { prober_.Ask(); }
  // Results of probes that ended since the last call.
  std::optional<ProbeReport> TakeProbeReport() { return prober_.TakeReport(); }

  ConnectionStatus Status() const;                         // without counts of the disk
  std::size_t in_flight() const { return requests_out_; }  // requests
  const GateSnapshot& gate() const { return gate_.Snapshot(); }
  std::uint64_t deliveries() const { return deliveries_; }
  // Aborts when it contradicts itself. Slow; for tests.
  void CheckInvariants() const;

 private:
  Departures::Terms TermsNow(Timestamp now) const;
  bool TryAdmitRequest(Timestamp now);
  std::size_t PlacesTaken() const;
  void Send(Timestamp now, Actions& actions);
  void LookAtLoad(Timestamp now);
  void SweepExpired(Timestamp now, Report& report);
  void SendProbe(Timestamp now, Actions& actions);
  void OnProbeFinished(const Finished& finished, Timestamp now);
  void AnswerQuestions(Timestamp now, Report& report);
  BatchVerdict JudgeAll(const Finished& finished, Timestamp now) const;
  bool MustAsk(const Finished& finished, const Verdict& verdict, Timestamp now) const;
  Standing StandingOf(const Finished& finished, const QueuedJob& job, Timestamp now) const;
  void Conclude(Finished& finished, const BatchVerdict& verdict, Timestamp now, Report& report);
  Ruling RuleOn(const Verdict& verdict, const Finished& finished, const QueuedJob& job, std::size_t jobs,
                const Standing& standing, Timestamp now) const;
  void Settle(std::unique_ptr<QueuedJob> job, const Request& request, const JobVerdict& told,
              const Ruling& ruling, Timestamp now, Report& report);
  bool IsConnectionToBlame(const Verdict& verdict, const QueuedJob& job, std::size_t jobs,
                           const Standing& standing);
  void EndRefusedRow();
  void PauseFor(const Finished& finished, const Verdict& verdict, Timestamp now);
  void TellUsers(User user, const Finished& finished, const Verdict& verdict);
  void TellTurns(Course course);
  void TellGate(const Request& request, const Verdict& verdict, const Ruling& ruling, bool is_suspects,
                Timestamp now);
  void LoseBatches();

  std::shared_ptr<const Endpoint> endpoint_;
  std::mt19937_64 random_;
  Gate gate_;
  RateLimiter limiter_;
  BatchSwitch batches_;
  HeldJobs held_;
  Backlog backlog_;
  RegionProber prober_;
  SuspectTurns suspect_turns_;
  SendingShare share_;
  RefusedRow refused_row_;
  bool must_tell_no_batches_ = false;
  std::vector<Finished> questions_;  // answers that wait for the probe's word; nothing leaves meanwhile
  bool is_asking_ = true;            // not once it stops
  std::uint64_t deliveries_ = 0;     // the connection's delivery counter
  std::string newest_suspect_;       // for people
  std::size_t requests_out_ = 0;     // with the questions
  std::optional<Timestamp> swept_at_;
};

}  // namespace outboxd
