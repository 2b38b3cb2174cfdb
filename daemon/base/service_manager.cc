#include "daemon/base/service_manager.h"

#include <systemd/sd-daemon.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/owned_fd.h"
#include "core/time.h"
#include "daemon/base/descriptor_store.h"

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

class ManagerStore final : public DescriptorStore {
 public:
  // It looks at none of them: one whose other end has gone may hold bytes that nobody has read yet.
  void Put(const std::string& name, int descriptor) override {
    const std::string state = "FDSTORE=1\nFDPOLL=0\nFDNAME=" + name;
    (void)::sd_pid_notify_with_fds(0, kKeepEnvironment, state.c_str(), &descriptor, 1);
  }
  void Remove(const std::string& name) override { Send("FDSTOREREMOVE=1\nFDNAME=" + name); }
  void Settle() override {
    constexpr std::chrono::microseconds kPatience = std::chrono::seconds(5);
    (void)::sd_notify_barrier(kKeepEnvironment, kPatience.count());
  }
};

}  // namespace

std::unique_ptr<DescriptorStore> StoreOfServiceManager() {
  if (::getenv("NOTIFY_SOCKET") == nullptr) return nullptr;
  return std::make_unique<ManagerStore>();
}

std::vector<PassedDescriptor> TakePassedDescriptors() {
  constexpr int kForget = 1;
  char** names = nullptr;
  const int count = ::sd_listen_fds_with_names(kForget, &names);
  std::vector<PassedDescriptor> passed;
  for (int i = 0; i < count; ++i) {
    passed.push_back({names[i], OwnedFd(SD_LISTEN_FDS_START + i)});
    std::free(names[i]);
  }
  std::free(static_cast<void*>(names));
  return passed;
}

void NotifyStarting(std::string_view status, Milliseconds time) {
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(time);
  Send("EXTEND_TIMEOUT_USEC=" + std::to_string(microseconds.count()) + "\n" + StatusLine(status));
}

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
