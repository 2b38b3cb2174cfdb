#include "daemon/delivery/dispatcher_thread.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "config/log_level.h"
#include "core/clock.h"
#include "core/gate.h"
#include "core/job.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/base/host_clock.h"
#include "daemon/base/log.h"
#include "daemon/base/mutex.h"
#include "daemon/clerk/clerk.h"
#include "daemon/clerk/report.h"
#include "daemon/delivery/connection_queue.h"
#include "daemon/delivery/dispatcher.h"
#include "daemon/delivery/transfer.h"
#include "storage/outcome.h"

namespace outboxd {
namespace {

constexpr std::size_t kFewJobs = 4;  // that a commit brings, so that whoever committed them looks at them

// Its jobs are delivered, and that is all there is to say.
bool IsPlainDelivery(const Finished& finished) {
  return finished.ending == Ending::kAnswered && finished.answer.status == 200 &&
         finished.transfer.kind != TransferKind::kProbe;
}

}  // namespace

DispatcherThread::DispatcherThread(Dispatcher dispatcher, Ports ports)
    : dispatcher_(std::move(dispatcher)),
      ports_(std::move(ports)),
      mailbox_(std::numeric_limits<std::size_t>::max()) {}

DispatcherThread::~DispatcherThread() {
  Stop();
}

void DispatcherThread::Start() {
  thread_ = std::thread([this] { Run(); });
}

void DispatcherThread::Stop() {
  mailbox_.Close();
  if (thread_.joinable()) thread_.join();
}

void DispatcherThread::OnCommitted(Committed committed) {
  const bool may_act_here = is_calm_.load(std::memory_order_relaxed) && committed.accepted.size() <= kFewJobs;
  if (!may_act_here || !turn_.TryLock()) {
    unread_jobs_.fetch_add(committed.accepted.size(), std::memory_order_relaxed);
    mailbox_.Post(std::move(committed));
    return;
  }
  mailbox_.TakeNow(brought_);
  unread_jobs_.fetch_add(committed.accepted.size(), std::memory_order_relaxed);
  brought_.emplace_back(std::move(committed));
  const Milliseconds next = Round(brought_);
  brought_.clear();
  const bool is_calm = dispatcher_.IsCalm();
  turn_.Unlock();
  mailbox_.LookBy(std::chrono::steady_clock::now() + next, is_calm);
}

void DispatcherThread::OnFinished(std::vector<Finished> finished) {
  if (std::ranges::all_of(finished, &IsPlainDelivery)) {
    mailbox_.PostPatiently(std::move(finished), Clerk::kOutcomePatience);
  } else {
    mailbox_.Post(std::move(finished));
  }
}

bool DispatcherThread::Post(Call call) {
  return mailbox_.Post(std::move(call));
}

void DispatcherThread::Run() {
  pthread_setname_np(pthread_self(), "outboxd-queue");
  std::vector<Message> messages;
  Milliseconds sleep{0};
  bool is_calm = false;
  while (mailbox_.TakeAll(messages, sleep, is_calm)) {
    MutexLock turn(turn_);
    sleep = Round(messages);
    is_calm = dispatcher_.IsCalm();
  }
}

// Returns when the next one is due, if nothing comes.
Milliseconds DispatcherThread::Round(std::vector<Message>& messages) {
  const ClockReading clock = ReadHostClock();
  const Timestamp now = clock.wall;
  dispatcher_.SeeClock(clock);
  Actions actions = dispatcher_.NewActions();
  for (Message& message : messages) Handle(message, now, actions);
  const Result<void> pumped = dispatcher_.Pump(now, actions);
  if (!pumped) ports_.failed(pumped.error());
  is_calm_.store(pumped && dispatcher_.IsCalm(), std::memory_order_relaxed);
  Act(actions);
  if (!pumped) return std::chrono::seconds(1);
  return std::max(Milliseconds(0), dispatcher_.NextWake(now) - now);
}

void DispatcherThread::Handle(Message& message, Timestamp now, Actions& actions) {
  if (auto* committed = std::get_if<Committed>(&message)) {
    unread_jobs_.fetch_sub(committed->accepted.size(), std::memory_order_relaxed);
    dispatcher_.OnCommitted(std::move(*committed), actions);
  } else if (auto* finished = std::get_if<std::vector<Finished>>(&message)) {
    dispatcher_.OnFinished(std::move(*finished), now, actions);
    for (const auto& [connection, probe] : dispatcher_.TakeProbeReports()) ports_.probed(connection, probe);
  } else {
    std::get<Call>(message)(dispatcher_, now);
  }
}

void DispatcherThread::Act(Actions& actions) {
  for (const auto& [connection, gate] : actions.report.gates) {
    const bool open = gate.state == GateState::kOpen;
    Log(gate.state == GateState::kPaused ? LogLevel::kWarn : LogLevel::kInfo, "connection",
        {{"connection", connection},
         {"state", GateStateName(gate.state)},
         {"pause", PauseReasonName(gate.pause)},
         {"detail", open ? "" : gate.detail}});
  }
  for (const std::string& connection : actions.without_batches) {
    Log(LogLevel::kWarn,
        "the host has no /api/v2/batch: every job goes by itself until the config is read again",
        {{"connection", connection}});
  }
  if (LogEnabled(LogLevel::kDebug)) {
    for (const Transfer& transfer : actions.transfers) {
      for (const std::unique_ptr<QueuedJob>& job : transfer.Jobs()) {
        Log(LogLevel::kDebug, "sent", {{"job", job->stamp.id.ToText()}, {"connection", transfer.connection}});
      }
    }
    for (const Outcome& outcome : actions.report.outcomes) {
      Log(LogLevel::kDebug, "outcome", {{"job", outcome.job->stamp.id.ToText()}, {"reason", outcome.reason}});
    }
  }
  if (!actions.report.empty() || actions.report.hurries) ports_.report(std::move(actions.report));
  if (!actions.transfers.empty()) ports_.send(std::move(actions.transfers));
}

}  // namespace outboxd
