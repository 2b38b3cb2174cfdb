// daemon/fatal_error.h — why the daemon has to end by itself. Any thread.
#pragma once

#include <signal.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "core/result.h"
#include "daemon/base/mutex.h"

namespace outboxd {

class FatalError {
 public:
  // Wakes the main thread as SIGTERM does. The first reason stays.
  void Raise(const Error& error) EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      if (reason_) return;
      reason_ = error.message;
    }
    kill(getpid(), SIGTERM);
  }
  std::optional<std::string> Reason() const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return reason_;
  }

 private:
  mutable Mutex mutex_;
  std::optional<std::string> reason_ GUARDED_BY(mutex_);
};

}  // namespace outboxd
