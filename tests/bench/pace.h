// tests/bench/pace.h — when each event of an even stream is due, and how long to wait for it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <ctime>

namespace outboxd::bench {

inline constexpr std::int64_t kNsASecond = 1'000'000'000;

class Pace {
 public:
  // `rate`: events a second, more than 0.
  Pace(double rate, std::int64_t start_ns) : rate_(rate), start_ns_(start_ns) {}
  // Counted from the start each time, so that no error adds up.
  std::int64_t DueNs(std::uint64_t number) const {
    return start_ns_ + static_cast<std::int64_t>(static_cast<double>(number) / rate_ * 1e9);
  }

 private:
  double rate_;
  std::int64_t start_ns_;
};

// What epoll_pwait2() takes; no wait where the time has come.
inline timespec WaitUntil(std::int64_t due_ns, std::int64_t now_ns) {
  const std::int64_t left_ns = std::max<std::int64_t>(0, due_ns - now_ns);
  timespec wait{};
  wait.tv_sec = left_ns / kNsASecond;
  wait.tv_nsec = left_ns % kNsASecond;
  return wait;
}

}  // namespace outboxd::bench
