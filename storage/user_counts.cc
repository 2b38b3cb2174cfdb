#include "storage/user_counts.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/result.h"
#include "core/ulid.h"
#include "core/user_shares.h"
#include "storage/counters.h"
#include "storage/database.h"

namespace outboxd {
namespace {

constexpr std::int64_t kNoUid = -1;
constexpr std::int64_t kHeldMax = std::int64_t{1} << 48;  // a damaged row may say anything

std::int64_t ToSql(User user) {
  return user ? std::int64_t{*user} : kNoUid;
}

User UserOf(std::int64_t uid) {
  return uid < 0 ? User() : User(static_cast<std::uint32_t>(uid));
}

// Row by row, as the counters are.
Result<void> CountTable(Database& database, const std::string& table, std::uint64_t UserHolds::* rows_of,
                        std::uint64_t UserHolds::* bytes_of, UserCounts::Map& counted) {
  ASSIGN_OR_RETURN(Statement rows,
                   database.Prepare("SELECT ifnull(uid, -1), length(CAST(line AS BLOB)) FROM " + table));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    UserHolds& holds = counted[UserOf(rows.Int(0))];
    ++(holds.*rows_of);
    holds.*bytes_of += static_cast<std::uint64_t>(rows.Int(1));
  }
}

Result<UserCounts::Map> CountUsers(Database& database) {
  UserCounts::Map counted;
  RETURN_IF_ERROR(CountTable(database, "outbox", &UserHolds::jobs, &UserHolds::job_bytes, counted));
  RETURN_IF_ERROR(CountTable(database, "dead_letters", &UserHolds::dead, &UserHolds::dead_bytes, counted));
  return counted;
}

void Subtract(std::uint64_t& from, std::uint64_t amount) {
  from -= std::min(from, amount);
}

UserHolds Sum(const UserCounts::Map& holds) {
  UserHolds total;
  for (const auto& [user, of_it] : holds) {
    total.jobs += of_it.jobs;
    total.dead += of_it.dead;
  }
  return total;
}

constexpr std::string_view kStore =
    "INSERT OR REPLACE INTO counters (connection, jobs, dead, attempts, uid, held_jobs, job_bytes, "
    "held_dead, dead_bytes) VALUES (CAST(?1 AS BLOB), 0, 0, 0, ?1, ?2, ?3, ?4, ?5)";

}  // namespace

Result<UserCounts> UserCounts::Load(Database& database, const Counts& rows, std::optional<Sequence> through) {
  UserCounts users;
  ASSIGN_OR_RETURN(users.store_, database.Prepare(kStore));
  ASSIGN_OR_RETURN(const bool are_numbers, users.ReadStored(database));
  if (through) users.AddUncounted(database, *through);
  const UserHolds total = Sum(users.holds_);
  if (through && are_numbers && total.jobs == rows.jobs && total.dead == rows.dead) return users;
  // A page that cannot be read is no reason to refuse the whole file: they are believed then.
  if (Result<Map> counted = CountUsers(database)) {
    users.holds_ = std::move(*counted);
    users.unstored_.clear();
    users.is_new_ = true;
  }
  return users;
}

// Whether they are numbers.
Result<bool> UserCounts::ReadStored(Database& database) {
  bool are_numbers = true;
  ASSIGN_OR_RETURN(Statement stored,
                   database.Prepare("SELECT uid, held_jobs, job_bytes, held_dead, dead_bytes FROM counters "
                                    "WHERE uid IS NOT NULL"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, stored.Step());
    if (!row) return are_numbers;
    const auto number = [&](int column) {
      const std::int64_t held = stored.Int(column);
      are_numbers = are_numbers && stored.IsInteger(column) && held >= 0 && held < kHeldMax;
      return static_cast<std::uint64_t>(std::clamp<std::int64_t>(held, 0, kHeldMax));
    };
    holds_[UserOf(stored.Int(0))] = {number(1), number(2), number(3), number(4)};
  }
}

// Of the outbox's rows above `through`, which are few.
void UserCounts::AddUncounted(Database& database, Sequence through) {
  Result<Statement> rows =
      database.Prepare("SELECT ifnull(uid, -1), length(CAST(line AS BLOB)) FROM outbox WHERE seq > ?");
  if (!rows) return;
  rows->BindAll(static_cast<std::int64_t>(ToNumber(through)));
  for (;;) {
    const Result<bool> row = rows->Step();
    if (!row || !*row) break;
    AddJob(UserOf(rows->Int(0)), static_cast<std::uint64_t>(rows->Int(1)));
  }
  Keep();
}

// There are few users, and rows come in runs of one.
UserHolds& UserCounts::Touch(User user) {
  if (last_ != nullptr && changes_.back().first == user) return *last_;
  const auto found = holds_.find(user);
  const auto touched = std::find_if(changes_.begin(), changes_.end(),
                                    [&](const auto& change) { return change.first == user; });
  if (touched == changes_.end()) {
    changes_.emplace_back(user, found == holds_.end() ? std::nullopt : std::optional(found->second));
  } else {
    std::iter_swap(touched, std::prev(changes_.end()));
  }
  last_ = found == holds_.end() ? &holds_[user] : &found->second;
  return *last_;
}

void UserCounts::Keep() {
  if (is_stored_) {
    unstored_.clear();
    is_new_ = false;
  } else {
    for (const auto& [user, before] : changes_) {
      if (std::find(unstored_.begin(), unstored_.end(), user) == unstored_.end()) unstored_.push_back(user);
    }
  }
  EndChanges();
}

void UserCounts::EndChanges() {
  changes_.clear();
  is_stored_ = false;
  last_ = nullptr;
}

void UserCounts::AddJob(User user, std::uint64_t bytes) {
  UserHolds& holds = Touch(user);
  ++holds.jobs;
  holds.job_bytes += bytes;
}

void UserCounts::RemoveJobs(User user, std::uint64_t jobs, std::uint64_t bytes) {
  UserHolds& holds = Touch(user);
  Subtract(holds.jobs, jobs);
  Subtract(holds.job_bytes, bytes);
}

void UserCounts::AddDead(User user, std::uint64_t bytes) {
  UserHolds& holds = Touch(user);
  ++holds.dead;
  holds.dead_bytes += bytes;
}

void UserCounts::RemoveDead(User user, std::uint64_t bytes) {
  UserHolds& holds = Touch(user);
  Subtract(holds.dead, 1);
  Subtract(holds.dead_bytes, bytes);
}

Result<void> UserCounts::Store(Database& database) {
  is_stored_ = true;
  if (is_new_) {
    RETURN_IF_ERROR(database.Execute("DELETE FROM counters WHERE uid IS NOT NULL"));
    for (const auto& [user, holds] : holds_) {
      RETURN_IF_ERROR(StoreOne(user, holds));
    }
    return {};
  }
  for (const auto& [user, before] : changes_) {
    RETURN_IF_ERROR(StoreOne(user, holds_[user]));
  }
  for (const User user : unstored_) {
    const bool is_stored = std::any_of(changes_.begin(), changes_.end(),
                                       [&](const auto& change) { return change.first == user; });
    if (!is_stored) RETURN_IF_ERROR(StoreOne(user, holds_[user]));
  }
  return {};
}

Result<void> UserCounts::StoreOne(User user, const UserHolds& holds) {
  return store_.Run(ToSql(user), static_cast<std::int64_t>(holds.jobs),
                    static_cast<std::int64_t>(holds.job_bytes), static_cast<std::int64_t>(holds.dead),
                    static_cast<std::int64_t>(holds.dead_bytes));
}

void UserCounts::Undo() {
  for (const auto& [user, before] : changes_) {
    if (before) {
      holds_[user] = *before;
    } else {
      holds_.erase(user);
    }
  }
  EndChanges();
}

}  // namespace outboxd
