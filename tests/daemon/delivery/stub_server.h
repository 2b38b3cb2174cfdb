// tests/daemon/delivery/stub_server.h — a tiny HTTP/1.1 server on the loopback: each request goes to a
// handler that writes any bytes it likes, so that every way in which an answer can go wrong can be shown.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace outboxd::testing {

struct SeenRequest {
  std::string head;  // request line and headers, with their CRLFs
  std::string body;
  std::string Line() const { return head.substr(0, head.find("\r\n")); }
  bool HasHeader(const std::string& line) const {
    return head.find("\r\n" + line + "\r\n") != std::string::npos;
  }
};

// One connection as the handler sees it.
class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {}
  void Write(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void Answer(int status, std::string_view body = "{}\n", std::string_view headers = {}) const {
    Write("HTTP/1.1 " + std::to_string(status) + " Whatever\r\n" + std::string(headers) +
          "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
  }
  // The next close sends RST.
  void ResetOnClose() const {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  // Returns when the other side has closed or the server stops.
  void AwaitClose() const {
    char byte = 0;
    while (recv(fd_, &byte, 1, 0) > 0) {
    }
  }

 private:
  const int fd_;
};

enum class Then { kKeep, kClose };

class StubServer {
 public:
  // `handler` runs on the connection's own thread and says whether the connection lives on.
  using Handler = std::function<Then(const SeenRequest&, const Peer&)>;

  // `greeting` is sent before any request is read.
  explicit StubServer(Handler handler, std::string greeting = {})
      : handler_(std::move(handler)), greeting_(std::move(greeting)), listener_(Listen()) {
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~StubServer() {
    stopping_ = true;
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : open_) shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    close(listener_);
  }
  StubServer(const StubServer&) = delete;
  StubServer& operator=(const StubServer&) = delete;

  std::string Url() const { return "http://127.0.0.1:" + std::to_string(Port()); }
  std::uint16_t Port() const {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    return ntohs(address.sin_port);
  }
  std::vector<SeenRequest> Requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  std::size_t Connections() const { return connections_; }
  // Returns when the server has closed `count` connections.
  void AwaitClosed(std::size_t count) const {
    for (std::size_t closed = closed_; closed < count; closed = closed_) closed_.wait(closed);
  }

  // A loopback port on which nobody listens.
  static std::uint16_t RefusedPort() {
    StubServer server([](const SeenRequest&, const Peer&) { return Then::kClose; });
    return server.Port();
  }

 private:
  static int Listen() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(fd, 1024) != 0)
      std::abort();
    return fd;
  }

  void Accept() {
    while (!stopping_) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      ++connections_;
      {
        const std::lock_guard lock(mutex_);
        open_.push_back(fd);
      }
      threads_.emplace_back([this, fd] { Serve(fd); });
    }
  }

  void Serve(int fd) {
    const Peer peer(fd);
    peer.Write(greeting_);
    std::string buffer;
    while (const std::optional<SeenRequest> request = Read(fd, buffer)) {
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(*request);
      }
      if (handler_(*request, peer) == Then::kClose) break;
    }
    const std::lock_guard lock(mutex_);
    open_.remove(fd);
    close(fd);
    ++closed_;
    closed_.notify_all();
  }

  static std::optional<SeenRequest> Read(int fd, std::string& buffer) {
    for (;;) {
      const std::size_t end = buffer.find("\r\n\r\n");
      if (end != std::string::npos) {
        SeenRequest request{.head = buffer.substr(0, end + 2), .body = {}};
        const std::size_t at = request.head.find("\r\nContent-Length: ");
        const std::size_t length =
            at == std::string::npos ? 0 : std::strtoul(request.head.c_str() + at + 18, nullptr, 10);
        if (buffer.size() >= end + 4 + length) {
          request.body = buffer.substr(end + 4, length);
          buffer.erase(0, end + 4 + length);
          return request;
        }
      }
      char bytes[16384];
      const ssize_t count = recv(fd, bytes, sizeof bytes, 0);
      if (count <= 0) return std::nullopt;
      buffer.append(bytes, static_cast<std::size_t>(count));
    }
  }

  const Handler handler_;
  const std::string greeting_;
  const int listener_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::size_t> connections_ = 0;
  std::atomic<std::size_t> closed_ = 0;
  mutable std::mutex mutex_;
  std::vector<SeenRequest> requests_;
  std::list<int> open_;
  std::list<std::thread> threads_;  // the acceptor's own until it is joined
  std::thread acceptor_;
};

}  // namespace outboxd::testing
