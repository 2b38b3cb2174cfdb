// daemon/clerk/clerk_thread.h — runs a Clerk on the thread "outboxd-clerk", behind a mailbox.
//
// A submission that comes alone is committed on the thread that brings it, unless the clerk is at work: two
// threads less to be woken while little comes.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <variant>
#include <vector>

#include "core/job.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/base/mailbox.h"
#include "daemon/base/mutex.h"
#include "daemon/clerk/clerk.h"
#include "daemon/clerk/report.h"
#include "daemon/clerk/submission.h"

namespace outboxd {

class ClerkThread {
 public:
  struct Ports {
    std::function<void(Committed)> committed;  // to the dispatcher
    std::function<bool()> dispatcher_is_behind;
    // Of each commit with new jobs: how long it took, and what it stored.
    std::function<void(double seconds, const std::vector<std::unique_ptr<QueuedJob>>& jobs)> stored;
    std::function<void(const Error&)> fatal;
  };
  ClerkThread(Clerk clerk, std::size_t submissions_max, Ports ports);
  ~ClerkThread();

  // Any thread. Waits while too many submissions are ahead of it; one that is alone, for its commit: its
  // origin may hear of it before this returns. Not after Stop().
  void Submit(std::unique_ptr<Submission> submission) EXCLUDES(turn_);
  void OnReport(Report report);
  bool Post(ClerkTask task);  // false after Stop()
  void Configure(Clerk::Limits limits);
  OutboxState State() const EXCLUDES(mutex_);
  // Writes what is there, truncates the WAL and ends the thread.
  void Stop();

 private:
  using Message = std::variant<std::unique_ptr<Submission>, Report, ClerkTask, Clerk::Limits>;
  void Run() EXCLUDES(turn_);
  Milliseconds Round(std::vector<Message>& messages) REQUIRES(turn_);
  void Handle(Message& message) REQUIRES(turn_);
  void WorkOnce() REQUIRES(turn_);
  Milliseconds NextRound() const REQUIRES(turn_);
  void Answer(Clerk::Done done);
  void Finish() EXCLUDES(turn_);

  Mutex turn_;  // of whoever does the clerk's work
  Clerk clerk_ GUARDED_BY(turn_);
  std::vector<Message> brought_ GUARDED_BY(turn_);  // of a round on another thread
  Ports ports_;
  Mailbox<Message> mailbox_;
  mutable Mutex mutex_;
  OutboxState state_ GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace outboxd
