// core/last_second.h — how many there were within the last second, give or take a tenth of it. Pure: time is
// an argument; a clock that is set starts it anew.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ratio>

#include "core/time.h"

namespace outboxd {

class LastSecond {
 public:
  void Add(std::uint64_t count, Timestamp now) {
    Advance(now);
    counts_[PlaceOf(newest_)] += count;
    total_ += count;
  }
  std::uint64_t Count(Timestamp now) {
    Advance(now);
    return total_;
  }

 private:
  static constexpr std::int64_t kParts = 10;
  using Part = std::chrono::duration<std::int64_t, std::ratio<1, kParts>>;

  // Also of a time before 1970, where a broken clock may be.
  static std::size_t PlaceOf(std::int64_t part) {
    return static_cast<std::size_t>((part % kParts + kParts) % kParts);
  }
  void Advance(Timestamp now) {
    const std::int64_t part = std::chrono::floor<Part>(now.time_since_epoch()).count();
    if (part == newest_) return;
    if (part < newest_ || part >= newest_ + kParts) {
      counts_ = {};
      total_ = 0;
    } else {
      for (std::int64_t gone = newest_ + 1; gone <= part; ++gone) {
        total_ -= counts_[PlaceOf(gone)];
        counts_[PlaceOf(gone)] = 0;
      }
    }
    newest_ = part;
  }

  std::array<std::uint64_t, kParts> counts_{};
  std::uint64_t total_ = 0;
  std::int64_t newest_ = 0;
};

}  // namespace outboxd
