#include "tests/bench/sockets.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace outboxd::bench {
namespace {

std::int64_t ReadClockNs(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

sockaddr_un UnixAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    throw std::runtime_error(path + ": too long for a Unix socket");
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

template <typename Address>
const sockaddr* Generic(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace

void FailSystem(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

Descriptor::~Descriptor() {
  if (number_ >= 0) close(number_);
}

Descriptor ConnectUnix(const std::string& path) {
  // Connects while blocking, so that a full backlog is waited for.
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = UnixAddress(path);
  if (socket.number() < 0 || connect(socket.number(), Generic(address), sizeof address) != 0)
    FailSystem(path);
  if (fcntl(socket.number(), F_SETFL, O_NONBLOCK) != 0) FailSystem(path);
  return socket;
}

Descriptor ListenUnix(const std::string& path) {
  unlink(path.c_str());
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const sockaddr_un address = UnixAddress(path);
  if (socket.number() < 0 || bind(socket.number(), Generic(address), sizeof address) != 0) FailSystem(path);
  if (listen(socket.number(), SOMAXCONN) != 0) FailSystem(path);
  return socket;
}

Descriptor ListenLoopback(std::uint16_t port) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(socket.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket.number() < 0 || bind(socket.number(), Generic(address), sizeof address) != 0) FailSystem("bind");
  if (listen(socket.number(), SOMAXCONN) != 0) FailSystem("listen");
  return socket;
}

Descriptor AcceptFrom(const Descriptor& listener) {
  Descriptor client(accept4(listener.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (client.number() < 0) return client;
  const int on = 1;
  setsockopt(client.number(), IPPROTO_TCP, TCP_NODELAY, &on,
             sizeof on);  // fails on a Unix socket, which needs none
  return client;
}

std::uint16_t PortOf(const Descriptor& listener) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (getsockname(listener.number(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    FailSystem("getsockname");
  return ntohs(address.sin_port);
}

Descriptor MakeEpoll() {
  Descriptor epoll(epoll_create1(EPOLL_CLOEXEC));
  if (epoll.number() < 0) FailSystem("epoll_create1");
  return epoll;
}

void Watch(const Descriptor& epoll, int descriptor, std::uint32_t events, std::uint64_t tag) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  if (epoll_ctl(epoll.number(), EPOLL_CTL_ADD, descriptor, &event) != 0) FailSystem("epoll_ctl");
}

bool SendSome(int descriptor, std::string& out) {
  std::size_t sent = 0;
  bool is_open = true;
  while (sent < out.size()) {
    const ssize_t count = send(descriptor, out.data() + sent, out.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0) {
      is_open = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
      break;
    }
    sent += static_cast<std::size_t>(count);
  }
  out.erase(0, sent);
  return is_open;
}

std::int64_t MonotonicNs() {
  return ReadClockNs(CLOCK_MONOTONIC);
}

double ProcessCpuSeconds() {
  return static_cast<double>(ReadClockNs(CLOCK_PROCESS_CPUTIME_ID)) / 1e9;
}

std::uint64_t PeakMemoryBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

std::uint64_t ContextSwitches() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_nvcsw + usage.ru_nivcsw);
}

Written WrittenBytes() {
  std::ifstream counts("/proc/self/io");
  Written written;
  std::string name;
  std::uint64_t value = 0;
  while (counts >> name >> value) {
    if (name == "wchar:") written.handed_bytes = value;
    if (name == "write_bytes:") written.counted_bytes = value;
  }
  return written;
}

}  // namespace outboxd::bench
