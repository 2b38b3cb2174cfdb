#include "daemon/base/counted_warning.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "config/log_level.h"
#include "daemon/base/log.h"
#include "daemon/base/log_limit.h"
#include "daemon/base/mutex.h"

namespace outboxd {

void CountedWarning::Happened(std::string last) {
  const auto now = std::chrono::steady_clock::now();
  std::optional<std::uint64_t> times;
  {
    MutexLock lock(mutex_);
    times = limit_.Happened(now);
    if (!times) {
      last_ = std::move(last);
      return;
    }
  }
  Log(LogLevel::kWarn, event_, {{"times", *times}, {last_key_, last}});
}

void CountedWarning::Tick(LogLimit::Time now) {
  std::optional<std::uint64_t> times;
  std::string last;
  {
    MutexLock lock(mutex_);
    times = limit_.Due(now);
    if (times) last = std::move(last_);
  }
  if (times) Log(LogLevel::kWarn, event_, {{"times", *times}, {last_key_, last}});
}

}  // namespace outboxd
