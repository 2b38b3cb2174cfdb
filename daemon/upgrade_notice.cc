#include "daemon/upgrade_notice.h"

#include <chrono>
#include <cstdint>
#include <string>

#include "config/log_level.h"
#include "core/duration.h"
#include "core/time.h"
#include "daemon/base/log.h"
#include "daemon/base/service_manager.h"
#include "storage/upgrade.h"

namespace outboxd {
namespace {

constexpr std::uint64_t kMegabyte = 1'000'000;

// What an ordinary disk and processor manage (docs/operations.md, Upgrade).
constexpr std::uint64_t kUsualBytesPerSecond = 20 * kMegabyte;

// What the slowest manage: if it took longer than was asked for, the service manager would end it, each time
// again.
constexpr std::uint64_t kLeastBytesPerSecond = kMegabyte;
constexpr std::chrono::minutes kAtLeast{5};

Milliseconds TimeFor(std::uint64_t bytes, std::uint64_t bytes_per_second) {
  return std::chrono::seconds(bytes / bytes_per_second + 1);
}

}  // namespace

void UpgradeNotice::Before(const Upgrade& upgrade) {
  began_ = std::chrono::steady_clock::now();
  const bool is_migration = upgrade.from != upgrade.to;
  const std::string what = is_migration ? "upgrading the outbox" : "rewriting the outbox with smaller pages";
  const std::string from = std::to_string(upgrade.from);
  const std::string to = std::to_string(upgrade.to);
  const std::string usual = ShowSpan(TimeFor(upgrade.bytes, kUsualBytesPerSecond));
  Log(LogLevel::kWarn, what,
      {{"from_format", from},
       {"to_format", to},
       {"bytes", std::to_string(upgrade.bytes)},
       {"takes_about", usual},
       {"if_interrupted", "nothing is lost, and it begins anew"}});
  NotifyStarting(what + (is_migration ? " from disk format " + from + " to " + to : "") + " (" +
                     std::to_string(upgrade.bytes / kMegabyte) + " MB, about " + usual +
                     "); if interrupted it begins anew",
                 kAtLeast + TimeFor(upgrade.bytes, kLeastBytesPerSecond));
}

void UpgradeNotice::After() const {
  if (!began_) return;
  const auto took = std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - *began_);
  Log(LogLevel::kInfo, "the outbox is upgraded", {{"took", ShowSpan(took)}});
}

}  // namespace outboxd
