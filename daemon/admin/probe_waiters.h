// daemon/admin/probe_waiters.h — who waits for the report of a probe, by connection.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "daemon/base/mutex.h"
#include "daemon/base/status.h"

namespace outboxd {

// Any thread.
class ProbeWaiters {
 public:
  // Calls `ask`, which has the probe sent, and waits for the report; how long at most, `patience` says.
  // Nobody else learns of a failure.
  Result<ProbeReport> Await(const std::string& connection, Milliseconds patience,
                            const std::function<Result<void>()>& ask);
  // To everyone who waits for this connection.
  void Answer(const std::string& connection, const ProbeReport& report);
  // Whoever waits, and whoever comes, gets `why`.
  void Close(const Error& why);

 private:
  struct Waiter {
    std::string connection;
    std::optional<Result<ProbeReport>> outcome;
  };

  Result<ProbeReport> WaitFor(Waiter& waiter, Milliseconds patience);
  void Remove(const Waiter& waiter) REQUIRES(mutex_);

  Mutex mutex_;
  Condition changed_;
  std::vector<Waiter*> waiting_ GUARDED_BY(mutex_);  // each on the stack of its Await()
  std::optional<Error> closed_ GUARDED_BY(mutex_);
};

}  // namespace outboxd
