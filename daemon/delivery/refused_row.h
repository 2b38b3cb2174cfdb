// daemon/delivery/refused_row.h — jobs of different lanes refused alike in a row, none delivered between: so
// many cannot all be to blame. Belongs to the dispatcher.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "core/job.h"
#include "core/ulid.h"

namespace outboxd {

class RefusedRow {
 public:
  static constexpr std::size_t kLong = 10;

  // True when the row is long enough: the connection is to blame. A job about no customer is a lane of its
  // own.
  bool Add(Suspicion suspicion, Sequence sequence, const LaneList& lanes) {
    if (suspicion != suspicion_) jobs_.clear();
    suspicion_ = suspicion;
    const bool is_known = std::any_of(jobs_.begin(), jobs_.end(), [&](const Job& job) {
      return job.sequence == sequence || (!lanes.empty() && job.lanes == std::span<const LaneKey>(lanes));
    });
    if (!is_known && jobs_.size() < kLong) jobs_.push_back({sequence, lanes});
    return IsLong();
  }
  void Clear() { jobs_.clear(); }
  bool IsLong() const { return jobs_.size() == kLong; }
  Suspicion suspicion() const { return suspicion_; }

  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const Job& job : jobs_) visit(job.sequence);
  }

 private:
  struct Job {
    Sequence sequence{};
    LaneList lanes;
  };
  Suspicion suspicion_ = Suspicion::kNone;
  std::vector<Job> jobs_;
};

}  // namespace outboxd
