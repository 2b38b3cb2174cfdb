// tests/daemon/base/http_peer.h — a client of an HTTP server under test that says what it is told, byte for
// byte.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace outboxd::testing {

struct Listening {
  int descriptor = -1;
  std::uint16_t port = 0;
};

inline Listening ListenOnLoopback() {
  Listening listening;
  listening.descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  REQUIRE(bind(listening.descriptor, generic, length) == 0);
  REQUIRE(listen(listening.descriptor, 16) == 0);
  REQUIRE(getsockname(listening.descriptor, generic, &length) == 0);
  listening.port = ntohs(address.sin_port);
  return listening;
}

// A client that says what it is told, byte for byte.
class Client {
 public:
  explicit Client(std::uint16_t port) : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    connected_ = connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  explicit Client(const std::filesystem::path& path)
      : descriptor_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    connected_ = connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { close(descriptor_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool IsConnected() const { return connected_; }
  // What Listen() and ListenToHead() wait at most for anything to come.
  static constexpr int kPatienceMs = 10'000;
  // False when the server has hung up meanwhile.
  bool Say(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // The server has closed, and nothing is left to read. Does not wait.
  bool HasEnded() const {
    char byte = 0;
    const ssize_t received = recv(descriptor_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return received == 0 || (received < 0 && errno != EAGAIN && errno != EINTR);
  }
  // Something has come. Does not wait.
  bool HasAnswer() const {
    char byte = 0;
    return recv(descriptor_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  }
  // Tells the server that nothing more will come.
  void SayNoMore() { shutdown(descriptor_, SHUT_WR); }
  // One answer without a body; empty when the server has hung up, or nothing has come for 10 s.
  std::string ListenToHead() {
    std::string heard;
    std::array<char, 4096> buffer{};
    pollfd ready{descriptor_, POLLIN, 0};
    while (!heard.ends_with("\r\n\r\n")) {
      if (poll(&ready, 1, kPatienceMs) != 1) return {};
      const ssize_t received = recv(descriptor_, buffer.data(), buffer.size(), 0);
      if (received <= 0) return {};
      heard.append(buffer.data(), static_cast<std::size_t>(received));
    }
    return heard;
  }
  // Everything until the server closes the connection, or nothing has come for 10 s.
  std::string Listen() {
    std::string heard;
    std::array<char, 4096> buffer{};
    pollfd ready{descriptor_, POLLIN, 0};
    while (poll(&ready, 1, kPatienceMs) == 1) {
      const ssize_t received = recv(descriptor_, buffer.data(), buffer.size(), 0);
      if (received <= 0) break;
      heard.append(buffer.data(), static_cast<std::size_t>(received));
    }
    return heard;
  }

 private:
  int descriptor_;
  bool connected_ = false;
};

inline bool StartsWith(const std::string& text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

inline std::string BodyOf(const std::string& answer) {
  return answer.substr(answer.find("\r\n\r\n") + 4);
}

inline std::string Ask(std::uint16_t port, std::string_view request) {
  Client client(port);
  REQUIRE(client.IsConnected());
  client.Say(request);
  return client.Listen();
}

// A request to /PATH with so many bytes to come; all of them but one.
inline std::string Unfinished(std::string_view path, std::size_t bytes) {
  return "POST /" + std::string(path) + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(bytes) +
         "\r\n\r\n" + std::string(bytes - 1, 'x');
}

inline constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

}  // namespace outboxd::testing
