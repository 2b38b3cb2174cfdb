// core/user_shares.h — a limit that users share, so that one of them never has all of it. The last tenth is
// kept for users who hold less than a tenth: a busy program has nearly everything, and nobody is shut out.
//
// A user is the uid of a producer's process; nullopt is everybody who comes by TCP, as one user.
// Belongs to one thread. The amounts are whatever the limit counts: connections, jobs, bytes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>

namespace outboxd {

using User = std::optional<std::uint32_t>;

class UserShares {
 public:
  // `per_user` is what one user may hold at most; 0: no bound of its own.
  explicit UserShares(std::uint64_t limit, std::uint64_t per_user = 0) : limit_(limit), per_user_(per_user) {}

  // After a change of the config. What is held stays held, also beyond the new limits.
  void SetLimits(std::uint64_t limit, std::uint64_t per_user) {
    limit_ = limit;
    per_user_ = per_user;
  }

  // Whether the user may hold so much more. An amount of 0 is always allowed.
  bool Allows(User user, std::uint64_t amount) const {
    if (amount == 0) return true;
    if (amount > limit_ || total_ > limit_ - amount) return false;
    const std::uint64_t held = HeldBy(user);
    if (per_user_ != 0 && (amount > per_user_ || held > per_user_ - amount)) return false;
    const std::uint64_t kept = std::max<std::uint64_t>(limit_ / 10, 1);
    return held + amount <= kept || total_ + amount <= limit_ - kept || limit_ < 10;
  }

  // Unconditional: what was allowed, or what was there already (rows read at the start).
  void Take(User user, std::uint64_t amount) {
    if (amount == 0) return;
    held_[user] += amount;
    total_ += amount;
  }
  void Give(User user, std::uint64_t amount) {
    if (amount == 0) return;
    const auto found = held_.find(user);
    if (found == held_.end()) return;
    const std::uint64_t given = std::min(amount, found->second);
    total_ -= given;
    found->second -= given;
    if (found->second == 0) held_.erase(found);
  }

  std::uint64_t HeldBy(User user) const {
    const auto found = held_.find(user);
    return found == held_.end() ? 0 : found->second;
  }
  std::uint64_t Total() const { return total_; }

 private:
  std::uint64_t limit_;
  std::uint64_t per_user_;
  std::uint64_t total_ = 0;
  std::map<User, std::uint64_t> held_;  // nobody is in it with 0
};

}  // namespace outboxd
