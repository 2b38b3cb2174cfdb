#include "daemon/clerk/clerk_thread.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "config/log_level.h"
#include "core/clock.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/base/host_clock.h"
#include "daemon/base/log.h"
#include "daemon/base/mutex.h"
#include "daemon/base/wall_clock.h"
#include "daemon/clerk/clerk.h"
#include "daemon/clerk/report.h"
#include "daemon/clerk/submission.h"

namespace outboxd {
namespace {

constexpr Milliseconds kIdleInterval{5000};   // then it looks for housekeeping
constexpr Milliseconds kWatchInterval{1000};  // of what keeps jobs out
constexpr Milliseconds kRetryInterval{200};   // of outcomes that could not be written
constexpr Milliseconds kReportPatience{10};   // outcomes gather this long unless somebody waits for a commit

}  // namespace

ClerkThread::ClerkThread(Clerk clerk, std::size_t submissions_max, Ports ports)
    : clerk_(std::move(clerk)),
      ports_(std::move(ports)),
      mailbox_(submissions_max),
      state_(clerk_.State()),
      thread_([this] { Run(); }) {}

ClerkThread::~ClerkThread() {
  Stop();
}

void ClerkThread::Stop() {
  mailbox_.Close();
  if (thread_.joinable()) thread_.join();
}

void ClerkThread::Submit(std::unique_ptr<Submission> submission) {
  if (!submission->is_alone || !turn_.TryLock()) {
    mailbox_.Put(std::move(submission));
    return;
  }
  mailbox_.TakeNow(brought_);
  brought_.emplace_back(std::move(submission));
  const Milliseconds next = Round(brought_);
  brought_.clear();
  turn_.Unlock();
  mailbox_.LookBy(std::chrono::steady_clock::now() + next);
}
void ClerkThread::OnReport(Report report) {
  switch (report.haste) {
    case Haste::kWhenever:
      mailbox_.PostPatiently(std::move(report), Clerk::kOutcomePatience);
      break;
    case Haste::kSoon:
      mailbox_.PostPatiently(std::move(report), kReportPatience);
      break;
    case Haste::kAtOnce:
      mailbox_.Post(std::move(report));
      break;
  }
}
bool ClerkThread::Post(ClerkTask task) {
  return mailbox_.Post(std::move(task));
}
void ClerkThread::Configure(Clerk::Limits limits) {
  mailbox_.Post(std::move(limits));
}

OutboxState ClerkThread::State() const {
  MutexLock lock(mutex_);
  return state_;
}

void ClerkThread::Run() {
  pthread_setname_np(pthread_self(), "outboxd-clerk");
  std::vector<Message> messages;
  Milliseconds sleep = kIdleInterval;
  while (mailbox_.TakeAll(messages, sleep)) {
    MutexLock turn(turn_);
    sleep = Round(messages);
  }
  Finish();
}

// Returns when the next one is due, if nothing comes.
Milliseconds ClerkThread::Round(std::vector<Message>& messages) {
  for (Message& message : messages) Handle(message);
  WorkOnce();
  return NextRound();
}

void ClerkThread::WorkOnce() {
  const auto started = std::chrono::steady_clock::now();
  ClockReading clock = ReadHostClock();
  clock.is_synchronised = IsClockSynchronised();
  clerk_.SeeClock(clock);
  Clerk::Done done = clerk_.Work(clock.wall);
  {
    OutboxState state = clerk_.State();
    MutexLock lock(mutex_);
    state_ = std::move(state);
  }
  if (!done.committed.accepted.empty()) {
    ports_.stored(std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count(),
                  done.committed.accepted);
  }
  Answer(std::move(done));
}

Milliseconds ClerkThread::NextRound() const {
  if (clerk_.HasTasks()) return Milliseconds(0);
  if (clerk_.MustRetry()) return kRetryInterval;
  const std::optional<Timestamp> due = clerk_.OutcomesDue();
  if (!due) return clerk_.IsAccepting() ? kIdleInterval : kWatchInterval;
  return std::clamp(std::chrono::ceil<Milliseconds>(*due - WallClockNow()), Milliseconds(0), kIdleInterval);
}

void ClerkThread::Handle(Message& message) {
  if (auto* submission = std::get_if<std::unique_ptr<Submission>>(&message)) {
    clerk_.Add(std::move(*submission));
  } else if (auto* report = std::get_if<Report>(&message)) {
    clerk_.Add(std::move(*report));
  } else if (auto* task = std::get_if<ClerkTask>(&message)) {
    clerk_.Add(std::move(*task));
  } else {
    clerk_.Configure(std::get<Clerk::Limits>(std::move(message)));
  }
}

// First the producers, who wait; each origin gets its own in one call.
void ClerkThread::Answer(Clerk::Done done) {
  std::map<SubmissionOrigin*, std::vector<std::unique_ptr<Submission>>> by_origin;
  for (std::unique_ptr<Submission>& submission : done.submissions) {
    SubmissionOrigin* origin = &submission->origin;
    by_origin[origin].push_back(std::move(submission));
  }
  for (auto& [origin, submissions] : by_origin) origin->OnAnswered(std::move(submissions));
  const bool news = !done.committed.accepted.empty() || !done.committed.outcomes.empty() ||
                    done.committed.ticket.has_value();
  done.committed.left_out = !done.committed.accepted.empty() && ports_.dispatcher_is_behind();
  if (done.committed.left_out) done.committed.accepted.clear();
  if (news) ports_.committed(std::move(done.committed));
  if (done.fatal) ports_.fatal(*done.fatal);
}

void ClerkThread::Finish() {
  MutexLock turn(turn_);
  clerk_.Hurry();
  WorkOnce();
  const Result<bool> truncated = clerk_.outbox().maintenance().TruncateWal();
  if (truncated && *truncated) return;
  Log(LogLevel::kWarn, "outbox WAL not truncated",
      {{"reason", truncated ? "somebody reads it" : truncated.error().message}});
}

}  // namespace outboxd
