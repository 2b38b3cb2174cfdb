#include "config/outbox_disk.h"

#include <sys/statfs.h>
#include <sys/vfs.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>

#include "config/config.h"
#include "core/result.h"

namespace outboxd {
namespace {

struct KnownFileSystem {
  std::int64_t magic;
  FileSystem system;
};

// linux/magic.h, and statfs(2) for those that are not in it.
constexpr KnownFileSystem kKnownFileSystems[] = {
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

// Where one may not look there may be one.
bool IsMissing(const std::filesystem::path& file) {
  std::error_code ignored;
  return std::filesystem::status(file, ignored).type() == std::filesystem::file_type::not_found;
}

}  // namespace

FileSystem FileSystemOfMagic(std::int64_t magic) {
  for (const KnownFileSystem& known : kKnownFileSystems) {
    if ((magic & 0xFFFFFFFF) == known.magic) return known.system;
  }
  return {};
}

FileSystem FileSystemOf(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  struct statfs system{};
  return ::statfs(folder.c_str(), &system) == 0 ? FileSystemOfMagic(system.f_type) : FileSystem();
}

DiskRating RateDisk(const OutboxConfig& outbox, const FileSystem& system) {
  if (system.kind == FileSystemKind::kLocal) return DiskRating::kGood;
  if (system.kind == FileSystemKind::kPassedOn || outbox.allow_network_fs) return DiskRating::kDoubtful;
  return IsMissing(outbox.path) ? DiskRating::kRefused : DiskRating::kUnsafe;
}

Error DiskRefusal(const OutboxConfig& outbox, const FileSystem& system) {
  return {ErrorKind::kInvalid,
          "outbox.path: " + outbox.path.string() + " would be on a network file system (" +
              std::string(system.name) +
              "), where neither locks nor syncs can be relied on and jobs may be lost; use a local disk, "
              "or set outbox.allow_network_fs: true",
          "outbox.path"};
}

}  // namespace outboxd
