#include "daemon/clerk/disk_space.h"

#include <sys/statvfs.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>

#include "config/log_level.h"
#include "core/result.h"
#include "daemon/base/log.h"

namespace outboxd {

Result<std::uint64_t> FreeDiskBytes(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  struct statvfs disk{};
  if (statvfs(folder.c_str(), &disk) != 0)
    return Fail(ErrorKind::kIo, folder.string() + ": " + std::generic_category().message(errno));
  return std::uint64_t{disk.f_bavail} * disk.f_frsize;
}

void DiskSpace::Read() {
  Result<std::uint64_t> asked = ask_();
  if (asked) {
    free_bytes_ = *asked;
    failure_.clear();
    return;
  }
  if (failure_ == asked.error().message) return;
  failure_ = std::move(asked).error().message;
  Log(LogLevel::kError, "the free space of the outbox's disk cannot be read", {{"reason", failure_}});
}

}  // namespace outboxd
