// daemon/clerk/disk_space.h — how much room the outbox's file system still has, as far as the system tells.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "core/result.h"

namespace outboxd {

// Bytes that a process without privileges can still write to the file system that holds `file`. kIo: the
// system does not tell.
Result<std::uint64_t> FreeDiskBytes(const std::filesystem::path& file);

// Remembers the last answer: while the system does not tell, the free space counts as what it was.
//
// Threads: belongs to one thread.
class DiskSpace {
 public:
  using Ask = std::function<Result<std::uint64_t>()>;
  explicit DiskSpace(Ask ask) : ask_(std::move(ask)) {}

  // Asks the system. A failure is logged once, and again when its reason changes.
  void Read();
  // nullopt before the first answer.
  std::optional<std::uint64_t> FreeBytes() const { return free_bytes_; }
  const std::string& WhyUnknown() const { return failure_; }  // of the last Read(); empty: none

 private:
  Ask ask_;
  std::optional<std::uint64_t> free_bytes_;
  std::string failure_;
};

}  // namespace outboxd
