#include "daemon/admin/probe_waiters.h"

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "daemon/base/mutex.h"
#include "daemon/base/status.h"

namespace outboxd {

Result<ProbeReport> ProbeWaiters::Await(const std::string& connection, Milliseconds patience,
                                        const std::function<Result<void>()>& ask) {
  Waiter waiter{connection, {}};
  {
    MutexLock lock(mutex_);
    if (closed_) return Failure(*closed_);
    waiting_.push_back(&waiter);
  }
  const Result<void> asked = ask();
  if (asked) return WaitFor(waiter, patience);
  MutexLock lock(mutex_);
  Remove(waiter);
  return Failure(asked.error());
}

Result<ProbeReport> ProbeWaiters::WaitFor(Waiter& waiter, Milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  MutexLock lock(mutex_);
  while (!waiter.outcome && changed_.WaitUntil(mutex_, deadline)) {
  }
  Remove(waiter);
  if (!waiter.outcome) return Fail(ErrorKind::kUnavailable, "no answer to the probe");
  return *std::move(waiter.outcome);
}

void ProbeWaiters::Remove(const Waiter& waiter) {
  std::erase(waiting_, &waiter);
}

void ProbeWaiters::Answer(const std::string& connection, const ProbeReport& report) {
  MutexLock lock(mutex_);
  for (Waiter* waiter : waiting_) {
    if (waiter->connection == connection && !waiter->outcome) waiter->outcome = report;
  }
  changed_.NotifyAll();
}

void ProbeWaiters::Close(const Error& why) {
  MutexLock lock(mutex_);
  closed_ = why;
  for (Waiter* waiter : waiting_) {
    if (!waiter->outcome) waiter->outcome = Failure(why);
  }
  changed_.NotifyAll();
}

}  // namespace outboxd
