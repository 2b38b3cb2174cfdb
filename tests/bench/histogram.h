// tests/bench/histogram.h — durations counted in buckets about 3 % wide: exact enough for percentiles,
// bounded whatever is counted.
#pragma once

#include <array>
#include <cstdint>

namespace outboxd::bench {

class Histogram {
 public:
  void Add(std::int64_t nanoseconds, std::uint64_t count = 1);
  // The duration that `share` (0 to 1) of all did not exceed, in nanoseconds, rounded up by at most one
  // bucket; 0 when nothing was counted.
  std::int64_t Percentile(double share) const;
  std::int64_t Longest() const { return longest_; }

 private:
  static constexpr unsigned kStepBits = 5;  // 32 buckets for each power of two
  std::array<std::uint64_t, 64 << kStepBits> buckets_{};
  std::uint64_t total_ = 0;
  std::int64_t longest_ = 0;
};

}  // namespace outboxd::bench
