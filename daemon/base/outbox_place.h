// daemon/base/outbox_place.h — what the log says of the file system that holds the outbox
// (config/outbox_disk.h).
//
// Threads: belongs to one thread.
#pragma once

#include <chrono>
#include <optional>

#include "config/config.h"
#include "config/outbox_disk.h"
#include "core/result.h"

namespace outboxd {

class OutboxPlace {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::hours kInterval{1};

  OutboxPlace(OutboxConfig config, FileSystem system);

  // kInvalid: no outbox is there yet, and none may be made. Otherwise warns of what holds it.
  Result<void> Check() const;
  // For an outbox that was there before, on a network file system that is not allowed: an error line, at once
  // and each hour.
  void Tick(Time now);

 private:
  OutboxConfig config_;
  FileSystem system_;
  std::optional<Time> told_;
};

}  // namespace outboxd
