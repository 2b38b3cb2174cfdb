// daemon/clerk/clerk_thread.h — runs a Clerk on the thread "outboxd-clerk", behind a mailbox.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <variant>
#include <vector>

#include "core/job.h"
#include "core/result.h"
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

  // Any thread. Waits while too many submissions are ahead of it. Not after Stop().
  void Submit(std::unique_ptr<Submission> submission);
  void OnReport(Report report);
  bool Post(ClerkTask task);  // false after Stop()
  void Configure(Clerk::Limits limits);
  OutboxState State() const EXCLUDES(mutex_);
  // Writes what is there, truncates the WAL and ends the thread.
  void Stop();

 private:
  using Message = std::variant<std::unique_ptr<Submission>, Report, ClerkTask, Clerk::Limits>;
  void Run();
  void Handle(Message& message);
  void Answer(Clerk::Done done);
  void Finish();

  Clerk clerk_;
  Ports ports_;
  Mailbox<Message> mailbox_;
  mutable Mutex mutex_;
  OutboxState state_ GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace outboxd
