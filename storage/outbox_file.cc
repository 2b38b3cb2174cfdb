#include "storage/outbox_file.h"

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
#include "storage/open.h"
#include "storage/start_stamp.h"
#include "storage/upgrade.h"
#include "storage/user_counts.h"

namespace outboxd {

Result<std::unique_ptr<OutboxFile>> OutboxFile::Open(const std::filesystem::path& file,
                                                     const std::string& stamp, const BeforeUpgrade& before) {
  RETURN_IF_ERROR(CheckIsFile(file));
  ASSIGN_OR_RETURN(FileLock lock, FileLock::Take(file));
  RETURN_IF_ERROR(CheckWalBelongs(file, lock));
  ASSIGN_OR_RETURN(OpenedForWriting writing, OpenForWriting(file, before));
  WriteStartStamp(writing.database, lock, stamp);
  std::unique_ptr<OutboxFile> opened(new OutboxFile(std::move(lock), std::move(writing.database)));
  opened->pages_kept_ = std::move(writing.pages_kept);
  if (Result<void> ready = opened->Prepare(); !ready)
    return Failure(AsDamage(file, std::move(ready).error()));
  return opened;
}

Result<void> OutboxFile::Prepare() {
  ASSIGN_OR_RETURN(begin_, database_.Prepare("BEGIN IMMEDIATE"));
  ASSIGN_OR_RETURN(commit_, database_.Prepare("COMMIT"));
  ASSIGN_OR_RETURN(rollback_, database_.Prepare("ROLLBACK"));
  ASSIGN_OR_RETURN(counters_, Counters::Load(database_));
  ASSIGN_OR_RETURN(users_, UserCounts::Load(database_, counters_.Total(), counters_.LoadedThrough()));
  ASSIGN_OR_RETURN(boots_, Boots::Load(database_));
  return {};
}

Result<std::optional<Milliseconds>> OutboxFile::SeeClock(const ClockReading& clock) {
  clock_ = clock;
  moment_ = boots_.Moment(clock);
  if (!boots_.IsNews(clock)) return std::nullopt;
  const Boots before = boots_;
  RETURN_IF_ERROR(Transaction([] { return Result<void>(); }));
  return boots_.MovedSince(before);
}

Result<void> OutboxFile::KeepBoot() {
  if (!boots_.IsNews(clock_)) return {};
  new_boots_ = boots_;
  RETURN_IF_ERROR(new_boots_->Write(database_, clock_));
  moment_ = new_boots_->Moment(clock_);
  return {};
}

OutboxFile::~OutboxFile() {
  if (counters_.HasUnstored()) static_cast<void>(Transaction([] { return Result<void>(); }));
}

Result<void> OutboxFile::Commit(Storing storing) {
  const bool waits = storing == Storing::kLater && !new_boots_ && counters_.MayWait() && users_.MayWait();
  if (!waits) {
    RETURN_IF_ERROR(counters_.Store(database_));
    RETURN_IF_ERROR(users_.Store(database_));
  }
  RETURN_IF_ERROR(commit_.Run());
  counters_.Keep();
  users_.Keep();
  if (new_boots_) boots_ = *std::exchange(new_boots_, std::nullopt);
  return {};
}

void OutboxFile::Rollback() {
  static_cast<void>(rollback_.Run());  // SQLite may have rolled back by itself
  counters_.Undo();
  users_.Undo();
  new_boots_.reset();
  moment_ = boots_.Moment(clock_);
}

Result<bool> OutboxFile::TruncateWal() {
  Result<bool> truncated = database_.TruncateWal();
  if (truncated && *truncated) must_truncate_wal_ = false;
  return truncated;
}

}  // namespace outboxd
