#include "daemon/base/systemd_notify.h"

#include <systemd/sd-daemon.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

namespace outboxd {
namespace {

constexpr int kKeepEnvironment = 0;

// A message that cannot be delivered is the service manager's to miss: its own timeouts act.
void Send(const std::string& state) {
  (void)::sd_notify(kKeepEnvironment, state.c_str());
}

std::string StatusLine(std::string_view status) {
  std::string line = "STATUS=" + std::string(status);
  std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r' || c == '\0'; }, ' ');
  return line;
}

// systemd compares this with its own clock to tell an earlier reload's READY=1 from this one's.
std::string MonotonicMicroseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const auto since_boot = std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(since_boot).count());
}

}  // namespace

void NotifyReady(std::string_view status) {
  Send("READY=1\n" + StatusLine(status));
}

void NotifyReloading() {
  Send("RELOADING=1\nMONOTONIC_USEC=" + MonotonicMicroseconds() + "\nSTATUS=Reading the config again");
}

void NotifyStopping(std::string_view status) {
  Send("STOPPING=1\n" + StatusLine(status));
}

void NotifyStatus(std::string_view status) {
  Send(StatusLine(status));
}

void NotifyWatchdog() {
  Send("WATCHDOG=1");
}

}  // namespace outboxd
