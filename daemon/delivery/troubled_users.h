// daemon/delivery/troubled_users.h — users whose last request did not get through. While others have jobs
// that are ready, one in ten is a troubled user's, and a tenth of the requests under way. So a crowd of bad
// jobs neither closes the gate for everybody nor keeps it closed. In an outage all are in trouble, and equal.
//
// Pure; belongs to the dispatcher.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>

#include "core/user_shares.h"

namespace outboxd {

class TroubledUsers {
 public:
  bool empty() const { return users_.empty(); }
  bool Has(User user) const { return !empty() && users_.contains(user); }
  // Also while others have some that are ready. `limit` is the gate's.
  bool IsTheirTurn(std::uint32_t limit) const {
    return others_since_ >= kOthers && requests_out_ < std::max(limit / 10, 1U);
  }

  // A request of `user` leaves, which is to be told of when it comes back. Returns whether he is in trouble.
  bool OnSent(User user) {
    const bool is_troubled = Has(user);
    requests_out_ += is_troubled ? 1 : 0;
    others_since_ = is_troubled ? 0 : std::min(others_since_ + 1, kOthers);
    return is_troubled;
  }
  // It came back, and he was in trouble when it left.
  void OnReturned() { --requests_out_; }
  void OnWell(User user) {
    if (!empty()) users_.erase(user);
  }
  void OnFailed(User user) {
    if (users_.size() < kMost) users_.insert(user);
  }

 private:
  static constexpr std::uint32_t kOthers = 9;
  static constexpr std::size_t kMost = 65536;

  std::set<User> users_;
  std::uint32_t requests_out_ = 0;
  std::uint32_t others_since_ = kOthers;
};

}  // namespace outboxd
