// tests/support/fake_manager.h — a service manager that listens to what a daemon tells it.
#pragma once

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>

namespace outboxd::test {

// An abstract datagram socket, named by $NOTIFY_SOCKET of this process and those it starts.
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
  // The next one; empty when none comes within ten seconds.
  std::string Await() {
    pollfd ready{descriptor_, POLLIN, 0};
    return ::poll(&ready, 1, 10'000) == 1 ? Next() : std::string();
  }
  // False when no message with `part` in it comes within ten seconds.
  bool Hears(std::string_view part) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < deadline) {
      const std::string message = Await();
      if (message.empty()) return false;
      if (message.find(part) != std::string::npos) return true;
    }
    return false;
  }

 private:
  int descriptor_;
};

}  // namespace outboxd::test
