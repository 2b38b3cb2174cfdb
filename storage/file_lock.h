// storage/file_lock.h — one process owns the outbox: an advisory lock on FILE.lock, released by the kernel
// when the process ends. FILE.lock also keeps start stamps (storage/start_stamp.h) from run to run.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "core/result.h"

namespace outboxd {

class FileLock {
 public:
  // kConflict names the owner's pid when another process holds it.
  static Result<FileLock> Take(const std::filesystem::path& file);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

  static constexpr std::size_t kStampsMax = 3;
  // Those that the outbox may have, the newest last; at most kStampsMax. None: nothing is known.
  const std::vector<std::string>& Stamps() const { return stamps_; }
  // At most kStampsMax. On stable storage when it returns; kIo, kFull: they may not be.
  Result<void> NoteStamps(std::vector<std::string> stamps);

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  Result<void> Write() const;

  int descriptor_ = -1;
  std::vector<std::string> stamps_;
};

}  // namespace outboxd
