// daemon/clerk/held_wal.h — the WAL that a reader keeps from being checkpointed: how much, since when, and
// the line about it.
//
// Threads: belongs to one thread.
#pragma once

#include <cstdint>
#include <optional>

#include "core/time.h"

namespace outboxd {

class HeldWal {
 public:
  static constexpr std::uint64_t kToldBytes = 16 << 20;  // a short look at the outbox is not worth a line

  // `bytes` are held at `now`. Logs once from kToldBytes on, and once when that is over.
  void Note(std::uint64_t bytes, Timestamp now);

  std::uint64_t bytes() const { return bytes_; }
  std::optional<Timestamp> since() const { return since_; }  // absent while nothing is held

 private:
  std::uint64_t bytes_ = 0;
  std::optional<Timestamp> since_;
  bool is_told_ = false;
};

}  // namespace outboxd
