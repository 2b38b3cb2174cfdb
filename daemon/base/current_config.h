// daemon/base/current_config.h — the config in effect. Each one is immutable; a reload puts another in its
// place, and whoever holds the old one may go on with it. Any thread.
#pragma once

#include <memory>
#include <utility>

#include "config/config.h"
#include "daemon/base/mutex.h"

namespace outboxd {

class CurrentConfig {
 public:
  explicit CurrentConfig(Config config) : config_(std::make_shared<const Config>(std::move(config))) {}

  std::shared_ptr<const Config> Get() const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return config_;
  }
  void Replace(Config config) EXCLUDES(mutex_) {
    auto fresh = std::make_shared<const Config>(std::move(config));
    MutexLock lock(mutex_);
    config_.swap(fresh);
  }

 private:
  mutable Mutex mutex_;
  std::shared_ptr<const Config> config_ GUARDED_BY(mutex_);  // never null
};

}  // namespace outboxd
