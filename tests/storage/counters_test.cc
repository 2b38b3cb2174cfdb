// What is counted, by connection, and what happens when the file's counters are wrong.
#include "storage/counters.h"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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
  bool is_told = true;  // the numbers were wrong
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
  SUBCASE("they include sequences below zero") {
    change = "UPDATE counters SET through = -1 WHERE connection = 'other'";
    is_told = false;
  }
  SUBCASE("they include what is not a sequence") {
    change = "UPDATE counters SET through = 'x' WHERE connection = 'default'";
    is_told = false;
  }
  SUBCASE("they include sequences that no job was given") {
    change = "UPDATE counters SET through = (SELECT reserved FROM sequence)";
    is_told = false;
  }
  SUBCASE("they include less than they say") {
    change = "UPDATE counters SET through = 1";
  }
  fixture.Change(change);
  Counters counters = fixture.Load();
  CHECK(counters.ByConnection() == kRight);
  CHECK(counters.TakeRecounts().empty() == !is_told);
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

namespace {

// An outbox that is too large for its rows to be counted at a start, so that a wrong number would stay.
struct Waiting {
  Waiting() { Open(); }
  void Open() {
    outbox.reset();
    auto opened = Outbox::Open(file, 7);
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().message));
    outbox.emplace(std::move(*opened));
  }
  void MakeLarge() {
    auto database = Database::Open(file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(database->Execute("CREATE TABLE large (x); INSERT INTO large VALUES (zeroblob(5000000))"));
  }
  test::Jobs Accept(std::size_t count, const std::string& connection = "default") {
    auto jobs = test::Accept(*outbox, std::vector<std::string>(count, TrackLine("1", "n", connection)), kNow);
    REQUIRE(jobs);
    return std::move(*jobs);
  }
  std::int64_t Stored(const std::string& connection = "default") {
    return test::Ask(file, "SELECT jobs FROM counters WHERE connection = '" + connection + "'");
  }
  void Settle(std::unique_ptr<QueuedJob> job) {
    REQUIRE(test::Settle(*outbox, test::OutcomeOf(std::move(job), OutcomeKind::kDelivered, 200), kNow));
  }
  // What a start finds after the process was killed now.
  void CheckAfterKill() {
    TempDir other;
    for (const char* suffix : {"", "-wal"})
      std::filesystem::copy_file(file.string() + suffix, (other / "outbox.db").string() + suffix);
    for (int start = 0; start < 2; ++start) {
      auto opened = Outbox::Open(other / "outbox.db", 8);
      REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().message));
      CHECK(opened->CountsByConnection() == outbox->CountsByConnection());
      CHECK(opened->HoldsByUser() == outbox->HoldsByUser());
      CHECK(opened->TakeRecounts().empty());
      test::CheckCounts(*opened, other / "outbox.db");
    }
  }

  TempDir folder;
  std::filesystem::path file = folder / "outbox.db";
  std::optional<Outbox> outbox;
};

}  // namespace

TEST_CASE("counters: a transaction that only accepts jobs leaves them to the next of another kind") {
  Waiting waiting;
  waiting.MakeLarge();
  test::Jobs jobs = waiting.Accept(3);
  CHECK(test::Ask(waiting.file, "SELECT count(*) FROM counters") == 0);
  CHECK(test::Ask(waiting.file, "SELECT jobs FROM users WHERE uid = -1") == 3);
  waiting.CheckAfterKill();
  waiting.Settle(std::move(jobs[0]));
  CHECK(waiting.Stored() == 2);
  waiting.CheckAfterKill();
  waiting.Accept(1, "other");
  waiting.Accept(2);
  CHECK(waiting.Stored() == 2);
  CHECK(test::Ask(waiting.file, "SELECT jobs FROM users WHERE uid = -1") == 5);
  waiting.CheckAfterKill();
  REQUIRE(waiting.outbox->TryWriting());
  CHECK(waiting.Stored() == 4);
  CHECK(waiting.Stored("other") == 1);
  CHECK(test::Ask(waiting.file, "SELECT jobs FROM users WHERE uid = -1") == 5);
  waiting.CheckAfterKill();
}

TEST_CASE("counters: after a thousand jobs they are stored whatever is written") {
  Waiting waiting;
  waiting.MakeLarge();
  waiting.Accept(10);
  waiting.Accept(990);
  CHECK(test::Ask(waiting.file, "SELECT count(*) FROM counters") == 0);
  waiting.CheckAfterKill();
  waiting.Accept(1);
  CHECK(waiting.Stored() == 1001);
  waiting.Accept(1000);
  CHECK(waiting.Stored() == 1001);
  waiting.CheckAfterKill();
  REQUIRE(test::Accept(*waiting.outbox, {TrackLine("1", std::string(90, 'n'))}, kNow));
  CHECK(waiting.Stored() == 2002);
  waiting.CheckAfterKill();
}

TEST_CASE("counters: a stop stores what was left, and a start goes on with what a killed one had left") {
  Waiting waiting;
  waiting.MakeLarge();
  waiting.Accept(3);
  waiting.outbox.reset();
  CHECK(waiting.Stored() == 3);
  waiting.Open();
  waiting.Accept(2);
  CHECK(waiting.Stored() == 3);
  waiting.CheckAfterKill();
}

TEST_CASE("counters: a transaction that fails leaves to be stored what earlier ones had left") {
  Waiting waiting;
  waiting.MakeLarge();
  test::Jobs jobs = waiting.Accept(3);
  {
    auto database = Database::Open(waiting.file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(
        database->Execute("CREATE TRIGGER no BEFORE INSERT ON outbox WHEN NEW.connection = 'bad' BEGIN "
                          "SELECT RAISE(ABORT, 'no'); END; CREATE TRIGGER late BEFORE DELETE ON outbox "
                          "BEGIN SELECT RAISE(ABORT, 'no'); END"));
  }
  REQUIRE_FALSE(
      test::Accept(*waiting.outbox, {TrackLine("1", "n", "other"), TrackLine("1", "n", "bad")}, kNow));
  const Outcome refused = test::OutcomeOf(std::move(jobs[0]), OutcomeKind::kDelivered, 200);
  REQUIRE_FALSE(test::Settle(*waiting.outbox, refused, kNow));
  CHECK(waiting.outbox->Total().jobs == 3);
  waiting.outbox->CheckInvariants();
  waiting.CheckAfterKill();
  waiting.Accept(1);
  waiting.outbox->CheckInvariants();
  REQUIRE(waiting.outbox->TryWriting());
  CHECK(waiting.Stored() == 4);
  CHECK(waiting.outbox->TakeRecounts().empty());
  waiting.CheckAfterKill();
}

TEST_CASE("counters: rows that a damaged `through` leaves out are counted") {
  Waiting waiting;
  waiting.MakeLarge();
  waiting.Accept(3);
  REQUIRE(waiting.outbox->TryWriting());
  waiting.Accept(2);
  const char* through = "";
  SUBCASE("a sequence that no job was given") {
    through = "(SELECT reserved FROM sequence)";
  }
  SUBCASE("text") {
    through = "'x'";
  }
  TempDir other;
  for (const char* suffix : {"", "-wal"})
    std::filesystem::copy_file(waiting.file.string() + suffix, (other / "outbox.db").string() + suffix);
  REQUIRE(Database::Open(other / "outbox.db", OpenMode::kReadWrite)
              ->Execute("UPDATE counters SET through = " + std::string(through)));
  auto opened = Outbox::Open(other / "outbox.db", 8);
  REQUIRE(opened);
  CHECK(opened->Total().jobs == 5);
  CHECK(opened->HoldsByUser().at(std::nullopt).jobs == 5);
  CHECK(opened->TakeRecounts().size() == 1);
}

TEST_CASE("counters: more rows than are ever left to be stored are all counted anew") {
  Waiting waiting;
  waiting.MakeLarge();
  waiting.Accept(1500);
  waiting.outbox.reset();
  REQUIRE(Database::Open(waiting.file, OpenMode::kReadWrite)->Execute("UPDATE counters SET through = 3"));
  waiting.Open();
  CHECK(waiting.outbox->Total().jobs == 1500);
  CHECK(waiting.outbox->HoldsByUser().at(std::nullopt).jobs == 1500);
  CHECK(waiting.outbox->TakeRecounts().empty());  // they were right but for that
  waiting.Accept(1);
  CHECK(waiting.Stored() == 1501);
  waiting.CheckAfterKill();
}

}  // namespace outboxd
