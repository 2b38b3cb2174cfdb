// daemon/base/environments.h — the workspaces' ids at Customer.io, as the region probe saw them.
//
// Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/base/mutex.h"

namespace outboxd {

class Environments {
 public:
  void Saw(const std::string& connection, std::int64_t id) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    ids_[connection] = id;
  }
  // nullopt: no probe has seen one since the start.
  std::optional<std::int64_t> Of(std::string_view connection) const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    const auto found = ids_.find(connection);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::int64_t, std::less<>> ids_ GUARDED_BY(mutex_);
};

}  // namespace outboxd
