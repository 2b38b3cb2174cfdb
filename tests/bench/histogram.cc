#include "tests/bench/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace outboxd::bench {
namespace {

std::size_t BucketOf(std::uint64_t value, unsigned step_bits) {
  if (value < (std::uint64_t{1} << step_bits)) return value;
  const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - step_bits;
  return (std::size_t{shift + 1} << step_bits) + ((value >> shift) & ((std::uint64_t{1} << step_bits) - 1));
}

// The largest value of a bucket.
std::uint64_t TopOf(std::size_t bucket, unsigned step_bits) {
  const std::uint64_t steps = std::uint64_t{1} << step_bits;
  if (bucket < steps) return bucket;
  const std::size_t shift = (bucket >> step_bits) - 1;
  return ((steps + (bucket & (steps - 1)) + 1) << shift) - 1;
}

}  // namespace

void Histogram::Add(std::int64_t nanoseconds, std::uint64_t count) {
  const std::int64_t value = std::max<std::int64_t>(nanoseconds, 0);
  buckets_[BucketOf(static_cast<std::uint64_t>(value), kStepBits)] += count;
  total_ += count;
  longest_ = std::max(longest_, value);
}

std::int64_t Histogram::Percentile(double share) const {
  if (total_ == 0) return 0;
  const auto wanted =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total_))));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    seen += buckets_[bucket];
    if (seen >= wanted) return std::min(static_cast<std::int64_t>(TopOf(bucket, kStepBits)), longest_);
  }
  return longest_;
}

}  // namespace outboxd::bench
