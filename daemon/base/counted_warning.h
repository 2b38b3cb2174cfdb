// daemon/base/counted_warning.h — a warning about what may happen thousands of times a second: told at once
// the first time, then once a minute with how often it was and the last one of them
// (daemon/base/log_limit.h).
//
// Any thread.
#pragma once

#include <string>
#include <string_view>

#include "daemon/base/log_limit.h"
#include "daemon/base/mutex.h"

namespace outboxd {

class CountedWarning {
 public:
  // Both as Log() takes them; they outlive the warning.
  CountedWarning(std::string_view event, std::string_view last_key) : event_(event), last_key_(last_key) {}

  void Happened(std::string last) EXCLUDES(mutex_);
  // About once a second: tells of those that were not told yet.
  void Tick(LogLimit::Time now) EXCLUDES(mutex_);

 private:
  const std::string_view event_;
  const std::string_view last_key_;
  Mutex mutex_;
  LogLimit limit_ GUARDED_BY(mutex_);
  std::string last_ GUARDED_BY(mutex_);
};

}  // namespace outboxd
