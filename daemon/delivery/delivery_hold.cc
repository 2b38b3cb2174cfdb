#include "daemon/delivery/delivery_hold.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/time.h"
#include "daemon/base/crash_record.h"
#include "daemon/base/mutex.h"

namespace outboxd {

DeliveryHold::DeliveryHold(Names connections, Timestamp since, Timestamp until)
    : since_(since), until_(until), held_(std::move(connections)), any_(!held_.empty()) {}

bool DeliveryHold::Contains(std::string_view connection) const {
  MutexLock lock(mutex_);
  return held_.contains(connection);
}

bool DeliveryHold::Lift(std::string_view connection) {
  MutexLock lock(mutex_);
  const auto found = held_.find(connection);
  if (found == held_.end()) return false;
  held_.erase(found);
  any_ = !held_.empty();
  return true;
}

std::optional<std::string> DeliveryHold::Reason() const {
  MutexLock lock(mutex_);
  if (held_.empty()) return std::nullopt;
  std::string names;
  for (const std::string& name : held_) names += (names.empty() ? "" : ", ") + name;
  return "outboxd crashed " + std::to_string(kCrashesMax) + " times within 10 minutes: nothing is sent on " +
         names + " until `outboxctl resume CONNECTION`, or a restart after " + FormatRfc3339(until_);
}

}  // namespace outboxd
