// daemon/delivery/socket_watch.h — an epoll set that remembers what the kernel was told: a connection that
// ends one transfer and begins the next costs no system call. Several libcurl multi handles share it; it
// knows whose each socket is. Belongs to one thread, but for Wake(). Ends the process when the kernel gives
// no descriptor to begin with.
#pragma once

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "daemon/base/require.h"

namespace outboxd {

class CurlMulti;

class SocketWatch {
 public:
  SocketWatch() : epoll_(epoll_create1(EPOLL_CLOEXEC)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    Require(epoll_ >= 0, "outboxd: epoll_create1");
    Require(wake_ >= 0, "outboxd: eventfd");
    epoll_event event{.events = EPOLLIN, .data = {.fd = wake_}};
    Require(epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) == 0, "outboxd: epoll_ctl");
  }
  ~SocketWatch() {
    close(wake_);
    close(epoll_);
  }
  SocketWatch(const SocketWatch&) = delete;
  SocketWatch& operator=(const SocketWatch&) = delete;

  // Any thread: makes the current or the next Wait() return.
  void Wake() const {
    const std::uint64_t one = 1;
    // Can fail only by EAGAIN on a full counter, and then the wake is pending anyway.
    [[maybe_unused]] const auto written = write(wake_, &one, sizeof one);
  }

  // Only a socket whose closing is reported may be told to the kernel late: of any other the number may stand
  // for a new socket by then.
  void Opened(int fd) { At(fd) = Socket{.closing_is_reported = true}; }
  void Closed(int fd) { At(fd) = Socket{}; }

  void Want(int fd, std::uint32_t events, CurlMulti* owner) {
    Socket& socket = At(fd);
    socket.wanted = events;
    socket.owner = owner;
    if (!socket.closing_is_reported) {
      Tell(fd, socket);
    } else if (socket.wanted != socket.told) {
      changed_.push_back(fd);
    }
  }

  std::span<const epoll_event> Wait(int timeout_ms) {
    TellChanges();
    const int count = epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), timeout_ms);
    return std::span<const epoll_event>(events_.data(), static_cast<std::size_t>(std::max(count, 0)));
  }

  // True when the event is one that somebody waits for. Takes wakes, and silences a connection that idles in
  // the cache.
  bool IsWanted(const epoll_event& event) {
    const int fd = event.data.fd;
    if (fd == wake_) {
      std::uint64_t count = 0;
      [[maybe_unused]] const auto taken = read(wake_, &count, sizeof count);
      return false;
    }
    Socket& socket = At(fd);
    if (socket.wanted == 0) Tell(fd, socket);
    return socket.wanted != 0;
  }

  // Who wanted something of a socket last; null when nobody did since it was opened.
  CurlMulti* OwnerOf(int fd) { return At(fd).owner; }

  // The open sockets of one owner whose closing is reported. Looks at all there are.
  std::vector<int> SocketsOf(const CurlMulti* owner) const {
    std::vector<int> found;
    for (std::size_t fd = 0; fd < sockets_.size(); ++fd) {
      if (sockets_[fd].owner == owner && sockets_[fd].closing_is_reported)
        found.push_back(static_cast<int>(fd));
    }
    return found;
  }

 private:
  struct Socket {
    CurlMulti* owner = nullptr;
    std::uint32_t wanted = 0;
    std::uint32_t told = 0;
    bool closing_is_reported = false;
  };

  Socket& At(int fd) {
    const auto index = static_cast<std::size_t>(fd);
    if (index >= sockets_.size()) sockets_.resize(index + 64);
    return sockets_[index];
  }

  void TellChanges() {
    for (const int fd : changed_) {
      Socket& socket = At(fd);
      // Readiness to read alone may stay: an idle connection says nothing, and the next transfer wants just
      // that.
      if (socket.wanted == 0 && socket.told == EPOLLIN) continue;
      if (socket.wanted != socket.told) Tell(fd, socket);
    }
    changed_.clear();
  }

  // A failure here means that the kernel is out of memory or watches; the transfer then ends by its timeout.
  // What the kernel does not watch is not taken back from it either: the number may be another thread's by
  // now.
  void Tell(int fd, Socket& socket) {
    if (socket.wanted == 0 && socket.told == 0) return;
    epoll_event event{.events = socket.wanted, .data = {.fd = fd}};
    const int operation = socket.wanted == 0 ? EPOLL_CTL_DEL
                          : socket.told == 0 ? EPOLL_CTL_ADD
                                             : EPOLL_CTL_MOD;
    if (epoll_ctl(epoll_, operation, fd, &event) != 0 && operation == EPOLL_CTL_ADD && errno == EEXIST) {
      epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
    }
    socket.told = socket.wanted;
  }

  const int epoll_;
  const int wake_;
  std::vector<Socket> sockets_;  // by descriptor
  std::vector<int> changed_;
  std::array<epoll_event, 256> events_{};
};

}  // namespace outboxd
