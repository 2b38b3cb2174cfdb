// daemon/delivery/lane_set.h — lanes that something holds of, a million of them in a megabyte: a bit for
// each, which others may share. So it may name a lane that was never added, and never misses one that was.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/job.h"

namespace outboxd {

class LaneSet {
 public:
  void Add(std::span<const LaneKey> lanes) {
    if (bits_.empty() && !lanes.empty()) bits_.resize(std::size_t{1} << kBits);
    for (const LaneKey lane : lanes) bits_[BitOf(lane)] = true;
  }
  bool MayHaveAny(std::span<const LaneKey> lanes) const {
    const auto may_have = [&](LaneKey lane) { return bits_[BitOf(lane)]; };
    return !bits_.empty() && std::any_of(lanes.begin(), lanes.end(), may_have);
  }
  // Lanes that shared a bit do not from now on.
  void Clear() {
    bits_ = {};
    ++salt_;
  }

 private:
  static constexpr int kBits = 23;

  std::size_t BitOf(LaneKey lane) const {
    return static_cast<std::size_t>((static_cast<std::uint64_t>(lane) * (2 * salt_ + 1)) >> (64 - kBits));
  }

  std::uint64_t salt_ = 0;
  std::vector<bool> bits_;  // none while nothing was added
};

}  // namespace outboxd
