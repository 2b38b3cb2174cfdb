// storage/upgrade.h — what a start does to the file of an earlier version before it is of use; it may take
// long.
#pragma once

#include <cstdint>
#include <functional>

namespace outboxd {

// Whenever it is interrupted, the next start has the old file or the new one.
struct Upgrade {
  std::int64_t from = 0, to = 0;  // disk formats; alike where only the pages are rewritten
  bool rewrites_pages = false;    // large ones of an earlier version, unless a reader keeps them
  std::uint64_t bytes = 0;        // of the file
};

// Told in the thread that opens the outbox, before anything is changed.
using BeforeUpgrade = std::function<void(const Upgrade&)>;

}  // namespace outboxd
