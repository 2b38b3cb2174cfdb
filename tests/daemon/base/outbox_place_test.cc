#include "daemon/base/outbox_place.h"

#include <doctest/doctest.h>

#include <chrono>

#include "tests/support/stderr_capture.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

constexpr FileSystem kNfs{FileSystemKind::kNetwork, "NFS"};
constexpr FileSystem kFuse{FileSystemKind::kPassedOn, "FUSE"};

enum class Networks { kRefused, kAllowed };

OutboxPlace PlaceAt(const std::filesystem::path& outbox, FileSystem system, Networks networks) {
  OutboxConfig config;
  config.path = outbox;
  config.allow_network_fs = networks == Networks::kAllowed;
  return {config, system};
}

}  // namespace

TEST_CASE("outbox place: file systems are known by their magic numbers") {
  CHECK(FileSystemOfMagic(0x6969).name == "NFS");
  CHECK(FileSystemOfMagic(static_cast<std::int32_t>(0xFF534D42)).kind == FileSystemKind::kNetwork);
  CHECK(FileSystemOfMagic(0x00C36400).kind == FileSystemKind::kNetwork);
  CHECK(FileSystemOfMagic(0x01021997).kind == FileSystemKind::kPassedOn);
  CHECK(FileSystemOfMagic(0xEF53).kind == FileSystemKind::kLocal);
  CHECK(FileSystemOf("/dev/shm/outbox.db").kind == FileSystemKind::kLocal);
}

TEST_CASE("outbox place: a new outbox on a network file system is refused unless it is allowed") {
  const TempDir folder;
  const test::StderrCapture log;
  const auto outbox = folder / "outbox.db";
  const auto refused = PlaceAt(outbox, kNfs, Networks::kRefused).Check();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("outbox.allow_network_fs") != std::string::npos);
  CHECK(PlaceAt(outbox, kNfs, Networks::kAllowed).Check());
  CHECK(PlaceAt(outbox, kFuse, Networks::kRefused).Check());
  CHECK(log.Count(" warn ") == 2);
  WriteFile(outbox, "there");
  CHECK(PlaceAt(outbox, kNfs, Networks::kRefused).Check());
  CHECK(PlaceAt(outbox, {}, Networks::kRefused).Check());
  CHECK(log.Count(" warn ") == 2);
}

TEST_CASE("outbox place: an outbox that was there before is complained of each hour") {
  const test::StderrCapture log;
  const OutboxPlace::Time start{};
  OutboxPlace place = PlaceAt("/x/outbox.db", kNfs, Networks::kRefused);
  place.Tick(start);
  place.Tick(start + std::chrono::minutes(59));
  CHECK(log.Count(" error ") == 1);
  place.Tick(start + std::chrono::hours(1));
  CHECK(log.Count(" error ") == 2);
  PlaceAt("/x/outbox.db", kNfs, Networks::kAllowed).Tick(start);
  PlaceAt("/x/outbox.db", kFuse, Networks::kRefused).Tick(start);
  CHECK(log.Count(" error ") == 2);
}

}  // namespace outboxd
