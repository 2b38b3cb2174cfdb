#include "daemon/delivery/dispatcher.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.h"
#include "core/check.h"
#include "core/clock.h"
#include "core/gate.h"
#include "core/job.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/base/metrics.h"
#include "daemon/base/status.h"
#include "daemon/clerk/report.h"
#include "daemon/delivery/connection_queue.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/delivery/transfer.h"
#include "storage/outbox.h"
#include "storage/outbox_reader.h"
#include "storage/outcome.h"

namespace outboxd {
namespace {

constexpr Milliseconds kHeldSleep{1000};  // a hold ends by itself, and a clock is set unseen
constexpr Milliseconds kIdleSleep{5000};

Timestamp EndOf(const Attempt& attempt) {
  return attempt.sent + attempt.duration;
}

// Back in the config: it goes on by itself.
void Readmit(ConnectionQueue& queue, Timestamp now) {
  if (queue.gate().pause == PauseReason::kUnconfigured) queue.Resume(now);
}

}  // namespace

Dispatcher::Dispatcher(OutboxReader reader, Metrics& metrics, std::uint64_t seed)
    : reader_(std::move(reader)), metrics_(metrics), random_(seed) {}

Result<void> Dispatcher::Start(const Endpoints& endpoints, const LimitsConfig& limits, OutboxStart outbox,
                               Timestamp now) {
  limits_ = limits;
  tail_ = outbox.tail;
  delivered_at_start_ = std::move(outbox.delivered);
  return Configure(endpoints, limits, now);
}

void Dispatcher::SeeClock(const ClockReading& clock) {
  reader_.SeeClock(clock);
  clock_is_set_ = clock.IsSet();
  if (clock_offset_.See(clock)) {
    for (auto& [name, queue] : queues_) queue->held().FollowClock(*clock_offset_.known());
  }
  for (auto& [name, queue] : queues_) MindClock(*queue, clock.wall);
}

void Dispatcher::MindClock(ConnectionQueue& queue, Timestamp now) const {
  if (!clock_is_set_) {
    queue.Pause(PauseReason::kClock, "the clock of this host says " + FormatRfc3339(now) + ": set it", now);
  } else if (queue.gate().pause == PauseReason::kClock) {
    queue.Resume(now);
  }
}

Result<void> Dispatcher::Add(const std::string& name, std::shared_ptr<const Endpoint> endpoint,
                             Timestamp now) {
  auto queue = std::make_unique<ConnectionQueue>(std::move(endpoint), limits_, budget_, random_(), now);
  ASSIGN_OR_RETURN(const auto gates, reader_.ReadGates());
  ConnectionStart start;
  if (const auto gate = gates.find(name); gate != gates.end()) start.gate = &gate->second;
  if (const auto delivered = delivered_at_start_.find(name); delivered != delivered_at_start_.end())
    start.deliveries = delivered->second;
  if (clock_offset_.known()) queue->held().FollowClock(*clock_offset_.known());
  RETURN_IF_ERROR(queue->Load(reader_, start, tail_, now));
  Readmit(*queue, now);
  MindClock(*queue, now);
  queues_.emplace(name, std::move(queue));
  return {};
}

Result<void> Dispatcher::Configure(const Endpoints& endpoints, const LimitsConfig& limits, Timestamp now) {
  limits_ = limits;
  for (const auto& [name, endpoint] : endpoints) {
    if (ConnectionQueue* queue = Find(name)) {
      queue->Configure(endpoint, limits);
      Readmit(*queue, now);
    } else if (Result<void> added = Add(name, endpoint, now); !added) {
      return added;
    }
  }
  for (auto& [name, queue] : queues_) {
    if (!endpoints.contains(name)) queue->Pause(PauseReason::kUnconfigured, "not in the config", now);
  }
  return {};
}

ConnectionQueue* Dispatcher::Find(std::string_view connection) {
  const auto found = queues_.find(connection);
  return found == queues_.end() ? nullptr : found->second.get();
}

Actions Dispatcher::NewActions() {
  Actions actions;
  actions.report.ticket = ++ticket_;
  return actions;
}

void Dispatcher::OnCommitted(Committed committed, Actions& actions) {
  tail_ = std::max(tail_, committed.last);
  std::map<std::string_view, std::vector<std::unique_ptr<QueuedJob>>> accepted;
  for (std::unique_ptr<QueuedJob>& job : committed.accepted) {
    const auto queue = queues_.find(job->job.connection);
    if (queue != queues_.end()) accepted[queue->first].push_back(std::move(job));
  }
  for (auto& [name, queue] : queues_) {
    const auto own = accepted.find(name);
    if (committed.left_out || IsHeld(name)) {  // of a held one nothing comes into memory
      queue->backlog().OnTail(committed.last);
    } else {
      queue->backlog().OnAccepted(
          own == accepted.end() ? std::vector<std::unique_ptr<QueuedJob>>() : std::move(own->second),
          committed.last, actions.report);
    }
    if (committed.ticket) queue->held().parking().OnTicket(*committed.ticket);
  }
  if (unhurried_ticket_ && committed.ticket && *committed.ticket >= *unhurried_ticket_)
    unhurried_ticket_.reset();
  for (Outcome& outcome : committed.outcomes) {
    Count(outcome);
    if (ConnectionQueue* queue = Find(outcome.job->job.connection))
      queue->held().OnCommitted(std::move(outcome));
  }
}

void Dispatcher::Count(const Outcome& outcome) {
  ConnectionMetrics& metrics = metrics_.Of(outcome.job->job.connection);
  switch (outcome.kind) {
    case OutcomeKind::kDelivered:
      metrics.Delivered(outcome.job->job.type, 1);
      break;
    case OutcomeKind::kDead:
      metrics.Dead(outcome.death, 1);
      break;
    case OutcomeKind::kDeferred:
    case OutcomeKind::kReturned:
      break;
  }
}

void Dispatcher::OnFinished(std::vector<Finished> finished, Timestamp now, Actions& actions) {
  const std::size_t settled_before = actions.report.outcomes.size();
  for (Finished& one : finished) {
    ConnectionQueue* queue = Find(one.transfer.connection);
    CHECK(queue != nullptr);  // it sent the transfer, and queues stay
    queue->OnFinished(std::move(one), now, actions);
  }
  Observe(std::span(actions.report.outcomes).subspan(settled_before));
}

void Dispatcher::Observe(std::span<const Outcome> outcomes) {
  std::vector<double> latencies;
  latencies.reserve(outcomes.size());
  for (const Outcome& outcome : outcomes) {
    CHECK(outcome.attempt.has_value());
    metrics_.Of(outcome.job->job.connection).Attempts(outcome.attempt->result, 1);
    if (outcome.kind == OutcomeKind::kDelivered)
      latencies.push_back(
          std::chrono::duration<double>(EndOf(*outcome.attempt) - outcome.job->stamp.accepted).count());
  }
  metrics_.ObserveDeliveries(latencies);
}

Result<void> Dispatcher::Pump(Timestamp now, Actions& actions) {
  if (stopping_) {
    for (auto& [name, queue] : queues_) {
      queue->StopAsking(now, actions);
      queue->ReportGate(actions);  // the next start goes by it
    }
    haste_ = Haste::kAtOnce;
    Hasten(actions.report);
    return {};
  }
  budget_->BeginRound();
  haste_ = Haste::kWhenever;
  Result<void> result;
  for (auto& [name, queue] : queues_) {
    MindClock(*queue, now);  // an operator or a reload may have lifted the pause
    if (IsHeld(name)) {
      queue->ReportGate(actions);  // an operator may pause it for longer than the hold
      continue;
    }
    if (Result<void> pumped = queue->Pump(reader_, now, actions); !pumped) result = std::move(pumped);
    haste_ = std::max(haste_, queue->HasteNow());
  }
  Hasten(actions.report);
  return result;
}

// Only deliveries may wait for company. Once somebody waits for one that does, an empty report says so.
void Dispatcher::Hasten(Report& report) {
  const bool delivers_alone = report.parks.empty() && report.gates.empty() &&
                              std::ranges::all_of(report.outcomes, [](const Outcome& outcome) {
                                return outcome.kind == OutcomeKind::kDelivered;
                              });
  if (report.haste != Haste::kAtOnce) report.haste = delivers_alone ? Haste::kWhenever : Haste::kSoon;
  report.haste = std::max(report.haste, haste_);
  if (report.haste != Haste::kWhenever) {
    report.hurries = unhurried_ticket_.has_value();
    unhurried_ticket_.reset();
  } else if (!report.outcomes.empty()) {
    unhurried_ticket_ = report.ticket;
  }
}

Timestamp Dispatcher::NextWake(Timestamp now) const {
  if (stopping_) return now + kHeldSleep;
  Timestamp wake = Timestamp::max();
  for (const auto& [name, queue] : queues_)
    wake = std::min(wake, IsHeld(name) ? now + kHeldSleep : queue->NextWake(now));
  return std::min(wake, now + kIdleSleep);
}

std::size_t Dispatcher::InFlight() const {
  std::size_t count = 0;
  for (const auto& [name, queue] : queues_) count += queue->in_flight();
  return count;
}

void Dispatcher::Rewind(Sequence from) {
  for (auto& [name, queue] : queues_) queue->backlog().Rewind(from);
}

void Dispatcher::Remove(std::span<const Sequence> sequences) {
  for (auto& [name, queue] : queues_) {
    for (const Sequence sequence : sequences) queue->held().Remove(sequence);
  }
}

std::vector<std::optional<JobPlace>> Dispatcher::Places(std::span<const Sequence> sequences) const {
  std::vector<std::optional<JobPlace>> places;
  places.reserve(sequences.size());
  for (const Sequence sequence : sequences) {
    std::optional<JobPlace>& place = places.emplace_back();
    for (const auto& [name, queue] : queues_) {
      if (!place) place = queue->held().Place(sequence);
    }
  }
  return places;
}

std::vector<Sequence> Dispatcher::InFlightJobs() const {
  std::vector<Sequence> sequences;
  for (const auto& [name, queue] : queues_) {
    for (const auto& [sequence, entry] : queue->held().window().entries()) {
      if (entry.state() == Window::State::kInFlight || entry.state() == Window::State::kSettling)
        sequences.push_back(Sequence{sequence});
    }
  }
  std::sort(sequences.begin(), sequences.end());
  return sequences;
}

std::vector<ConnectionStatus> Dispatcher::Status() const {
  std::vector<ConnectionStatus> statuses;
  statuses.reserve(queues_.size());
  for (const auto& [name, queue] : queues_) statuses.push_back(queue->Status());
  return statuses;
}

void Dispatcher::CheckInvariants() const {
  for (const auto& [name, queue] : queues_) queue->CheckInvariants();
}

std::vector<std::pair<std::string, ProbeReport>> Dispatcher::TakeProbeReports() {
  std::vector<std::pair<std::string, ProbeReport>> reports;
  for (auto& [name, queue] : queues_) {
    if (std::optional<ProbeReport> report = queue->TakeProbeReport())
      reports.emplace_back(name, std::move(*report));
  }
  return reports;
}

}  // namespace outboxd
