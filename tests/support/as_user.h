// tests/support/as_user.h — does something as another user of the system, for what is decided by the user at
// the other end of a socket. Only root can.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <thread>

namespace outboxd {

inline constexpr std::uint32_t kOtherUser = 65534;

inline bool CanBeOthers() {
  return geteuid() == 0;
}

// On a thread of its own: to the kernel a user belongs to a thread.
inline void AsUser(std::uint32_t user, const std::function<void()>& action) {
  std::thread([&] {
    if (syscall(SYS_setresuid, -1, user, -1) == 0) action();
  }).join();
}

}  // namespace outboxd
