// daemon/base/systemd_notify.h — what the daemon tells its service manager. Without one (no $NOTIFY_SOCKET)
// everything here does nothing.
//
// Threads: every function may be called on any thread; none blocks for long.
#pragma once

#include <string_view>

namespace outboxd {

// `status` is one line for `systemctl status`; line breaks in it become spaces.
void NotifyReady(std::string_view status);
// A reload begins; NotifyReady() ends it, whether it succeeded or not.
void NotifyReloading();
void NotifyStopping(std::string_view status);
void NotifyStatus(std::string_view status);
// Still alive. To be called more often than WatchdogSec= of the unit.
void NotifyWatchdog();

}  // namespace outboxd
