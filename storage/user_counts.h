// storage/user_counts.h — what each user holds in the outbox, stored together with the counters of the
// connections (storage/counters.h), which say which rows they include.
//
// Together they are as many rows as the counters of the connections say; where the file says otherwise, or no
// numbers, they are counted anew from the rows, which reads all of them. Of several jobs settled at a stroke
// some may be gone: which of their users had those is then not exact.
//
// Threads: belongs to one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/ulid.h"
#include "core/user_shares.h"
#include "storage/counters.h"
#include "storage/database.h"

namespace outboxd {

struct UserHolds {
  std::uint64_t jobs = 0, job_bytes = 0;   // waiting; of their lines
  std::uint64_t dead = 0, dead_bytes = 0;  // dead letters
  friend bool operator==(const UserHolds&, const UserHolds&) = default;
};

class UserCounts {
 public:
  using Map = std::map<User, UserHolds>;

  // Reads them, without writing. `rows` is what they have to come to, once what stands above `through` is
  // added; nullopt: they are counted anew.
  static Result<UserCounts> Load(Database& database, const Counts& rows, std::optional<Sequence> through);

  // Within a transaction, which ends as for the Counters.
  void AddJob(User user, std::uint64_t bytes);
  void RemoveJobs(User user, std::uint64_t jobs, std::uint64_t bytes);
  void AddDead(User user, std::uint64_t bytes);
  void RemoveDead(User user, std::uint64_t bytes);
  bool MayWait() const { return !is_new_; }
  Result<void> Store(Database& database);
  void Keep();
  void Undo();

  const Map& ByUser() const { return holds_; }

 private:
  Result<bool> ReadStored(Database& database);
  void AddUncounted(Database& database, Sequence through);
  UserHolds& Touch(User user);
  void EndChanges();
  Result<void> StoreOne(User user, const UserHolds& holds);

  Map holds_;
  std::vector<std::pair<User, std::optional<UserHolds>>> changes_;  // what was before; nullopt: no entry
  std::vector<User> unstored_;  // changed in transactions that were committed without Store()
  bool is_stored_ = false;      // in this transaction
  UserHolds* last_ = nullptr;   // of the user who is last in changes_
  bool is_new_ = false;         // counted anew, and the file does not have it yet
  Statement store_;
};

}  // namespace outboxd
