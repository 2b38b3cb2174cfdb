#include "daemon/systemd_notify.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

using namespace outboxd;

namespace {

// Stands for the service manager: an abstract datagram socket named by $NOTIFY_SOCKET.
class FakeManager {
 public:
  FakeManager() : descriptor_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    const std::string name = "@outboxd-notify-test-" + std::to_string(::getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, name.size());
    address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(sizeof(sa_family_t) + name.size());
    REQUIRE(::bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), length) == 0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ~FakeManager() {
    ::unsetenv("NOTIFY_SOCKET");
    ::close(descriptor_);
  }
  FakeManager(const FakeManager&) = delete;
  FakeManager& operator=(const FakeManager&) = delete;

  // The next message that was sent; empty when there is none.
  std::string Next() {
    std::array<char, 1024> text{};
    const ssize_t length = ::recv(descriptor_, text.data(), text.size(), 0);
    return length < 0 ? "" : std::string(text.data(), static_cast<std::size_t>(length));
  }

 private:
  int descriptor_;
};

}  // namespace

TEST_CASE("systemd: each change of state is one message") {
  FakeManager manager;
  NotifyReady("accepting jobs");
  CHECK(manager.Next() == "READY=1\nSTATUS=accepting jobs");
  NotifyStopping("finishing");
  CHECK(manager.Next() == "STOPPING=1\nSTATUS=finishing");
  NotifyWatchdog();
  CHECK(manager.Next() == "WATCHDOG=1");
}

TEST_CASE("systemd: a reload carries the monotonic time") {
  FakeManager manager;
  NotifyReloading();
  const std::string message = manager.Next();
  const std::string begin = "RELOADING=1\nMONOTONIC_USEC=";
  REQUIRE(message.starts_with(begin));
  CHECK(std::stoll(message.substr(begin.size())) > 0);
}

TEST_CASE("systemd: a status cannot smuggle in another message") {
  FakeManager manager;
  NotifyStatus("one\nSTOPPING=1\r");
  CHECK(manager.Next() == "STATUS=one STOPPING=1 ");
}

TEST_CASE("systemd: without a service manager nothing happens") {
  ::unsetenv("NOTIFY_SOCKET");
  NotifyReady("accepting jobs");
  NotifyWatchdog();
}

TEST_CASE("systemd: the watchdog is to be served in half of its time") {
  ::unsetenv("WATCHDOG_USEC");
  CHECK_FALSE(WatchdogInterval());
  ::setenv("WATCHDOG_USEC", "60000000", 1);
  CHECK(WatchdogInterval() == Milliseconds(30'000));
  ::setenv("WATCHDOG_USEC", "1", 1);
  CHECK(WatchdogInterval() == Milliseconds(1));
  ::unsetenv("WATCHDOG_USEC");
}
