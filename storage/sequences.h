// storage/sequences.h — the numbers of jobs: rising, never used twice, even after the outbox ran empty.
//
// They are reserved 100,000 at a time, in the transaction that first needs them. A start continues at the
// reserved one.
//
// Threads: belongs to one thread.
#pragma once

#include <cstdint>

#include "core/result.h"
#include "core/ulid.h"
#include "storage/database.h"

namespace outboxd {

class Sequences {
 public:
  // Every number is below: an id has room for 40 bits. A damaged row may hold any.
  static constexpr std::uint64_t kEnd = (std::uint64_t{1} << 40) - 1;

  // kInternal when a number could be used twice.
  static Result<Sequences> Load(Database& database);

  // Within a transaction. kInternal when the outbox has none left.
  Result<void> Reserve(std::uint64_t count);
  // One of those reserved.
  Sequence Take();
  // Writes, whatever was reserved already: another number than before, for SQLite does not write what stays
  // the same.
  Result<void> ReserveOne();

  Sequence Last() const { return Sequence{next_ - 1}; }

  // Where a transaction began, to go back to when it fails.
  struct Position {
    std::uint64_t next = 1, reserved = 1;
  };
  Position Now() const { return {next_, reserved_}; }
  void GoBack(Position position);

  // Aborts when broken.
  void CheckInvariants() const;

 private:
  Result<void> StoreReserved(std::uint64_t reserved);

  std::uint64_t next_ = 1;
  std::uint64_t reserved_ = 1;  // in the file
  Statement store_;
};

}  // namespace outboxd
