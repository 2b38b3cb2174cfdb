// daemon/delivery/delivery_hold.h — the connections on which nothing is sent since the start, because outboxd
// crashed too often just before. Apart from their gates, and on no disk: the next start decides anew. Any
// thread.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "core/time.h"
#include "daemon/base/mutex.h"

namespace outboxd {

class DeliveryHold {
 public:
  using Names = std::set<std::string, std::less<>>;
  // Holds nothing.
  DeliveryHold() = default;
  // A start after `until` would hold nothing.
  DeliveryHold(Names connections, Timestamp since, Timestamp until);

  // One relaxed load where nothing is held.
  bool IsHeld(std::string_view connection) const EXCLUDES(mutex_) {
    return any_.load(std::memory_order_relaxed) && Contains(connection);
  }
  // False when it was not held.
  bool Lift(std::string_view connection) EXCLUDES(mutex_);

  // Why, on which connections and until what, in a sentence for people; nullopt when nothing is held.
  std::optional<std::string> Reason() const EXCLUDES(mutex_);
  Timestamp since() const { return since_; }

 private:
  bool Contains(std::string_view connection) const EXCLUDES(mutex_);

  const Timestamp since_{};
  const Timestamp until_{};
  mutable Mutex mutex_;
  Names held_ GUARDED_BY(mutex_);
  std::atomic<bool> any_{false};
};

}  // namespace outboxd
