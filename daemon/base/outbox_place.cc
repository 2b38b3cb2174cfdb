#include "daemon/base/outbox_place.h"

#include <sys/statfs.h>
#include <sys/vfs.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "config/log_level.h"
#include "core/result.h"
#include "daemon/base/log.h"

namespace outboxd {
namespace {

struct KnownFileSystem {
  std::int64_t magic;
  FileSystem system;
};

// linux/magic.h, and statfs(2) for those that are not in it.
constexpr KnownFileSystem kKnown[] = {
    {0x6969, {FileSystemKind::kNetwork, "NFS"}},
    {0x517B, {FileSystemKind::kNetwork, "SMB"}},
    {0xFF534D42, {FileSystemKind::kNetwork, "SMB"}},
    {0xFE534D42, {FileSystemKind::kNetwork, "SMB"}},
    {0x00C36400, {FileSystemKind::kNetwork, "Ceph"}},
    {0x5346414F, {FileSystemKind::kNetwork, "AFS"}},
    {0x73757245, {FileSystemKind::kNetwork, "Coda"}},
    {0x0BD00BD0, {FileSystemKind::kNetwork, "Lustre"}},
    {0x01021997, {FileSystemKind::kPassedOn, "9p"}},
    {0x65735546, {FileSystemKind::kPassedOn, "FUSE or virtiofs"}},
};

}  // namespace

FileSystem FileSystemOfMagic(std::int64_t magic) {
  for (const KnownFileSystem& known : kKnown) {
    if ((magic & 0xFFFFFFFF) == known.magic) return known.system;
  }
  return {};
}

FileSystem FileSystemOf(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  struct statfs system{};
  return ::statfs(folder.c_str(), &system) == 0 ? FileSystemOfMagic(system.f_type) : FileSystem();
}

OutboxPlace::OutboxPlace(std::filesystem::path outbox, FileSystem system, Networks networks)
    : outbox_(std::move(outbox)), system_(system), networks_(networks) {}

Result<void> OutboxPlace::Check() const {
  if (system_.kind == FileSystemKind::kLocal) return {};
  const bool is_refused = system_.kind == FileSystemKind::kNetwork && networks_ == Networks::kRefused;
  std::error_code ignored;
  if (is_refused && !std::filesystem::exists(outbox_, ignored)) {
    return Fail(
        ErrorKind::kInvalid,
        "outbox.path: " + outbox_.string() + " would be on a network file system (" +
            std::string(system_.name) +
            "), where neither locks nor syncs can be relied on and jobs may be lost; use a local disk, "
            "or set outbox.allow_network_fs: true",
        "outbox.path");
  }
  if (!is_refused) {
    Log(LogLevel::kWarn, "the outbox is not on a local disk: it is as safe as what stands behind",
        {{"path", outbox_.string()}, {"file_system", system_.name}});
  }
  return {};
}

void OutboxPlace::Tick(Time now) {
  if (system_.kind != FileSystemKind::kNetwork || networks_ == Networks::kAllowed) return;
  if (told_ && now < *told_ + kInterval) return;
  told_ = now;
  Log(LogLevel::kError,
      "the outbox is on a network file system, where jobs may be lost: move it to a local disk, or set "
      "outbox.allow_network_fs",
      {{"path", outbox_.string()}, {"file_system", system_.name}});
}

}  // namespace outboxd
