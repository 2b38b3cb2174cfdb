#include "daemon/base/host_clock.h"

#include <sys/timex.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "config/log_level.h"
#include "core/clock.h"
#include "core/time.h"
#include "daemon/base/log.h"
#include "daemon/base/wall_clock.h"

namespace outboxd {
namespace {

// The unit hides /proc/sys, and hands the id over. Written without dashes, as systemd does.
std::string ReadBootId() {
  std::string id;
  if (std::ifstream file("/proc/sys/kernel/random/boot_id"); !(file >> id)) {
    const char* given = std::getenv("OUTBOXD_BOOT_ID");
    id = given == nullptr ? "" : given;
  }
  std::erase(id, '-');
  if (id.empty())
    Log(LogLevel::kWarn,
        "the boot of this host has no id: when the clock is set, waiting jobs keep their time");
  return id;
}

Timestamp Built() {
  return ParseRfc3339(OUTBOXD_BUILD_DATE "T00:00:00Z").value_or(Timestamp{});
}

Milliseconds BootClockNow() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::floor<Milliseconds>(std::chrono::seconds(now.tv_sec) +
                                          std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace

ClockReading ReadHostClock() {
  static const std::string boot_id = ReadBootId();
  static const Timestamp built = Built();
  ClockReading clock;
  clock.wall = WallClockNow();
  clock.boot = BootClockNow();
  clock.boot_id = boot_id;
  clock.is_synchronised = false;
  clock.built = built;
  return clock;
}

bool IsClockSynchronised() {
  timex clock{};
  const int state = adjtimex(&clock);
  if (state >= 0) return state != TIME_ERROR && (clock.status & STA_UNSYNC) == 0;
  static std::atomic<bool> is_told{false};
  if (!is_told.exchange(true))
    Log(LogLevel::kWarn, "the kernel does not say whether the clock is synchronised",
        {{"reason", std::strerror(errno)}});
  return false;
}

void LogClockStep(Milliseconds by) {
  Log(LogLevel::kWarn, "the clock was set: jobs accepted while it was not synchronised move along",
      {{"by_ms", std::to_string(by.count())}});
}

}  // namespace outboxd
