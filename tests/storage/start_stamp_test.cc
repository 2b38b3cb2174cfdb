#include "storage/start_stamp.h"

#include <doctest/doctest.h>

#include "storage/outbox.h"
#include "storage/restore.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

constexpr Timestamp kStampNow = FromUnixMs(1'800'000'000'000);

void Store(Outbox& outbox, const std::string& customer) {
  auto job = test::NewJob(test::TrackLine(customer));
  WriteBatch batch;
  batch.accepted = {job.get()};
  REQUIRE(outbox.Write(batch, kStampNow));
}

Result<Outbox> Start(const std::filesystem::path& file, std::uint64_t seed) {
  return Outbox::Open(file, seed);
}

// What a crash leaves: the main file and its WAL, as they were while the outbox was open.
void Copy(const std::filesystem::path& from, const std::filesystem::path& to,
          const std::vector<std::string>& suffixes) {
  for (const std::string& suffix : suffixes) {
    std::filesystem::copy_file(from.string() + suffix, to.string() + suffix,
                               std::filesystem::copy_options::overwrite_existing);
  }
}

// An outbox whose daemon was killed with jobs in the WAL, in `folder`/outbox.db; a backup of this run and a
// copy of the run before lie beside it.
void LeaveRemains(const TempDir& folder) {
  const TempDir live;
  const auto file = live / "outbox.db";
  {
    auto first = Start(file, 1);
    REQUIRE(first);
    Store(*first, "of the first run");
    REQUIRE(*first->maintenance().TruncateWal());
  }
  Copy(file, folder / "earlier.db", {""});
  auto second = Start(file, 2);
  REQUIRE(second);
  Store(*second, "of the second run");
  auto database = Database::Open(file, OpenMode::kReadOnly);
  REQUIRE(database);
  REQUIRE(database->BackupTo(folder / "backup.db", [] { return false; }));
  Store(*second, "in the WAL");
  Copy(file, folder / "outbox.db", {"", "-wal", ".lock"});
}

}  // namespace

TEST_CASE("start stamp: an outbox with its own WAL starts after a crash, again and again") {
  TempDir folder;
  LeaveRemains(folder);
  for (const std::uint64_t seed : {3U, 4U, 5U}) {
    auto outbox = Start(folder / "outbox.db", seed);
    REQUIRE_MESSAGE(outbox, (outbox ? "" : outbox.error().message));
    CHECK(outbox->Total().jobs == 3);
  }
}

TEST_CASE("start stamp: a file that was put over the remains of another is refused with what to do") {
  for (const char* other : {"earlier.db", "backup.db"}) {
    CAPTURE(other);
    TempDir folder;
    LeaveRemains(folder);
    Copy(folder / other, folder / "outbox.db", {""});
    const auto refused = Start(folder / "outbox.db", 3);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::kConflict);
    CHECK(refused.error().message.find("outboxctl restore") != std::string::npos);
    // Done as told, it starts.
    std::filesystem::remove(folder / "outbox.db-wal");
    CHECK(Start(folder / "outbox.db", 4));
    CHECK(Start(folder / "outbox.db", 5));
  }
}

TEST_CASE("start stamp: a WAL whose file is gone is not thrown away") {
  TempDir folder;
  LeaveRemains(folder);
  std::filesystem::remove(folder / "outbox.db");
  const auto refused = Start(folder / "outbox.db", 3);
  REQUIRE_FALSE(refused);
  CHECK(std::filesystem::file_size(folder / "outbox.db-wal") > 0);
}

TEST_CASE("start stamp: a start with a reader in the way, killed, is followed by another") {
  TempDir folder;
  LeaveRemains(folder);
  const auto file = folder / "outbox.db";
  const TempDir killed;
  {
    auto reader = Database::Open(file, OpenMode::kReadOnly);
    REQUIRE(reader);
    REQUIRE(reader->Execute("BEGIN; SELECT * FROM outbox"));
    auto outbox = Start(file, 3);
    REQUIRE(outbox);
    Store(*outbox, "more");
    Copy(file, killed / "outbox.db", {"", "-wal", ".lock"});
  }
  auto outbox = Start(killed / "outbox.db", 4);
  REQUIRE_MESSAGE(outbox, (outbox ? "" : outbox.error().message));
  CHECK(outbox->Total().jobs == 4);
}

TEST_CASE(
    "start stamp: however many starts find a reader in the way, the next one starts, and the last as well") {
  TempDir folder;
  LeaveRemains(folder);
  const auto file = folder / "outbox.db";
  {
    auto reader = Database::Open(file, OpenMode::kReadOnly);
    REQUIRE(reader);
    REQUIRE(reader->Execute("BEGIN; SELECT * FROM outbox"));
    for (std::uint64_t seed = 3; seed < 9; ++seed) {
      auto outbox = Start(file, seed);
      REQUIRE_MESSAGE(outbox, (outbox ? "" : outbox.error().message));
      Store(*outbox, "more");
    }
  }
  for (std::uint64_t seed = 9; seed < 12; ++seed) {
    auto outbox = Start(file, seed);
    REQUIRE_MESSAGE(outbox, (outbox ? "" : outbox.error().message));
    CHECK(outbox->Total().jobs == 9);
    const TempDir killed;
    Store(*outbox, "later");
    Copy(file, killed / "outbox.db", {"", "-wal", ".lock"});
    CHECK(Start(killed / "outbox.db", 20));
    REQUIRE(test::Forget(*outbox, "later"));
  }
}

TEST_CASE("start stamp: a lock file of an earlier build refuses nothing") {
  TempDir folder;
  LeaveRemains(folder);
  WriteFile(folder / "outbox.db.lock", "4711");
  CHECK(Start(folder / "outbox.db", 3));
}

}  // namespace outboxd
