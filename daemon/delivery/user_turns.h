// daemon/delivery/user_turns.h — a queue in which users take turns, so that one who has many jobs in it does
// not hold up the others. A user is the uid of the producer; jobs without one are those of one user more.
// Belongs to the dispatcher.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include "core/ulid.h"
#include "core/user_shares.h"

namespace outboxd {

class UserTurns {
 public:
  enum class End : std::uint8_t { kOldest, kNewest };  // of a user's jobs

  bool empty() const { return size_ == 0; }
  void PushBack(User user, Sequence sequence) {
    jobs_[user].push_back(sequence);
    ++size_;
  }
  void PushFront(User user, Sequence sequence) {
    jobs_[user].push_front(sequence);
    ++size_;
  }
  // A job of the user whose turn it is among those of whom `may_go` is true; nullopt when there is none.
  template <typename Predicate>
  std::optional<Sequence> Pop(End end, Predicate may_go) {
    if (empty()) return std::nullopt;
    auto next = last_ ? jobs_.upper_bound(*last_) : jobs_.begin();
    for (std::size_t passed = 0; passed < jobs_.size(); ++passed, ++next) {
      if (next == jobs_.end()) next = jobs_.begin();
      if (next->second.empty() || !may_go(next->first)) continue;
      last_ = next->first;
      return Take(next->second, end);
    }
    return std::nullopt;
  }
  std::optional<Sequence> Pop() {
    return Pop(End::kOldest, [](User) { return true; });
  }
  // Users without jobs are forgotten as well.
  template <typename Predicate>
  void EraseIf(Predicate predicate) {
    for (auto& [user, jobs] : jobs_) size_ -= std::erase_if(jobs, predicate);
    std::erase_if(jobs_, [](const auto& user) { return user.second.empty(); });
  }
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const auto& [user, jobs] : jobs_) {
      for (const Sequence sequence : jobs) visit(sequence);
    }
  }

 private:
  using Jobs = std::deque<Sequence>;

  Sequence Take(Jobs& jobs, End end) {
    const Sequence sequence = end == End::kOldest ? jobs.front() : jobs.back();
    end == End::kOldest ? jobs.pop_front() : jobs.pop_back();
    --size_;
    return sequence;
  }

  std::map<User, Jobs> jobs_;
  std::size_t size_ = 0;
  std::optional<User> last_;
};

}  // namespace outboxd
