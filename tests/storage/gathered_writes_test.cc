// What is gathered reaches the file in few calls, in time for everybody who may see it; and when a late write
// fails the transaction does.
#include "storage/gathered_writes.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "storage/database.h"
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

const std::string kMany = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) ";

// Frames of 4120 bytes, one row a page.
struct Fixture {
  Fixture() { Open("FULL"); }
  void Open(const std::string& synchronous) {
    auto opened = Database::Open(file, OpenMode::kReadWrite);
    REQUIRE(opened);
    database.emplace(std::move(*opened));
    Do("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = " + synchronous +
       "; PRAGMA wal_autocheckpoint = 0; CREATE TABLE IF NOT EXISTS t (i INTEGER PRIMARY KEY, x)");
  }
  void Do(const std::string& sql) {
    const auto done = database->Execute(sql);
    REQUIRE_MESSAGE(done, (done ? "" : done.error().message));
  }
  void InsertMany(int from = 0) {
    Do(kMany + "INSERT INTO t SELECT i + " + std::to_string(from) + ", zeroblob(3000) FROM n");
  }
  std::uint64_t Writes(const std::string& suffix) { return vfs.files()[file.string() + suffix].writes; }
  std::int64_t Frames() {
    return static_cast<std::int64_t>(std::filesystem::file_size(file.string() + "-wal")) / 4120;
  }
  // As somebody sees it who opens the file now, and a process that finds no wal-index.
  void CheckRows(std::int64_t rows, const std::string& sum) {
    CHECK(Ask(file, "SELECT count(*) FROM t") == rows);
    CHECK(AskText(file, "SELECT group_concat(n) FROM (SELECT sum(length(x)) AS n FROM t)") == sum);
    CHECK(AskText(file, "PRAGMA integrity_check") == "ok");
    TempDir other;
    for (const char* suffix : {"", "-wal"}) {
      std::filesystem::copy_file(file.string() + suffix, (other / "copy.db").string() + suffix);
    }
    auto recovered = Database::Open(other / "copy.db", OpenMode::kReadWrite, "unix");
    REQUIRE(recovered);
    CHECK(recovered->Scalar("SELECT count(*) FROM t") == rows);
    CHECK(recovered->Scalar("SELECT ifnull(sum(length(x)), 0) FROM t") ==
          Ask(file, "SELECT ifnull(sum(length(x)), 0) FROM t"));
  }

  TempDir folder;
  FaultVfs vfs;
  std::filesystem::path file = folder / "x.db";
  std::optional<Database> database;
};

}  // namespace

TEST_CASE("gathered writes: a commit is written by one call for each 128 kB, not by two for each page") {
  Fixture fixture;
  std::uint64_t before = fixture.Writes("-wal");
  const std::int64_t frames = fixture.Frames();
  fixture.InsertMany();
  const auto added = static_cast<std::uint64_t>(fixture.Frames() - frames);
  CHECK(added >= 300);
  CHECK(fixture.Writes("-wal") - before <= added * 4120 / 120'000 + 1);
  fixture.CheckRows(300, "900000");
  before = fixture.Writes("-wal");
  fixture.Do("INSERT INTO t VALUES (1000, zeroblob(10))");
  CHECK(fixture.Writes("-wal") == before + 1);
  SUBCASE("a mode in which commits are not synced is not gathered") {
    const char* mode = "NORMAL";
    SUBCASE("normal") {}
    SUBCASE("off") {
      mode = "OFF";
    }
    fixture.Do("PRAGMA synchronous = " + std::string(mode));
    before = fixture.Writes("-wal");
    fixture.InsertMany(2000);
    CHECK(fixture.Writes("-wal") - before >= 600);
    CHECK(Ask(fixture.file, "SELECT count(*) FROM t") == 601);
  }
}

TEST_CASE("gathered writes: a checkpoint writes neighbouring pages by one call") {
  Fixture fixture;
  fixture.InsertMany();
  const std::uint64_t before = fixture.Writes("");
  REQUIRE(fixture.database->Checkpoint());
  CHECK(fixture.Writes("") - before <= 20);
  CHECK(fixture.Writes("") > before);
  CHECK(fixture.database->HeldFrames() == 0);
  REQUIRE(fixture.database->TruncateWal() == true);
  fixture.CheckRows(300, "900000");
}

TEST_CASE("gathered writes: whoever reads sees each commit at once, whatever becomes of the mode") {
  Fixture fixture;
  auto reader = Database::Open(fixture.file, OpenMode::kReadOnly);
  REQUIRE(reader);
  int rows = 0;
  const auto add = [&] {
    fixture.Do("INSERT INTO t VALUES (" + std::to_string(++rows) + ", zeroblob(20000))");
    CHECK(reader->Scalar("SELECT count(*) FROM t WHERE length(x) = 20000") == rows);
  };
  for (const char* mode : {"FULL", "NORMAL", "EXTRA", "OFF", "2", "FULL"}) {
    CAPTURE(mode);
    fixture.Do("PRAGMA synchronous = " + std::string(mode));
    for (int count = 0; count < 3; ++count) add();
  }
  // Within a transaction SQLite refuses it: what was seen is not what holds.
  fixture.Do("PRAGMA synchronous = OFF");
  fixture.Do("BEGIN IMMEDIATE");
  CHECK_FALSE(fixture.database->Execute("PRAGMA synchronous = FULL"));
  fixture.Do("COMMIT");
  for (int count = 0; count < 3; ++count) add();
  REQUIRE(fixture.database->Checkpoint());
  add();
}

TEST_CASE(
    "gathered writes: pages that a large transaction wrote early are read back, changed and committed") {
  Fixture fixture;
  fixture.Do("PRAGMA cache_size = 8; BEGIN");
  fixture.InsertMany();
  CHECK(fixture.database->Scalar("SELECT sum(length(x)) FROM t") == 900'000);
  fixture.Do("UPDATE t SET x = zeroblob(2000) WHERE i % 3 = 0; SAVEPOINT s; UPDATE t SET x = NULL");
  fixture.Do("ROLLBACK TO s");
  CHECK(fixture.database->Scalar("SELECT sum(length(x)) FROM t") == 800'000);
  CHECK(Ask(fixture.file, "SELECT count(*) FROM t") == 0);
  SUBCASE("committed") {
    fixture.Do("COMMIT");
    fixture.CheckRows(300, "800000");
  }
  SUBCASE("rolled back: what was not written yet never is") {
    const std::uint64_t before = fixture.Writes("-wal");
    fixture.Do("ROLLBACK");
    CHECK(fixture.Writes("-wal") == before);
    fixture.Do("INSERT INTO t VALUES (1, 'x')");
    CHECK(fixture.Writes("-wal") == before + 1);
    fixture.CheckRows(1, "1");
  }
}

TEST_CASE(
    "gathered writes: when a late write fails the commit does, with its reason, and the next succeeds") {
  Fixture fixture;
  fixture.InsertMany();
  for (std::uint64_t call = 1; call < 5; ++call) {
    CAPTURE(call);
    const FaultKind kind = call % 2 == 0 ? FaultKind::kIo : FaultKind::kFull;
    fixture.vfs.Arm(call, kind, FaultSpan::kOnce);
    const auto failed = fixture.database->Execute("UPDATE t SET x = zeroblob(3500)");
    REQUIRE(fixture.vfs.HasFired());
    fixture.vfs.Heal();
    REQUIRE_FALSE(failed);
    CHECK(failed.error().kind == (kind == FaultKind::kFull ? ErrorKind::kFull : ErrorKind::kIo));
    CHECK(fixture.database->Scalar("SELECT sum(length(x)) FROM t") == 900'000);
    fixture.CheckRows(300, "900000");
  }
  fixture.Do("UPDATE t SET x = zeroblob(3500)");
  fixture.CheckRows(300, "1050000");
}

// Each statement may fail and the next be tried, as a program could do.
TEST_CASE("gathered writes: a transaction of which written pages were lost cannot commit") {
  for (std::uint64_t call = 1;; call += call < 10 ? 1 : 17) {
    CAPTURE(call);
    REQUIRE(call < 3000);
    Fixture fixture;
    fixture.InsertMany();
    fixture.Do("PRAGMA cache_size = 8; PRAGMA temp_store = MEMORY");
    fixture.vfs.Arm(call, FaultKind::kFull, FaultSpan::kOnce);
    bool committed = true;
    for (const char* sql :
         {"BEGIN", "UPDATE t SET x = zeroblob(3100)", "UPDATE t SET x = zeroblob(3200) WHERE i % 2 = 0",
          "SELECT sum(length(x)) FROM t", "UPDATE t SET x = zeroblob(3300) WHERE i % 5 = 0", "COMMIT"}) {
      committed = committed && fixture.database->Execute(sql);
    }
    const bool fired = fixture.vfs.HasFired();
    fixture.vfs.Heal();
    if (!committed) static_cast<void>(fixture.database->Execute("COMMIT"));
    static_cast<void>(fixture.database->Execute("ROLLBACK"));
    CHECK(committed != fired);
    const std::string sum = committed ? "954000" : "900000";
    fixture.CheckRows(300, sum);
    fixture.Do("INSERT INTO t VALUES (1000, NULL)");
    fixture.CheckRows(301, sum);
    if (!fired) break;
  }
}

// SQLite takes back the statement alone where a full disk was met while reading.
TEST_CASE("gathered writes: a transaction whose pages were lost when they were read back cannot commit") {
  Fixture fixture;
  fixture.Do("CREATE TABLE u (i INTEGER PRIMARY KEY, x NOT NULL, y)");
  fixture.Do("PRAGMA cache_size = 4; PRAGMA temp_store = MEMORY; BEGIN");
  fixture.Do(kMany + "INSERT INTO u SELECT i, zeroblob(3000), i FROM n WHERE i <= 25");
  fixture.vfs.Arm(1, FaultKind::kFull, FaultSpan::kOnce);
  const auto failed = fixture.database->Execute("UPDATE u SET x = iif(y > 0, zeroblob(2000), NULL)");
  REQUIRE(fixture.vfs.HasFired());
  REQUIRE_FALSE(failed);
  CHECK(failed.error().kind == ErrorKind::kFull);
  fixture.vfs.Heal();
  CHECK_FALSE(fixture.database->Execute("COMMIT"));
  static_cast<void>(fixture.database->Execute("ROLLBACK"));
  CHECK(Ask(fixture.file, "SELECT count(*) FROM u") == 0);
  CHECK(AskText(fixture.file, "PRAGMA integrity_check") == "ok");
  fixture.Do("INSERT INTO u VALUES (1, 2, 3)");
  CHECK(Ask(fixture.file, "SELECT count(*) FROM u") == 1);
}

TEST_CASE("gathered writes: a checkpoint of which a write fails counts no page that is not in the file") {
  const bool leaves = [] {
    bool has_reader = false;
    SUBCASE("it takes over all frames") {}
    SUBCASE("it has to leave some, which somebody reads an older state than") {
      has_reader = true;
    }
    return has_reader;
  }();
  for (std::uint64_t call = 1;; ++call) {
    CAPTURE(call);
    REQUIRE(call < 100);
    Fixture fixture;
    fixture.InsertMany();
    REQUIRE(fixture.database->TruncateWal() == true);
    fixture.Do("UPDATE t SET x = zeroblob(3100) WHERE i <= 40");
    std::optional<Database> reader;
    if (leaves) {
      auto opened = Database::Open(fixture.file, OpenMode::kReadOnly);
      REQUIRE(opened);
      reader.emplace(std::move(*opened));
      REQUIRE(reader->Execute("BEGIN; SELECT count(*) FROM t"));
      fixture.Do("UPDATE t SET x = zeroblob(3200) WHERE i <= 40 AND i % 2 = 0");
    }
    const std::string sum = leaves ? "906000" : "904000";
    fixture.vfs.Arm(call, FaultKind::kFull, FaultSpan::kOnce);
    const auto done = fixture.database->Checkpoint();
    const bool fired = fixture.vfs.HasFired();
    fixture.vfs.Heal();
    CHECK(done.has_value() != fired);
    if (!leaves) fixture.CheckRows(300, sum);
    CHECK(AskText(fixture.file, "SELECT sum(length(x)) FROM t") == sum);
    CHECK(AskText(fixture.file, "PRAGMA integrity_check") == "ok");
    if (leaves) CHECK(reader->Scalar("SELECT sum(length(x)) FROM t") == 904'000);
    reader.reset();
    REQUIRE(fixture.database->Checkpoint());
    fixture.CheckRows(300, sum);
    if (!fired) break;
  }
}

TEST_CASE("gathered writes: what is attached, and a vacuum, go by the default way") {
  Fixture fixture;
  fixture.InsertMany();
  fixture.Do("ATTACH '" + (fixture.folder / "other.db").string() + "' AS other; CREATE TABLE other.u (x)");
  fixture.Do("INSERT INTO other.u SELECT x FROM t");
  CHECK(Ask(fixture.folder / "other.db", "SELECT count(*) FROM u") == 300);
  fixture.Do("DETACH other; DELETE FROM t WHERE i > 10; VACUUM");
  fixture.CheckRows(10, "30000");
}

}  // namespace outboxd
