// daemon/base/service_manager.h — what the daemon and its service manager tell and give each other. Without
// one (no $NOTIFY_SOCKET) everything told here goes nowhere.
//
// Threads: every function may be called on any thread; none blocks for long.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/owned_fd.h"
#include "core/time.h"
#include "daemon/base/descriptor_store.h"

namespace outboxd {

// A descriptor that the service manager keeps for the daemon, and its name: FileDescriptorName= of the socket
// unit that it comes from (sd_listen_fds_with_names(3)).
struct PassedDescriptor {
  std::string name;
  OwnedFd descriptor;
};

// Those that were passed to this process. Once: later calls, and programs started from here, find none. No
// other thread may run yet: the environment changes.
std::vector<PassedDescriptor> TakePassedDescriptors();

// What the start is at. It may take `time` more, whatever TimeoutStartSec= of the unit says.
void NotifyStarting(std::string_view status, Milliseconds time);
// `status` is one line for `systemctl status`; line breaks in it become spaces.
void NotifyReady(std::string_view status);
// A reload begins; NotifyReady() ends it, whether it succeeded or not.
void NotifyReloading();
void NotifyStopping(std::string_view status);
void NotifyStatus(std::string_view status);
// A store of the service manager (FileDescriptorStoreMax= of the unit; sd_pid_notify_with_fds(3)). Null where
// there is none.
std::unique_ptr<DescriptorStore> StoreOfServiceManager();

// Still alive. To be called more often than WatchdogSec= of the unit.
void NotifyWatchdog();

}  // namespace outboxd
