// daemon/base/crash_record.h — when outboxd last crashed, kept in a small file beside the outbox.
//
// A crash is a signal that ends the process from inside: SIGABRT (a CHECK that failed, an exception that
// nobody caught, the service manager's watchdog), SIGSEGV, SIGBUS, SIGFPE, SIGILL. A handler writes down the
// moment and leaves the rest to the system. A clean stop, an error that ends the daemon, SIGKILL and a loss
// of power write nothing, so they can never be taken for a crash.
//
// The file has eight lines of 13 digits, Unix milliseconds, the oldest of which is overwritten next: it takes
// no more room on a full disk. What is not such a line is no crash.
#pragma once

#include <signal.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/time.h"

namespace outboxd {

// A thread that blocks one of them and crashes ends the process without a record.
inline constexpr std::array kCrashSignals = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
inline constexpr std::size_t kCrashesMax = 3;
inline constexpr Milliseconds kCrashSpan = std::chrono::minutes(10);

// Until when a start should send nothing: the last of three crashes within ten minutes is less than ten
// minutes ago. nullopt: it should send. `crashes` in any order; those after `now` do not count (the clock was
// set back).
std::optional<Timestamp> HoldUntil(std::vector<Timestamp> crashes, Timestamp now);

class CrashRecord {
 public:
  // Makes the file if it is not there. kIo: crashes cannot be recorded.
  static Result<CrashRecord> Open(const std::filesystem::path& file);
  CrashRecord(CrashRecord&& other) noexcept;
  CrashRecord& operator=(CrashRecord&&) = delete;
  ~CrashRecord();

  // Of earlier processes, in any order.
  const std::vector<Timestamp>& crashes() const { return crashes_; }
  // From now on until this object ends a crash of this process is recorded. One object at a time.
  void Watch();

 private:
  CrashRecord(int descriptor, std::vector<Timestamp> crashes, std::size_t next)
      : descriptor_(descriptor), crashes_(std::move(crashes)), next_(next) {}

  int descriptor_ = -1;
  std::vector<Timestamp> crashes_;
  std::size_t next_ = 0;  // the line to be written
  bool watching_ = false;
};

}  // namespace outboxd
