// daemon/delivery/dispatcher.h — decides which job leaves next, over all connections. One scheduler owns the
// queues; workers only deliver.
//
// Time is an argument; no thread, no lock: DispatcherThread (dispatcher_thread.h) runs it on a thread of its
// own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.h"
#include "core/clock.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/base/metrics.h"
#include "daemon/base/status.h"
#include "daemon/clerk/report.h"
#include "daemon/delivery/connection_queue.h"
#include "daemon/delivery/delivery_hold.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/delivery/sending_budget.h"
#include "daemon/delivery/transfer.h"
#include "storage/outbox.h"
#include "storage/outbox_reader.h"
#include "storage/outcome.h"

namespace outboxd {

// Size: everything that happens to all connections passes here, each event by one call.
class Dispatcher {
 public:
  Dispatcher(OutboxReader reader, Metrics& metrics, std::uint64_t seed);

  Result<void> Start(const Endpoints& endpoints, const LimitsConfig& limits, OutboxStart outbox,
                     Timestamp now);
  // While `hold` holds a connection nothing of it leaves, and nothing of it is read back. Before the first
  // Pump().
  void Obey(const DeliveryHold& hold) { hold_ = &hold; }
  // What the clocks say, before the calls of a round: jobs move with a wall clock that is set. While it was
  // never set every connection is paused for that, and nothing of it is read back: no age is known.
  void SeeClock(const ClockReading& clock);
  // Connections that are gone keep their jobs and pause; new ones begin.
  Result<void> Configure(const Endpoints& endpoints, const LimitsConfig& limits, Timestamp now);

  // To be filled in one round and then carried out, its report with a ticket of its own.
  Actions NewActions();
  void OnCommitted(Committed committed, Actions& actions);
  void OnFinished(std::vector<Finished> finished, Timestamp now, Actions& actions);
  // Everything that may leave now. An Error says why the outbox cannot be read; the others were served.
  Result<void> Pump(Timestamp now, Actions& actions);
  // After Pump(): nobody waits for an answer that delivers its job; it may be handed over later.
  bool IsCalm() const { return haste_ == Haste::kWhenever; }
  Timestamp NextWake(Timestamp now) const;
  // From now on nothing more leaves.
  void StopSending() { stopping_ = true; }
  std::size_t InFlight() const;

  ConnectionQueue* Find(std::string_view connection);
  void Rewind(Sequence from);
  void Remove(std::span<const Sequence> sequences);
  std::vector<std::optional<JobPlace>> Places(std::span<const Sequence> sequences) const;
  std::vector<Sequence> InFlightJobs() const;
  std::vector<ConnectionStatus> Status() const;
  // Of probes that ended since the last call, by connection.
  std::vector<std::pair<std::string, ProbeReport>> TakeProbeReports();
  // Aborts when a queue contradicts itself. Slow; for tests.
  void CheckInvariants() const;

 private:
  Result<void> Add(const std::string& name, std::shared_ptr<const Endpoint> endpoint, Timestamp now);
  bool IsHeld(std::string_view connection) const {
    return !clock_is_set_ || (hold_ != nullptr && hold_->IsHeld(connection));
  }
  void MindClock(ConnectionQueue& queue, Timestamp now) const;
  void Hasten(Report& report);
  void Count(const Outcome& outcome);
  void Observe(std::span<const Outcome> outcomes);

  OutboxReader reader_;
  Metrics& metrics_;
  std::mt19937_64 random_;
  LimitsConfig limits_;
  std::shared_ptr<SendingBudget> budget_ = std::make_shared<SendingBudget>();
  Sequence tail_{};
  // Of connections without a queue it stays right: nothing of theirs is delivered.
  std::map<std::string, std::uint64_t, std::less<>> delivered_at_start_;
  std::map<std::string, std::unique_ptr<ConnectionQueue>, std::less<>> queues_;
  std::uint64_t ticket_ = 0;
  Haste haste_ = Haste::kSoon;                     // after the last Pump()
  std::optional<std::uint64_t> unhurried_ticket_;  // of the newest report that waits for company
  bool stopping_ = false;
  ClockOffset clock_offset_;
  bool clock_is_set_ = true;
  const DeliveryHold* hold_ = nullptr;  // null: nothing is ever held
};

}  // namespace outboxd
