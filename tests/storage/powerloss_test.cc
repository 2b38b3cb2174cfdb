// The power goes at every call to the disk, and the disk forgets what was not synced, wholly or sector by
// sector.
#include <doctest/doctest.h>

#include <random>

#include "tests/storage/outbox_script.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/sanitized.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::FaultVfs;
using test::OutboxScript;
using test::ReadTables;
using test::Unsynced;

// What the disk holds must be what was acknowledged, or that and the whole step that was under way.
void CheckAfterCut(const OutboxScript& script, const std::filesystem::path& file) {
  auto outbox = Outbox::Open(file, 8);
  REQUIRE_MESSAGE(outbox, (outbox ? "" : outbox.error().message));
  CHECK(test::AskText(file, "PRAGMA integrity_check") == "ok");
  const test::Expected found = ReadTables(file);
  CHECK((found == script.expected || found == script.intended));
  test::CheckCounts(*outbox, file);
  CHECK(test::Accept(*outbox, {test::TrackLine("after")}, OutboxScript::kNow));
}

bool RunWithCut(std::uint64_t call, std::uint64_t seed) {
  TempDir folder;
  TempDir disks;
  bool fired = false;
  OutboxScript script(folder / "outbox.db");
  {
    FaultVfs vfs;
    vfs.CutPowerAt(call);
    for (std::size_t step = 0; step < script.Count(); ++step) {
      if (!script.Do(step)) break;
    }
    fired = vfs.HasFired();
    script.Close();
    for (const std::uint64_t torn : {seed, seed + 1}) {
      std::filesystem::create_directory(disks / std::to_string(torn));
      vfs.Rebuild(folder.Path(), disks / std::to_string(torn), Unsynced::kTorn, torn);
    }
    std::filesystem::create_directory(disks / "forgotten");
    vfs.Rebuild(folder.Path(), disks / "forgotten", Unsynced::kForgotten, 0);
  }
  for (const auto& disk : std::filesystem::directory_iterator(disks.Path())) {
    CAPTURE(disk.path().filename().string());
    CheckAfterCut(script, disk.path() / "outbox.db");
  }
  return fired;
}

// How many of the commits acknowledged before a cut at `call` are missing after it; nullopt when there was no
// cut.
std::optional<std::int64_t> LostCommits(const std::string& synchronous, std::uint64_t call) {
  TempDir folder;
  TempDir disk;
  std::int64_t acknowledged = 0;
  {
    FaultVfs vfs;
    {
      auto database = Database::Open(folder / "x.db", OpenMode::kReadWrite);
      REQUIRE(database);
      REQUIRE(database->Execute(
          "PRAGMA journal_mode = WAL; CREATE TABLE t (x); PRAGMA wal_checkpoint(TRUNCATE)"));
      REQUIRE(database->Execute("PRAGMA synchronous = " + synchronous));
      vfs.CutPowerAt(call);
      while (acknowledged < 30 && database->Execute("INSERT INTO t VALUES (1)")) ++acknowledged;
    }
    if (acknowledged == 30) return std::nullopt;
    vfs.Rebuild(folder.Path(), disk.Path(), Unsynced::kForgotten, 0);
  }
  return std::max<std::int64_t>(0, acknowledged - test::Ask(disk / "x.db", "SELECT count(*) FROM t"));
}

std::int64_t LostInAllCuts(const std::string& synchronous) {
  std::int64_t lost = 0;
  for (std::uint64_t call = 1;; ++call) {
    const auto one = LostCommits(synchronous, call);
    if (!one) return lost;
    lost += *one;
  }
}

}  // namespace

TEST_CASE("power loss: whenever it comes, all that was acknowledged is there and nothing is there by half") {
  const std::uint64_t seed = std::random_device()();
  CAPTURE(seed);
  constexpr std::uint64_t kStride = kSanitized ? 5 : 1;
  std::uint64_t call = 0;
  for (bool fired = true; fired;) {
    call += kStride;
    CAPTURE(call);
    fired = RunWithCut(call, seed + 2 * call);
    REQUIRE(call < 2'000);
  }
  CHECK(call > 50);
}

TEST_CASE("power loss: this rig finds what weaker settings lose") {
  CHECK(LostInAllCuts("FULL") == 0);
  CHECK(LostInAllCuts("NORMAL") > 0);
  CHECK(LostInAllCuts("OFF") > 0);
}

}  // namespace outboxd
