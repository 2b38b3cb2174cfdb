#include "daemon/base/outbox_place.h"

#include <utility>

#include "config/config.h"
#include "config/log_level.h"
#include "config/outbox_disk.h"
#include "core/result.h"
#include "daemon/base/log.h"

namespace outboxd {

OutboxPlace::OutboxPlace(OutboxConfig config, FileSystem system)
    : config_(std::move(config)), system_(system) {}

Result<void> OutboxPlace::Check() const {
  const DiskRating rating = RateDisk(config_, system_);
  if (rating == DiskRating::kRefused) return Failure(DiskRefusal(config_, system_));
  if (rating == DiskRating::kDoubtful) {
    Log(LogLevel::kWarn, "the outbox is not on a local disk: it is as safe as what stands behind",
        {{"path", config_.path.string()}, {"file_system", system_.name}});
  }
  return {};
}

void OutboxPlace::Tick(Time now) {
  if (system_.kind != FileSystemKind::kNetwork || config_.allow_network_fs) return;
  if (told_ && now < *told_ + kInterval) return;
  told_ = now;
  Log(LogLevel::kError,
      "the outbox is on a network file system, where jobs may be lost: move it to a local disk, or set "
      "outbox.allow_network_fs",
      {{"path", config_.path.string()}, {"file_system", system_.name}});
}

}  // namespace outboxd
