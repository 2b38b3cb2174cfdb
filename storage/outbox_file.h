// storage/outbox_file.h — the opened file of an outbox: its lock, the one connection that writes, its
// transactions and its counters. What writes to it (Outbox, OperatorWork, Maintenance) shares one.
//
// Threads: belongs to one thread. Errors: those of storage/database.h.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/clock.h"
#include "core/result.h"
#include "core/time.h"
#include "storage/boots.h"
#include "storage/counters.h"
#include "storage/database.h"
#include "storage/file_lock.h"
#include "storage/upgrade.h"
#include "storage/user_counts.h"

namespace outboxd {

class OutboxFile {
 public:
  // Creates the file, or migrates its schema; takes the lock that keeps other processes out.
  // Leaves `stamp` in it (storage/start_stamp.h). `before` may be empty.
  static Result<std::unique_ptr<OutboxFile>> Open(const std::filesystem::path& file, const std::string& stamp,
                                                  const BeforeUpgrade& before);
  OutboxFile(const OutboxFile&) = delete;
  OutboxFile& operator=(const OutboxFile&) = delete;
  // Stores the counters that were left to a later transaction.
  ~OutboxFile();

  // All that `work` writes, and the counters it changed, or nothing.
  template <typename Work>
  Result<void> Transaction(const Work& work) {
    return Transaction(Storing::kNow, work);
  }
  // kLater: it does nothing but accept jobs, so that the counters may be left to a later transaction.
  enum class Storing { kNow, kLater };
  template <typename Work>
  Result<void> Transaction(Storing storing, const Work& work) {
    RETURN_IF_ERROR(begin_.Run());
    Result<void> done = KeepBoot();
    if (done) done = work();
    if (done) done = Commit(storing);
    if (!done) Rollback();
    return done;
  }

  // What is accepted and redriven from now on is stamped by these clocks; their text outlives this object, or
  // the next call. Writes where the boot is a new one or its clock was set, and returns by how much times
  // move then. What it could not write goes into the next transaction.
  Result<std::optional<Milliseconds>> SeeClock(const ClockReading& clock);
  // Now, for a row.
  const BootMoment& moment() const { return moment_; }

  // Why a small file keeps the pages of an earlier version (storage/open.h).
  const std::optional<Error>& pages_kept() const { return pages_kept_; }

  Database& database() { return database_; }
  Counters& counters() { return counters_; }
  const Counters& counters() const { return counters_; }
  UserCounts& users() { return users_; }
  const UserCounts& users() const { return users_; }

  // Rows were erased since the start: a request of theirs may still be out.
  bool HasErased() const { return has_erased_; }
  void NoteErasing() { has_erased_ = true; }

  // After an erasure until the WAL, which may hold what was erased, was truncated.
  bool MustTruncateWal() const { return must_truncate_wal_; }
  void NoteErasedInWal() { must_truncate_wal_ = true; }
  // Checkpoints the WAL and truncates it, without waiting for those who read it: then false, and it stays.
  Result<bool> TruncateWal();

 private:
  OutboxFile(FileLock lock, Database database) : lock_(std::move(lock)), database_(std::move(database)) {}
  Result<void> Prepare();
  Result<void> KeepBoot();
  Result<void> Commit(Storing storing);
  void Rollback();

  FileLock lock_;
  Database database_;
  Counters counters_;
  UserCounts users_;
  ClockReading clock_;
  Boots boots_;
  std::optional<Boots> new_boots_;  // in the transaction that writes them
  BootMoment moment_;
  std::optional<Error> pages_kept_;
  bool has_erased_ = false;
  bool must_truncate_wal_ = false;
  Statement begin_, commit_, rollback_;
};

}  // namespace outboxd
