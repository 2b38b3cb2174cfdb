#include "daemon/base/outbox_place.h"

#include <doctest/doctest.h>

#include <chrono>

#include "tests/support/stderr_capture.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using Networks = OutboxPlace::Networks;
constexpr FileSystem kNfs{FileSystemKind::kNetwork, "NFS"};
constexpr FileSystem kFuse{FileSystemKind::kPassedOn, "FUSE"};

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
  const auto refused = OutboxPlace(outbox, kNfs, Networks::kRefused).Check();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("outbox.allow_network_fs") != std::string::npos);
  CHECK(OutboxPlace(outbox, kNfs, Networks::kAllowed).Check());
  CHECK(OutboxPlace(outbox, kFuse, Networks::kRefused).Check());
  CHECK(log.Count(" warn ") == 2);
  WriteFile(outbox, "there");
  CHECK(OutboxPlace(outbox, kNfs, Networks::kRefused).Check());
  CHECK(OutboxPlace(outbox, {}, Networks::kRefused).Check());
  CHECK(log.Count(" warn ") == 2);
}

TEST_CASE("outbox place: an outbox that was there before is complained of each hour") {
  const test::StderrCapture log;
  const OutboxPlace::Time start{};
  OutboxPlace place("/x/outbox.db", kNfs, Networks::kRefused);
  place.Tick(start);
  place.Tick(start + std::chrono::minutes(59));
  CHECK(log.Count(" error ") == 1);
  place.Tick(start + std::chrono::hours(1));
  CHECK(log.Count(" error ") == 2);
  OutboxPlace("/x/outbox.db", kNfs, Networks::kAllowed).Tick(start);
  OutboxPlace("/x/outbox.db", kFuse, Networks::kRefused).Tick(start);
  CHECK(log.Count(" error ") == 2);
}

}  // namespace outboxd
