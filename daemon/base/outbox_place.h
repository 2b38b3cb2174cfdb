// daemon/base/outbox_place.h — what kind of file system holds the outbox. On a network file system neither
// SQLite's locks nor an fsync can be relied on: a new outbox is refused there, an old one is complained of.
//
// Threads: belongs to one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

#include "core/result.h"

namespace outboxd {

enum class FileSystemKind : std::uint8_t { kLocal, kPassedOn, kNetwork };  // kPassedOn: 9p, virtiofs, FUSE

struct FileSystem {
  FileSystemKind kind = FileSystemKind::kLocal;
  std::string_view name;  // "NFS"; empty for local ones
};

FileSystem FileSystemOfMagic(std::int64_t magic);            // statfs(2)'s f_type
FileSystem FileSystemOf(const std::filesystem::path& file);  // of its folder; local where that cannot be told

class OutboxPlace {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::hours kInterval{1};
  enum class Networks : std::uint8_t { kRefused, kAllowed };  // outbox.allow_network_fs

  OutboxPlace(std::filesystem::path outbox, FileSystem system, Networks networks);

  // kInvalid: no outbox is there yet, and none may be made. Otherwise warns of what holds it.
  Result<void> Check() const;
  // For an outbox that was there before, on a network file system that is not allowed: an error line, at once
  // and each hour.
  void Tick(Time now);

 private:
  std::filesystem::path outbox_;
  FileSystem system_;
  Networks networks_;
  std::optional<Time> told_;
};

}  // namespace outboxd
