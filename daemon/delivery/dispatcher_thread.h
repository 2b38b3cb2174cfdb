// daemon/delivery/dispatcher_thread.h — the thread "outboxd-queue": runs the Dispatcher.
//
// Takes what clerk and workers tell it from a mailbox, lets the dispatcher act on all of it, and hands on
// what is to be sent and written. It wakes by itself when the dispatcher asks for that. While nobody waits
// for anything but his own answer, deliveries wait in the mailbox for the next job, and that is looked at on
// the thread that brings it: one thread less to be woken.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "daemon/base/mailbox.h"
#include "daemon/base/mutex.h"
#include "daemon/base/status.h"
#include "daemon/clerk/report.h"
#include "daemon/delivery/connection_queue.h"
#include "daemon/delivery/dispatcher.h"
#include "daemon/delivery/transfer.h"

namespace outboxd {

class DispatcherThread {
 public:
  using Call = std::function<void(Dispatcher&, Timestamp now)>;
  struct Ports {
    std::function<void(std::vector<Transfer>)> send;  // to the workers
    std::function<void(Report)> report;               // to the clerk
    std::function<void(const std::string& connection, const ProbeReport&)> probed;
    std::function<void(const Error&)> failed;  // the outbox cannot be read
  };
  DispatcherThread(Dispatcher dispatcher, Ports ports);
  ~DispatcherThread();

  // Once, when whoever the ports reach can reach this object: what is sent may come back at once.
  void Start();

  // Any thread; none of them waits.
  void OnCommitted(Committed committed) EXCLUDES(turn_);
  void OnFinished(std::vector<Finished> finished);
  bool Post(Call call);  // false after Stop()
  // True when so much waits to be looked at that bodies of accepted jobs need not be sent along.
  bool IsBehind() const { return unread_jobs_.load(std::memory_order_relaxed) > kUnreadJobsMax; }
  void Stop();

 private:
  static constexpr std::size_t kUnreadJobsMax = 2048;
  using Message = std::variant<Committed, std::vector<Finished>, Call>;
  void Run() EXCLUDES(turn_);
  Milliseconds Round(std::vector<Message>& messages) REQUIRES(turn_);
  void Handle(Message& message, Timestamp now, Actions& actions) REQUIRES(turn_);
  void Act(Actions& actions);

  Mutex turn_;  // of whoever does the dispatcher's work
  Dispatcher dispatcher_ GUARDED_BY(turn_);
  std::vector<Message> brought_ GUARDED_BY(turn_);  // of a round on another thread
  std::atomic<bool> is_calm_{false};                // as of the last round
  Ports ports_;
  Mailbox<Message> mailbox_;
  std::atomic<std::size_t> unread_jobs_{0};
  std::thread thread_;
};

}  // namespace outboxd
