// A small outbox with large pages, as earlier versions made them, is rewritten at the start; whatever happens
// meanwhile, no job is lost.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "storage/outbox.h"
#include "storage/schema.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::Ask;
using test::AskText;
using test::FaultKind;
using test::FaultSpan;
using test::FaultVfs;
using test::Unsynced;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);
constexpr std::int64_t kJobs = 40;

// With jobs in the WAL as well as in the main file.
void MakeWithLargePages(const std::filesystem::path& file, const std::string& more = "") {
  {
    auto outbox = Outbox::Open(file, 7);
    REQUIRE(outbox);
    REQUIRE(test::Accept(*outbox, std::vector<std::string>(kJobs / 2, test::TrackLine("1")), kNow));
  }
  auto database = Database::Open(file, OpenMode::kReadWrite);
  REQUIRE(database);
  REQUIRE(database->Execute("PRAGMA journal_mode = DELETE; PRAGMA page_size = 16384; VACUUM; " + more +
                            "; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0"));
  REQUIRE(
      database->Execute("INSERT INTO outbox SELECT seq + 1000, job, connection, type, customer, "
                        "accepted_ms, redriven_ms, attempts, charged, due_ms, parked, reason, line, uid, "
                        "failures, deliveries_at_failure, suspicion, refusals, counted_ms, stowed, boot, "
                        "boot_ms, synchronised, redriven_boot, redriven_boot_ms FROM outbox"));
  REQUIRE(Ask(file, "PRAGMA page_size") == 16'384);
}

void CheckAllThere(const std::filesystem::path& file) {
  CHECK(Ask(file, "SELECT count(*) FROM outbox") == kJobs);
  CHECK(Ask(file, "PRAGMA auto_vacuum") == 2);
  CHECK(AskText(file, "PRAGMA integrity_check") == "ok");
  CHECK(AskText(file, "PRAGMA journal_mode") == "wal");
}

}  // namespace

TEST_CASE(
    "page size: a new outbox has small pages, and a small one with large pages gets them at the start") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  MakeWithLargePages(file);
  std::vector<Upgrade> told;
  const auto tell = [&](const Upgrade& upgrade) {
    told.push_back(upgrade);
    CHECK(Ask(file, "PRAGMA page_size") == 16'384);
  };
  auto outbox = Outbox::Open(file, 8, tell);
  REQUIRE_MESSAGE(outbox, (outbox ? "" : outbox.error().message));
  REQUIRE(told.size() == 1);
  CHECK(told[0].rewrites_pages);
  CHECK(told[0].from == told[0].to);
  CHECK_FALSE(outbox->PagesKept());
  CHECK(Ask(file, "PRAGMA page_size") == schema::kPageBytes);
  CheckAllThere(file);
  CHECK(test::Accept(*outbox, {test::TrackLine("1")}, kNow));
  REQUIRE(Outbox::Open(folder / "new.db", 8));
  CHECK(Ask(folder / "new.db", "PRAGMA page_size") == schema::kPageBytes);
}

TEST_CASE("page size: a large outbox keeps its pages, and is none the worse") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  MakeWithLargePages(file, "CREATE TABLE large (x); INSERT INTO large VALUES (zeroblob(70000000))");
  auto outbox = Outbox::Open(file, 8, [](const Upgrade&) { FAIL_CHECK("nothing is upgraded"); });
  REQUIRE(outbox);
  CHECK_FALSE(outbox->PagesKept());
  CHECK(Ask(file, "PRAGMA page_size") == 16'384);
  CHECK(test::Accept(*outbox, {test::TrackLine("1")}, kNow));
  CHECK(Ask(file, "SELECT count(*) FROM outbox") == kJobs + 1);
}

TEST_CASE(
    "page size: while somebody reads it an outbox keeps its pages, says so, and is rewritten the next time") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  MakeWithLargePages(file);
  {
    auto reader = Database::Open(file, OpenMode::kReadOnly);
    REQUIRE(reader);
    REQUIRE(reader->Execute("BEGIN; SELECT count(*) FROM outbox"));
    auto outbox = Outbox::Open(file, 8);
    REQUIRE(outbox);
    REQUIRE(outbox->PagesKept());
    CHECK(outbox->PagesKept()->kind == ErrorKind::kBusy);
    CheckAllThere(file);
  }
  REQUIRE(Outbox::Open(file, 8));
  CHECK(Ask(file, "PRAGMA page_size") == schema::kPageBytes);
  CheckAllThere(file);
}

TEST_CASE("page size: whichever call to the disk fails, the start goes on with the old pages or the new") {
  FaultKind kind = FaultKind::kFull;
  SUBCASE("a full disk") {}
  SUBCASE("an I/O error") {
    kind = FaultKind::kIo;
  }
  bool kept = false;
  bool fired = true;
  for (std::uint64_t call = 1; fired; call += 3) {
    CAPTURE(call);
    REQUIRE(call < 1000);
    TempDir folder;
    const auto file = folder / "outbox.db";
    MakeWithLargePages(file);
    FaultVfs vfs;
    vfs.Arm(call, kind, FaultSpan::kOnce);
    auto outbox = Outbox::Open(file, 8);
    fired = vfs.HasFired();
    vfs.Heal();
    if (!outbox) outbox = Outbox::Open(file, 8);
    REQUIRE_MESSAGE(outbox, (outbox ? "" : outbox.error().message));
    kept = kept || outbox->PagesKept();
    CheckAllThere(file);
    CHECK(test::Accept(*outbox, {test::TrackLine("1")}, kNow));
  }
  CHECK(kept);
}

TEST_CASE("page size: a power cut while it is rewritten leaves the whole outbox") {
  bool fired = true;
  for (std::uint64_t call = 1; fired; call += 3) {
    CAPTURE(call);
    REQUIRE(call < 1000);
    TempDir folder;
    const auto file = folder / "outbox.db";
    MakeWithLargePages(file);
    FaultVfs vfs;
    vfs.CutPowerAt(call);
    static_cast<void>(Outbox::Open(file, 8));
    fired = vfs.HasFired();
    vfs.Recover(folder.Path(), call % 2 == 0 ? Unsynced::kTorn : Unsynced::kForgotten, call);
    auto outbox = Outbox::Open(file, 8);
    REQUIRE_MESSAGE(outbox, (outbox ? "" : outbox.error().message));
    CheckAllThere(file);
    CHECK(Ask(file, "PRAGMA page_size") == schema::kPageBytes);
  }
}

}  // namespace outboxd
