// storage/file_lock.h — one process owns the outbox: an advisory lock on FILE.lock, released by the kernel
// when the process ends.
#pragma once

#include <filesystem>

#include "core/result.h"

namespace outboxd {

class FileLock {
 public:
  // kConflict names the owner's pid when another process holds it.
  static Result<FileLock> Take(const std::filesystem::path& file);
  FileLock(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace outboxd
