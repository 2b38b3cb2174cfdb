#include "daemon/clerk/held_wal.h"

#include <cstdint>

#include "config/log_level.h"
#include "core/time.h"
#include "daemon/base/log.h"

namespace outboxd {

void HeldWal::Note(std::uint64_t bytes, Timestamp now) {
  if (bytes == 0 && is_told_) {
    Log(LogLevel::kInfo, "the outbox's WAL is free again", {{"since", FormatRfc3339(*since_)}});
    is_told_ = false;
  }
  bytes_ = bytes;
  if (bytes == 0) since_.reset();
  if (bytes != 0 && !since_) since_ = now;
  if (bytes < kToldBytes || is_told_) return;
  is_told_ = true;
  Log(LogLevel::kWarn,
      "a reader keeps the outbox's WAL from being checkpointed: end it; outboxctl status tells who it is",
      {{"bytes", bytes}, {"since", FormatRfc3339(*since_)}});
}

}  // namespace outboxd
