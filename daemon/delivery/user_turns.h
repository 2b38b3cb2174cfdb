// daemon/delivery/user_turns.h — a queue in which users take turns, so that one who has many jobs in it does
// not hold up the others. A user is the uid of the producer; jobs without one are those of one user more.
// Belongs to the dispatcher.
#pragma once

#include <deque>
#include <map>
#include <optional>

#include "core/ulid.h"
#include "core/user_shares.h"

namespace outboxd {

class UserTurns {
 public:
  bool empty() const { return jobs_.empty(); }
  void Push(User user, Sequence sequence) { jobs_[user].push_back(sequence); }
  // The first job of the user whose turn it is; nullopt when there is none.
  std::optional<Sequence> Pop() {
    if (jobs_.empty()) return std::nullopt;
    auto next = last_ ? jobs_.upper_bound(*last_) : jobs_.begin();
    if (next == jobs_.end()) next = jobs_.begin();
    last_ = next->first;
    const Sequence sequence = next->second.front();
    next->second.pop_front();
    if (next->second.empty()) jobs_.erase(next);
    return sequence;
  }
  template <typename Predicate>
  void EraseIf(Predicate predicate) {
    for (auto& [user, jobs] : jobs_) std::erase_if(jobs, predicate);
    std::erase_if(jobs_, [](const auto& user) { return user.second.empty(); });
  }
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const auto& [user, jobs] : jobs_) {
      for (const Sequence sequence : jobs) visit(sequence);
    }
  }

 private:
  std::map<User, std::deque<Sequence>> jobs_;  // of no user there is an empty queue
  std::optional<User> last_;
};

}  // namespace outboxd
