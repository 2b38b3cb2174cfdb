// daemon/base/log_limit.h — when to write a line about what may happen thousands of times a second: the first
// time at once, then once a minute with how many there were.
//
// Belongs to one thread, or to its owner's lock.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace outboxd {

class LogLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::minutes kInterval{1};

  // It happened. How often since the last line; nullopt: no line is due.
  std::optional<std::uint64_t> Happened(Time now) {
    ++untold_;
    return Due(now);
  }
  // The same without a new one, so that the end of a series is told too. To be asked about once a second.
  std::optional<std::uint64_t> Due(Time now) {
    if (untold_ == 0 || (told_ && now < *told_ + kInterval)) return std::nullopt;
    told_ = now;
    return std::exchange(untold_, 0);
  }

 private:
  std::uint64_t untold_ = 0;
  std::optional<Time> told_;
};

}  // namespace outboxd
