// daemon/upgrade_notice.h — tells the log and the service manager that a start first brings the outbox's file
// to the present format, and asks for the time that it may take.
#pragma once

#include <chrono>
#include <optional>

#include "storage/upgrade.h"

namespace outboxd {

class UpgradeNotice {
 public:
  void Before(const Upgrade& upgrade);
  // Logs how long it took, where there was one.
  void After() const;

 private:
  std::optional<std::chrono::steady_clock::time_point> began_;
};

}  // namespace outboxd
