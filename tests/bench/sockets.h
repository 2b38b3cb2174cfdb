// tests/bench/sockets.h — the few socket calls that the benchmark's programs share. Errors are thrown: a
// benchmark that cannot go on ends.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace outboxd::bench {

// Throws std::system_error with errno.
[[noreturn]] void FailSystem(const std::string& what);

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor();

  int number() const { return number_; }

 private:
  int number_;
};

// All non-blocking.
Descriptor ConnectUnix(const std::string& path);
Descriptor ListenUnix(const std::string& path);     // a stale file is replaced
Descriptor ListenLoopback(std::uint16_t port);      // 0 takes a free one
Descriptor AcceptFrom(const Descriptor& listener);  // -1 when nobody waits
std::uint16_t PortOf(const Descriptor& listener);
Descriptor MakeEpoll();
void Watch(const Descriptor& epoll, int descriptor, std::uint32_t events, std::uint64_t tag);

// Sends what the socket takes now and removes it from the front of `out`. False when the other end is gone.
bool SendSome(int descriptor, std::string& out);

std::int64_t MonotonicNs();
double ProcessCpuSeconds();
std::uint64_t PeakMemoryBytes();
std::uint64_t ContextSwitches();  // of this process, voluntary or not
struct Written {
  std::uint64_t handed_bytes = 0;  // to the kernel, by write calls
  std::uint64_t counted_bytes =
      0;  // by the kernel, as written to disk: whole folios; 0 where files are in memory
};
Written WrittenBytes();  // by this process

}  // namespace outboxd::bench
