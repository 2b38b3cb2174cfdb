// What is counted, by connection, and what happens when the file's counters are wrong.
#include "storage/counters.h"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <cstddef>
#include <string>

#include "storage/schema.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::TrackLine;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

// Two waiting jobs of "default", one of "other", and one dead of "default" with its attempt.
struct Fixture {
  Fixture() {
    auto outbox = Outbox::Open(file, 7);
    REQUIRE(outbox);
    auto jobs = test::Accept(
        *outbox, {TrackLine("1"), TrackLine("2"), TrackLine("3", "n", "other"), TrackLine("4")}, kNow);
    REQUIRE(jobs);
    REQUIRE(test::Settle(*outbox, test::OutcomeOf(std::move(jobs->back()), OutcomeKind::kDead, 400), kNow));
    auto opened = Database::Open(file, OpenMode::kReadWrite);
    REQUIRE(opened);
    database.emplace(std::move(*opened));
  }
  void Change(const std::string& sql) { REQUIRE(database->Execute(sql)); }
  Counters Load() {
    auto counters = Counters::Load(*database);
    REQUIRE(counters);
    return std::move(*counters);
  }

  TempDir folder;
  std::filesystem::path file = folder / "outbox.db";
  std::optional<Database> database;
};

const Counters::Map kRight = {{"default", {2, 1, 1}}, {"other", {1, 0, 0}}};

// How often statements of the databases opened meanwhile sorted rows, which takes memory for all of them.
class SortCount {
 public:
  SortCount() {
    sorts = 0;
    REQUIRE(sqlite3_auto_extension(reinterpret_cast<void (*)()>(&Watch)) == SQLITE_OK);
  }
  ~SortCount() { sqlite3_reset_auto_extension(); }
  SortCount(const SortCount&) = delete;
  SortCount& operator=(const SortCount&) = delete;

  inline static int sorts = 0;

 private:
  static int Watch(sqlite3* database, const char**, const void*) {
    return sqlite3_trace_v2(database, SQLITE_TRACE_PROFILE, &AtEnd, nullptr);
  }
  static int AtEnd(unsigned, void*, void* statement, void*) {
    sorts += sqlite3_stmt_status(static_cast<sqlite3_stmt*>(statement), SQLITE_STMTSTATUS_SORT, 0);
    return 0;
  }
};

// Destroys the page with the lowest rows of `table`, which has several.
void DestroyFirstLeaf(const std::filesystem::path& file, const std::string& table) {
  const std::int64_t page = test::Ask(file, "SELECT pageno FROM dbstat WHERE pagetype = 'leaf' AND name = '" +
                                                table + "' AND path <> '/' ORDER BY path LIMIT 1");
  REQUIRE(page > 1);
  std::string bytes = ReadFile(file);
  const std::size_t at = static_cast<std::size_t>(page - 1) * schema::kPageBytes;
  REQUIRE(at + schema::kPageBytes <= bytes.size());
  WriteFile(file, bytes.replace(at, schema::kPageBytes, schema::kPageBytes, '\x55'));
}

}  // namespace

TEST_CASE("counters: those of a sound file are taken as they are") {
  Fixture fixture;
  Counters counters = fixture.Load();
  CHECK(counters.ByConnection() == kRight);
  CHECK(counters.Total() == Counts{3, 1, 1});
  CHECK(counters.TakeRecounts().empty());
}

TEST_CASE("counters: what cannot be right is counted anew, told once, and stored with the next transaction") {
  Fixture fixture;
  const char* change = "";
  SUBCASE("another number") {
    change = "UPDATE counters SET jobs = 9 WHERE connection = 'default'";
  }
  SUBCASE("below zero") {
    change = "UPDATE counters SET dead = -1 WHERE connection = 'default'";
  }
  SUBCASE("not a number") {
    change = "UPDATE counters SET attempts = 'x' WHERE connection = 'default'";
  }
  SUBCASE("another name") {
    change = "UPDATE counters SET connection = 'x' WHERE connection = 'default'";
  }
  SUBCASE("none") {
    change = "DELETE FROM counters";
  }
  fixture.Change(change);
  Counters counters = fixture.Load();
  CHECK(counters.ByConnection() == kRight);
  CHECK_FALSE(counters.TakeRecounts().empty());
  CHECK(counters.TakeRecounts().empty());
  counters.CheckInvariants();
  REQUIRE(counters.Store(*fixture.database));
  counters.Keep();
  Counters again = fixture.Load();
  CHECK(again.ByConnection() == kRight);
  CHECK(again.TakeRecounts().empty());
}

TEST_CASE("counters: what was delivered survives a recount of the rows, also for a connection without any") {
  Fixture fixture;
  fixture.Change("UPDATE counters SET delivered = 41 WHERE connection = 'default'");
  fixture.Change(
      "INSERT INTO counters (connection, jobs, dead, attempts, delivered) VALUES ('idle', 0, 0, 0, 5)");
  fixture.Change("UPDATE counters SET jobs = 9 WHERE connection = 'other'");
  Counters counters = fixture.Load();
  CHECK(counters.ByConnection().at("default") == Counts{2, 1, 1, 41});
  CHECK(counters.ByConnection().at("other") == Counts{1, 0, 0, 0});
  CHECK(counters.ByConnection().at("idle") == Counts{0, 0, 0, 5});
  CHECK(counters.TakeRecounts().size() == 1);
  REQUIRE(counters.Store(*fixture.database));
  counters.Keep();
  CHECK(fixture.Load().ByConnection() == counters.ByConnection());
}

TEST_CASE(
    "counters: a count of deliveries that is no number becomes the highest that a waiting job remembers") {
  Fixture fixture;
  fixture.Change("UPDATE outbox SET deliveries_at_failure = seq + 100");
  const char* change = "";
  SUBCASE("text") {
    change = "UPDATE counters SET delivered = 'x'";
  }
  SUBCASE("below zero") {
    change = "UPDATE counters SET delivered = -1";
  }
  SUBCASE("beyond what can be") {
    change = "UPDATE counters SET delivered = 9223372036854775807";
  }
  SUBCASE("gone") {
    change = "DELETE FROM counters";
  }
  SUBCASE("lower than that") {
    change = "UPDATE counters SET delivered = 7";
  }
  fixture.Change(change);
  Counters counters = fixture.Load();
  CHECK(counters.ByConnection().at("default") == Counts{2, 1, 1, 102});
  CHECK(counters.ByConnection().at("other") == Counts{1, 0, 0, 103});
  CHECK(counters.TakeRecounts().size() == 2);
  counters.Add("default", &Counts::delivered);
  REQUIRE(counters.Store(*fixture.database));
  counters.Keep();
  CHECK(test::Ask(fixture.file, "SELECT delivered FROM counters WHERE connection = 'default'") == 103);
}

TEST_CASE("counters: what a damaged row remembers beyond all that can be is not believed") {
  Fixture fixture;
  for (const char* value : {"'x'", "-3", "9223372036854775807", "(1 << 48)"}) {
    fixture.Change("UPDATE outbox SET deliveries_at_failure = " + std::string(value));
    CHECK(fixture.Load().ByConnection() == kRight);
  }
}

TEST_CASE("counters: in a large file only what is impossible is counted anew") {
  Fixture fixture;
  fixture.Change("CREATE TABLE large (x); INSERT INTO large VALUES (zeroblob(5000000))");
  fixture.Change("UPDATE counters SET jobs = 1 WHERE connection = 'default'");
  CHECK(fixture.Load().ByConnection().at("default").jobs == 1);
  const char* change = "";
  SUBCASE("more jobs than sequences") {
    change = "UPDATE counters SET jobs = 3 WHERE connection = 'default'";
  }
  SUBCASE("rows, but none counted") {
    change = "UPDATE counters SET dead = 0";
  }
  SUBCASE("rows counted, but none there") {
    change = "DELETE FROM history";
  }
  fixture.Change(change);
  CHECK(fixture.Load().ByConnection().at("default").jobs == 2);
}

TEST_CASE("counters: counting the rows anew sorts none of them") {
  const SortCount count;
  Fixture fixture;
  SortCount::sorts = 0;
  fixture.Change("SELECT id FROM history ORDER BY last_ms");
  REQUIRE(SortCount::sorts == 1);
  fixture.Change("UPDATE counters SET jobs = 9");
  SortCount::sorts = 0;
  CHECK(fixture.Load().ByConnection() == kRight);
  CHECK(SortCount::sorts == 0);
}

TEST_CASE("counters: a damaged page of the history or the dead letters leaves them believed") {
  Fixture fixture;
  std::string table;
  SUBCASE("history") {
    table = "history";
    fixture.Change(
        "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 999) INSERT INTO "
        "history SELECT i, first_ms, last_ms, rows, records || hex(zeroblob(100)) FROM n, history");
  }
  SUBCASE("dead letters") {
    table = "dead_letters";
    fixture.Change(
        "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 999) INSERT INTO "
        "dead_letters SELECT i, job, connection, type, customer, accepted_ms, dead_ms, death, status, "
        "reason, "
        "cause, hex(zeroblob(100)), attempts, line, uid, NULL, NULL, NULL FROM n, dead_letters");
  }
  fixture.Change("PRAGMA wal_checkpoint(TRUNCATE)");
  fixture.database.reset();
  DestroyFirstLeaf(fixture.file, table);
  auto database = Database::Open(fixture.file, OpenMode::kReadWrite);
  REQUIRE(database);
  REQUIRE_FALSE(database->Scalar("SELECT min(rowid) FROM " + table));
  auto counters = Counters::Load(*database);
  REQUIRE_MESSAGE(counters, (counters ? "" : counters.error().message));
  CHECK(counters->ByConnection() == kRight);
  CHECK(counters->TakeRecounts().empty());
}

TEST_CASE(
    "counters: a subtraction below zero counts the rows anew before the commit, and a rollback undoes that") {
  Fixture fixture;
  fixture.Change("CREATE TABLE large (x); INSERT INTO large VALUES (zeroblob(5000000))");
  fixture.Change("UPDATE counters SET jobs = 1 WHERE connection = 'default'");
  Counters counters = fixture.Load();
  const auto settle_two = [&] {
    REQUIRE(fixture.database->Execute("BEGIN; DELETE FROM outbox WHERE connection = 'default'"));
    counters.Subtract("default", &Counts::jobs, 2);
    REQUIRE(counters.Store(*fixture.database));
  };
  settle_two();
  REQUIRE(fixture.database->Execute("ROLLBACK"));
  counters.Undo();
  CHECK(counters.ByConnection().at("default").jobs == 1);
  CHECK(counters.TakeRecounts().empty());
  settle_two();
  REQUIRE(fixture.database->Execute("COMMIT"));
  counters.Keep();
  CHECK(counters.ByConnection().at("default") == Counts{0, 1, 1});
  CHECK(counters.TakeRecounts().size() == 1);
  CHECK(test::Ask(fixture.file, "SELECT jobs FROM counters WHERE connection = 'default'") == 0);
}

TEST_CASE("counters: a recount within a transaction names only the counters that were wrong") {
  Fixture fixture;
  fixture.Change("CREATE TABLE large (x); INSERT INTO large VALUES (zeroblob(5000000))");
  fixture.Change("UPDATE counters SET jobs = 1 WHERE connection = 'default'");
  Counters counters = fixture.Load();
  REQUIRE(fixture.database->Execute("BEGIN; DELETE FROM outbox"));
  counters.Subtract("other", &Counts::jobs);
  counters.Subtract("default", &Counts::jobs, 2);
  REQUIRE(counters.Store(*fixture.database));
  REQUIRE(fixture.database->Execute("COMMIT"));
  counters.Keep();
  CHECK(counters.Total() == Counts{0, 1, 1});
  const std::vector<Recount> recounts = counters.TakeRecounts();
  REQUIRE(recounts.size() == 1);
  CHECK(recounts[0].connection == "default");
  CHECK(static_cast<std::int64_t>(recounts[0].before.jobs) == -1);
  CHECK(recounts[0].after == Counts{0, 1, 1});
}

TEST_CASE("counters: after a rollback they are as before, and a connection that was new is gone") {
  Fixture fixture;
  Counters counters = fixture.Load();
  counters.Add("default", &Counts::jobs);
  counters.Add("new", &Counts::jobs, 3);
  counters.Add("default", &Counts::dead);
  CHECK(counters.ByConnection().at("new").jobs == 3);
  CHECK(counters.ByConnection().at("default") == Counts{3, 2, 1});
  counters.Undo();
  CHECK(counters.ByConnection() == kRight);
  counters.CheckInvariants();
}

}  // namespace outboxd
