// config/outbox_disk.h — what kind of file system is to hold the outbox. On a network file system neither
// SQLite's locks nor an fsync can be relied on: a new outbox is refused there, an old one is complained of.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "config/config.h"
#include "core/result.h"

namespace outboxd {

enum class FileSystemKind : std::uint8_t { kLocal, kPassedOn, kNetwork };  // kPassedOn: 9p, virtiofs, FUSE

struct FileSystem {
  FileSystemKind kind = FileSystemKind::kLocal;
  std::string_view name;  // "NFS"; empty for local ones
};

FileSystem FileSystemOfMagic(std::int64_t magic);            // statfs(2)'s f_type
FileSystem FileSystemOf(const std::filesystem::path& file);  // of its folder; local where that cannot be told

enum class DiskRating : std::uint8_t {
  kGood,
  kDoubtful,  // as safe as what stands behind it
  kUnsafe,    // an outbox is there already: it is used, and complained of
  kRefused,   // none is there, and none may be made
};

DiskRating RateDisk(const OutboxConfig& outbox, const FileSystem& system);
// Of kRefused: kInvalid, says what to do.
Error DiskRefusal(const OutboxConfig& outbox, const FileSystem& system);

}  // namespace outboxd
