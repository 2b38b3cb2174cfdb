// storage/outbox_reader.h — reads waiting jobs back for the dispatcher, on a read-only connection of its own.
//
// Threads: belongs to one thread. Each call is one short read transaction; it sees every Write() that
// returned before the call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/gate.h"
#include "core/job.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "core/user_shares.h"
#include "storage/database.h"
#include "storage/filter.h"

namespace outboxd {

// A row read back. `unreadable` says why its line is not a job (a damaged row), `job` then has the columns
// only; or why the job must not be sent (WhyNeverSent() of core/acceptance.h). A lane key that is not an
// integer is none: the row is read like one that is not parked.
struct StoredJob {
  std::unique_ptr<QueuedJob> job;
  std::string unreadable;
  bool parked = false;
  std::vector<LaneKey> others;  // of ReadParked(): lanes that it keeps besides
  LaneList LanesWith(LaneKey lane) const;
};

class OutboxReader {
 public:
  static Result<OutboxReader> Open(const std::filesystem::path& file);

  // What the clocks say, before the calls of a round. From when the wall clock was set jobs count that were
  // accepted in an earlier boot, by a clock that was never set, while the outbox does not say so itself.
  void SeeClock(const ClockReading& clock);

  struct Page {
    std::vector<StoredJob> jobs;
    Sequence through{};   // every row up to here was looked at
    bool at_end = false;  // no row after `through` existed
  };
  // Jobs of `connection` after `after` that are neither deferred nor parked, oldest first: until `count_max`
  // jobs or `bytes_max` line bytes are collected or `examined_max` rows were looked at.
  Result<Page> ReadAfter(std::string_view connection, Sequence after, std::size_t count_max,
                         std::size_t bytes_max, std::size_t examined_max);
  // Users who have jobs in the outbox, of whatever connection.
  Result<std::vector<User>> ReadUsers();
  // nullopt when the job is no longer there.
  Result<std::optional<StoredJob>> ReadOne(Sequence sequence);
  struct Parked {
    std::vector<StoredJob> jobs;
    std::optional<Sequence> next;  // the first that is not among them
  };
  // Jobs of `connection` parked under `lane` from `from` on that are not deferred, oldest first: until
  // `count_max` jobs or `bytes_max` line bytes are collected, one at least.
  Result<Parked> ReadParked(std::string_view connection, LaneKey lane, Sequence from, std::size_t count_max,
                            std::size_t bytes_max);
  // Every deferred job of `connection` that is not stowed in turn, oldest first.
  Result<void> ReadDeferred(std::string_view connection, const std::function<void(StoredJob)>& each);

  struct ParkedLane {
    LaneKey lane{};
    Sequence first{};
  };
  // Where jobs of `connection` are parked, without lanes that a job before them keeps, which waits elsewhere,
  // and those in which all of them are deferred.
  Result<std::vector<ParkedLane>> ReadParkedLanes(std::string_view connection);
  // The first of `connection` behind `after` parked under `lane` that is not deferred.
  Result<std::optional<Sequence>> FirstParked(std::string_view connection, LaneKey lane, Sequence after);

  // A deferred job that waits on disk alone.
  struct Stowed {
    Timestamp due{};
    Sequence sequence{};
    friend auto operator<=>(const Stowed&, const Stowed&) = default;
  };
  // The next of `connection` behind `after`, by due.
  Result<std::optional<Stowed>> ReadNextStowed(std::string_view connection, Stowed after);
  // The latest of `connection` that are due after `due`.
  Result<std::vector<Sequence>> ReadStowedAfter(std::string_view connection, Timestamp due,
                                                std::size_t count_max);
  // Whether any keeps a lane and waits elsewhere: stowed, or parked under another one.
  Result<bool> HasKept(std::string_view connection);
  // The next of them behind `after` that keeps `lane`.
  Result<std::optional<Sequence>> FindKept(std::string_view connection, LaneKey lane, Sequence after);
  // Every lane that is kept, of whatever connection, and perhaps more.
  Result<void> ReadKept(const std::function<void(LaneKey)>& each);
  // Of a stowed one all, of a parked one the others.
  Result<std::vector<LaneKey>> ReadKeptLanes(Sequence sequence);
  Result<std::uint64_t> CountStowed(std::string_view connection);
  Result<std::uint64_t> CountParked(std::string_view connection);
  Result<std::map<std::string, GateSnapshot, std::less<>>> ReadGates();
  // Acceptance of the oldest waiting job of `connection` among the first 20,000 rows; nullopt when there is
  // none.
  Result<std::optional<Timestamp>> Oldest(std::string_view connection);
  Result<std::uint64_t> CountDead(const DeadFilter& filter);

 private:
  explicit OutboxReader(Database database) : database_(std::move(database)) {}
  Result<void> Prepare();
  StoredJob Decode(const Statement& row) const;

  Database database_;
  std::optional<Timestamp> set_;           // when the wall clock was first seen set
  std::optional<std::int64_t> this_boot_;  // its number; nullopt: no row is of it
  Statement after_, users_, one_, parked_, deferred_, next_parked_lane_, oldest_, next_stowed_, kept_in_,
      kept_lanes_, first_parked_;
};

}  // namespace outboxd
