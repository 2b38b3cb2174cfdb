#include "storage/restore.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "config/owned_fd.h"
#include "storage/outbox.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

constexpr Timestamp kRestoreNow = FromUnixMs(1'800'000'000'000);

void AddJob(Outbox& outbox) {
  auto job = test::NewJob(test::TrackLine("1"));
  WriteBatch batch;
  batch.accepted = {job.get()};
  REQUIRE(outbox.Write(batch, kRestoreNow));
}

// A backup of one job, and an outbox of two.
struct RestoreFixture {
  TempDir folder;
  std::filesystem::path outbox = folder / "outbox.db";
  std::filesystem::path backup = folder / "backup.db";

  RestoreFixture() {
    auto opened = Outbox::Open(outbox, 1);
    REQUIRE(opened);
    AddJob(*opened);
    auto database = Database::Open(outbox, OpenMode::kReadOnly);
    REQUIRE(database);
    REQUIRE(database->BackupTo(backup, [] { return false; }));
    AddJob(*opened);
  }
  Result<Restored> Restore() const {
    const OwnedFd file(open(backup.c_str(), O_RDONLY | O_CLOEXEC));
    return RestoreOutbox(file.get(), backup, outbox);
  }
  std::uint64_t Jobs(const std::filesystem::path& file) const {
    auto opened = Outbox::Open(file, 2);
    REQUIRE(opened);
    return opened->Total().jobs;
  }
};

}  // namespace

TEST_CASE("restore: the backup takes the outbox's place and mode, and what was there is kept") {
  RestoreFixture fixture;
  REQUIRE(chmod(fixture.outbox.c_str(), 0600) == 0);
  WriteFile(fixture.outbox.string() + "-wal", "of the old one");
  WriteFile(fixture.outbox.string() + "-journal", "of its rewriting");
  const auto restored = fixture.Restore();
  REQUIRE_MESSAGE(restored, (restored ? "" : restored.error().message));
  CHECK(restored->jobs == 1);
  CHECK(restored->dead == 0);
  CHECK(fixture.Jobs(fixture.outbox) == 1);
  struct stat status{};
  REQUIRE(stat(fixture.outbox.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(ReadFile(restored->aside.string() + "-wal") == "of the old one");
  std::filesystem::remove(restored->aside.string() + "-wal");
  CHECK(ReadFile(restored->aside.string() + "-journal") == "of its rewriting");
  CHECK_FALSE(std::filesystem::exists(fixture.outbox.string() + "-journal"));
  std::filesystem::remove(restored->aside.string() + "-journal");
  CHECK(fixture.Jobs(restored->aside) == 2);
  CHECK_FALSE(std::filesystem::exists(fixture.outbox.string() + ".restoring"));
  // And once more: the first aside is not overwritten.
  const auto again = fixture.Restore();
  REQUIRE(again);
  CHECK(again->aside != restored->aside);
  CHECK(fixture.Jobs(restored->aside) == 2);
}

TEST_CASE("restore: into a place where no outbox is") {
  RestoreFixture fixture;
  fixture.outbox = fixture.folder / "new.db";
  const auto restored = fixture.Restore();
  REQUIRE(restored);
  CHECK(restored->aside.empty());
  CHECK(fixture.Jobs(fixture.outbox) == 1);
}

TEST_CASE("restore: while an outboxd has the outbox nothing is touched") {
  RestoreFixture fixture;
  auto running = Outbox::Open(fixture.outbox, 3);
  REQUIRE(running);
  const auto refused = fixture.Restore();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::kConflict);
  CHECK(running->Total().jobs == 2);
  CHECK_FALSE(std::filesystem::exists(fixture.outbox.string() + ".before-restore-1"));
}

TEST_CASE("restore: what is not a whole outbox by itself is refused, and the outbox stays as it was") {
  const auto flip = [](const std::filesystem::path& file) {
    std::string bytes = ReadFile(file);
    for (std::size_t at = 4096; at < bytes.size() && at < 160'000; ++at) bytes[at] = '\x5a';
    WriteFile(file, bytes);
  };
  const std::vector<std::function<void(RestoreFixture&)>> faults = {
      [](RestoreFixture& fixture) { WriteFile(fixture.backup, "no database"); },
      [](RestoreFixture& fixture) { WriteFile(fixture.backup, ""); },
      [&](RestoreFixture& fixture) { flip(fixture.backup); },
      [](RestoreFixture& fixture) { WriteFile(fixture.backup.string() + "-wal", "more jobs"); },
      [](RestoreFixture& fixture) { WriteFile(fixture.backup.string() + "-journal", "pages to go back"); },
      [](RestoreFixture& fixture) { fixture.backup = fixture.outbox; },
      [](RestoreFixture& fixture) {
        auto database = Database::Open(fixture.backup, OpenMode::kReadWrite);
        REQUIRE(database->Execute("PRAGMA user_version = 99"));
      },
      [](RestoreFixture& fixture) { fixture.backup = fixture.folder.Path(); },
  };
  for (std::size_t fault = 0; fault < faults.size(); ++fault) {
    CAPTURE(fault);
    RestoreFixture fixture;
    faults[fault](fixture);
    CHECK_FALSE(fixture.Restore());
    CHECK(fixture.Jobs(fixture.outbox) == 2);
    CHECK_FALSE(std::filesystem::exists(fixture.outbox.string() + ".restoring"));
  }
}

}  // namespace outboxd
