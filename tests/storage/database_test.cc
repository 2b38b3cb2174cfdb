// One SQLite connection: statements, errors, backups.
#include "storage/database.h"

#include <doctest/doctest.h>

#include "core/limits.h"
#include "storage/outbox.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

Database OpenNew(const std::filesystem::path& file) {
  auto database = Database::Open(file, OpenMode::kReadWrite);
  REQUIRE(database);
  REQUIRE(database->Execute("CREATE TABLE t (a, b)"));
  return std::move(*database);
}

}  // namespace

TEST_CASE("database: values come back as they were bound") {
  TempDir folder;
  Database database = OpenNew(folder / "x.db");
  auto insert = database.Prepare("INSERT INTO t VALUES (?, ?)");
  REQUIRE(insert);
  const std::string with_nul("a\0b", 3);
  REQUIRE(insert->Run(with_nul, -5));
  REQUIRE(insert->Run(std::string_view(), TextOrNull{""}));
  CHECK(database.Changes() == 1);
  auto select = database.Prepare("SELECT a, b FROM t");
  REQUIRE(select);
  REQUIRE(*select->Step());
  CHECK(select->Text(0) == with_nul);
  CHECK(select->Int(1) == -5);
  REQUIRE(*select->Step());
  CHECK_FALSE(select->IsNull(0));
  CHECK(select->Text(0).empty());
  CHECK(select->IntOrNull(1) == std::nullopt);
  CHECK_FALSE(*select->Step());
}

TEST_CASE("database: a failed statement can be used again") {
  TempDir folder;
  Database database = OpenNew(folder / "x.db");
  REQUIRE(database.Execute("CREATE UNIQUE INDEX u ON t (a)"));
  auto insert = database.Prepare("INSERT INTO t VALUES (?, 0)");
  REQUIRE(insert);
  REQUIRE(insert->Run(1));
  CHECK_FALSE(insert->Run(1));
  CHECK(insert->Run(2));
}

TEST_CASE("database: a reader cannot write, and a missing file is not created by one") {
  TempDir folder;
  OpenNew(folder / "x.db");
  auto reader = Database::Open(folder / "x.db", OpenMode::kReadOnly);
  REQUIRE(reader);
  const auto refused = reader->Execute("DELETE FROM t");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::kIo);
  CHECK_FALSE(Database::Open(folder / "missing.db", OpenMode::kReadOnly));
  CHECK_FALSE(std::filesystem::exists(folder / "missing.db"));
}

TEST_CASE("database: an outbox can be backed up while it is open and written to") {
  TempDir folder;
  auto outbox = Outbox::Open(folder / "outbox.db", 7);
  REQUIRE(outbox);
  REQUIRE(test::Accept(*outbox, {test::TrackLine("1"), test::TrackLine("2")}, FromUnixMs(1)));
  auto reader = Database::Open(folder / "outbox.db", OpenMode::kReadOnly);
  REQUIRE(reader);
  const auto bytes = reader->BackupTo(folder / "copy.db", test::NeverGivesUp);
  REQUIRE_MESSAGE(bytes, (bytes ? "" : bytes.error().message));
  CHECK(*bytes == std::filesystem::file_size(folder / "copy.db"));
  REQUIRE(test::Accept(*outbox, {test::TrackLine("3")}, FromUnixMs(1)));
  CHECK((std::filesystem::status(folder / "copy.db").permissions() & std::filesystem::perms::others_all) ==
        std::filesystem::perms::none);

  auto copy = Outbox::Open(folder / "copy.db", 7);
  REQUIRE_MESSAGE(copy, (copy ? "" : copy.error().message));
  CHECK(copy->Total().jobs == 2);
  test::CheckCounts(*copy, folder / "copy.db");

  SUBCASE("an existing file is not overwritten") {
    const auto again = reader->BackupTo(folder / "copy.db", test::NeverGivesUp);
    REQUIRE_FALSE(again);
    CHECK(again.error().kind == ErrorKind::kConflict);
  }
  SUBCASE("a link is not followed") {
    std::filesystem::create_symlink(folder / "elsewhere.db", folder / "link.db");
    CHECK_FALSE(reader->BackupTo(folder / "link.db", test::NeverGivesUp));
    CHECK_FALSE(std::filesystem::exists(folder / "elsewhere.db"));
  }
  SUBCASE("a name that SQLite or outboxd would take for a part of the outbox is refused") {
    for (const char* suffix : {"-journal", "-wal", "-shm", ".lock", ".crashes"}) {
      const std::filesystem::path name = folder / (std::string("outbox.db") + suffix);
      std::filesystem::remove(folder / "outbox.db.crashes");
      const bool was_there = std::filesystem::exists(name);
      const auto refused = reader->BackupTo(name, test::NeverGivesUp);
      REQUIRE_FALSE(refused);
      CHECK(refused.error().kind == ErrorKind::kConflict);
      CHECK(std::filesystem::exists(name) == was_there);
      CHECK_FALSE(reader->BackupTo(folder / (std::string("other.db") + suffix), test::NeverGivesUp));
    }
    CHECK(reader->BackupTo(folder / "outbox.db.backup", test::NeverGivesUp));
  }
  SUBCASE("a folder that is not there is an error") {
    CHECK_FALSE(reader->BackupTo(folder / "no" / "copy.db", test::NeverGivesUp));
  }
}

namespace {

constexpr std::size_t kManyBytes = 16UL * 1024 * 1024;

// An outbox whose backup takes several steps; how many jobs it has.
std::int64_t Fill(Outbox& outbox) {
  const std::string line = R"({"type":"track","id":"1","name":"x","data":{"a":")" +
                           std::string(limits::kEventDataBytes - 100, 'x') + R"("}})";
  const std::vector<std::string> lines(kManyBytes / line.size(), line);
  REQUIRE(test::Accept(outbox, lines, FromUnixMs(1)));
  return static_cast<std::int64_t>(lines.size());
}

}  // namespace

TEST_CASE("database: a backup is the state of one moment, whatever is written meanwhile") {
  TempDir folder;
  auto outbox = Outbox::Open(folder / "outbox.db", 7);
  REQUIRE(outbox);
  const std::int64_t jobs = Fill(*outbox);
  auto reader = Database::Open(folder / "outbox.db", OpenMode::kReadOnly);
  REQUIRE(reader);
  std::size_t steps = 0;
  const auto bytes = reader->BackupTo(folder / "copy.db", [&] {
    REQUIRE(test::Accept(*outbox, {test::TrackLine("2")}, FromUnixMs(2)));
    return ++steps > 1'000;  // it starts over again and again
  });
  REQUIRE_MESSAGE(bytes, (bytes ? "" : bytes.error().message));
  CHECK(steps >= 3);
  auto copy = Outbox::Open(folder / "copy.db", 7);
  REQUIRE(copy);
  CHECK(static_cast<std::int64_t>(copy->Total().jobs) == jobs);
  test::CheckCounts(*copy, folder / "copy.db");
  CHECK(test::AskText(folder / "copy.db", "PRAGMA integrity_check") == "ok");
  CHECK(test::Accept(*outbox, {test::TrackLine("3")}, FromUnixMs(3)));
  CHECK(reader->Scalar("SELECT count(*) FROM outbox") == jobs + static_cast<std::int64_t>(steps) + 1);
}

TEST_CASE("database: a backup that is given up leaves no file behind, and can be made again") {
  TempDir folder;
  auto outbox = Outbox::Open(folder / "outbox.db", 7);
  REQUIRE(outbox);
  Fill(*outbox);
  auto reader = Database::Open(folder / "outbox.db", OpenMode::kReadOnly);
  REQUIRE(reader);
  const auto given_up = reader->BackupTo(folder / "copy.db", [] { return true; });
  REQUIRE_FALSE(given_up);
  CHECK(given_up.error().kind == ErrorKind::kBusy);
  for (const auto& entry : std::filesystem::directory_iterator(folder.Path())) {
    CHECK_FALSE(entry.path().filename().string().starts_with("copy.db"));
  }
  CHECK(reader->BackupTo(folder / "copy.db", test::NeverGivesUp));
}

TEST_CASE("database: what a reader keeps in the WAL is counted until it has gone") {
  TempDir folder;
  Database database = OpenNew(folder / "x.db");
  REQUIRE(database.Execute("PRAGMA journal_mode = WAL"));
  database.CheckpointFrom(1);
  REQUIRE(database.Execute("INSERT INTO t VALUES (1, 1)"));
  CHECK(database.HeldFrames() == 0);
  auto reader = Database::Open(folder / "x.db", OpenMode::kReadOnly);
  REQUIRE(reader);
  REQUIRE(reader->Execute("BEGIN; SELECT * FROM t"));
  REQUIRE(database.Execute("INSERT INTO t VALUES (2, 2)"));
  REQUIRE(database.Execute("INSERT INTO t VALUES (3, 3)"));
  CHECK(database.HeldFrames() == 2);
  CHECK_FALSE(*database.TruncateWal());
  CHECK(database.HeldFrames() == 2);
  REQUIRE(reader->Execute("ROLLBACK"));
  CHECK(database.Checkpoint());
  CHECK(database.HeldFrames() == 0);
}

}  // namespace outboxd
