// daemon/clerk/clerk.h — the one owner of the database: takes everything that waits, writes it in one
// transaction, then answers everyone.
//
// While one commit is being synced the next group gathers by itself: no timer, no delay when idle, large
// groups under load. New jobs and outcomes share a commit; when it fails they are tried apart, so that a full
// disk refuses new jobs and still settles old ones. Outcomes that cannot be written are kept and tried again:
// nothing of them is lost but time.
//
// Class Clerk is the logic, driven by whoever owns it; ClerkThread runs it on a thread of its own.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "config/config.h"
#include "daemon/base/mailbox.h"
#include "daemon/base/mutex.h"
#include "daemon/clerk/messages.h"
#include "storage/outbox.h"

namespace outboxd {

// An operator's work in steps between commits. Returns true while there is more to do.
using ClerkTask = std::function<bool(Outbox&, Timestamp now)>;

// What the clerk knows of the outbox as a whole.
struct OutboxState {
  std::map<std::string, Counts, std::less<>> counts;
  std::uint64_t used_bytes = 0;
  std::uint64_t disk_free_bytes = 0;
  std::string not_accepting;  // empty: accepting
  std::string not_healthy;    // empty: the last write succeeded
};

class Clerk {
 public:
  struct Limits {
    OutboxConfig outbox;
    HistoryConfig history;
  };
  // `disk_free` tells the free bytes of the outbox's file system.
  Clerk(Outbox outbox, Limits limits, std::function<std::uint64_t()> disk_free);

  void Configure(Limits limits) { limits_ = std::move(limits); }
  void Add(std::unique_ptr<Submission> submission);
  void Add(Report report);
  void Add(ClerkTask task) { tasks_.push_back(std::move(task)); }

  struct Done {
    std::vector<std::unique_ptr<Submission>> submissions;  // answered, in order
    Committed committed;
    std::optional<Error> fatal;  // the outbox is damaged: stop
  };
  // A step of the operator's work, then writes what was added, in one commit where possible; then a step of
  // housekeeping.
  Done Work(Timestamp now);
  // True when Work() should be called again at once, or soon: nothing new has to come.
  bool HasTasks() const { return !tasks_.empty() || more_housekeeping_; }
  // True when the last write failed: Work() tries again.
  bool MustRetry() const { return !pending_.empty() || !not_healthy_.empty(); }
  OutboxState State() const;
  Outbox& outbox() { return outbox_; }

 private:
  void CheckRoom(Timestamp now);
  void ReadRoom();
  std::optional<Error> WhyFull(std::size_t jobs) const;
  void Admit(Done& done);
  void WriteApart(Timestamp now, Done& done);
  void Refuse(Done& done, const Error& error);
  void Confirm(Done& done, bool accepted, bool reports);
  void Note(const Result<void>& written, Done& done);
  void Housekeep(Timestamp now);
  WriteBatch Batch(bool accepted, bool reports);

  Outbox outbox_;
  Limits limits_;
  std::function<std::uint64_t()> disk_free_;
  std::vector<std::unique_ptr<Submission>> submissions_;
  std::vector<QueuedJob*> accepting_;  // jobs of submissions_ that are not refused
  Report pending_;                     // not yet written
  std::deque<ClerkTask> tasks_;
  std::uint64_t used_bytes_ = 0;
  std::uint64_t disk_free_bytes_ = 0;
  Timestamp room_checked_{};
  std::uint64_t stored_bytes_ = 0;  // of lines, since then
  Timestamp housekept_{};
  bool more_housekeeping_ = false;
  std::string not_healthy_;
};

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
  // Writes what is there, folds the log into the file and ends the thread.
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
