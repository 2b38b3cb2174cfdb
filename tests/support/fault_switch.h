// tests/support/fault_switch.h — faults of the machine, switched on and off from a test while the real
// outboxd runs.
//
// The program is started with the fault shim preloaded (LD_PRELOAD), and both map the same small file. The
// shim lets calls on the outbox's files fail with the errno that stands there, moves the wall clock, tells
// another kind of file system, and keeps lookups of names waiting. Programs built with sanitizers have these
// calls taken already.
#pragma once

#include <atomic>
#include <cstdint>

namespace outboxd {

inline constexpr const char* kFaultSwitchVariable = "OUTBOXD_FAULT_SWITCH";  // the file's path

struct FaultSwitch {
  std::atomic<int> write_error{0}, sync_error{0}, truncate_error{0};  // errno; 0: the call works
  std::atomic<std::int64_t> clock_seconds{0};                         // added to the wall clock
  std::atomic<int> clock_is_synchronised{-1};  // 0, 1: what the kernel says of it; -1: as it is
  std::atomic<std::uint64_t> failed_calls{0};
  std::atomic<std::int64_t> file_system{0};  // not 0: statfs(2) tells this f_type of each folder
  std::atomic<int> names_hang{0};  // not 0: a lookup of a name waits until it is 0 again, and then fails
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
              "two processes share them");

}  // namespace outboxd
