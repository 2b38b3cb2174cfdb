// An outbox of each earlier format, as that version of the program left it, opened by this one.
#include <doctest/doctest.h>

#include "storage/inspection.h"
#include "storage/outbox.h"
#include "storage/outbox_reader.h"
#include "storage/schema.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

constexpr Timestamp kNow = FromUnixMs(1'800'000'000'000);

void MakeOutbox(const std::filesystem::path& file, const std::string& dump) {
  auto database = Database::Open(file, OpenMode::kReadWrite);
  REQUIRE(database);
  REQUIRE(database->Execute("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL"));
  REQUIRE(database->Execute(ReadFile(std::filesystem::path(OUTBOXD_SOURCE_DIR) / "tests/storage" / dump)));
}

// Format 1: a deferred job (1), four parked behind it (2, 3, 5, 6), a ready one (4), a dead letter (7), an
// attempt.
void MakeFormat1(const std::filesystem::path& file) {
  MakeOutbox(file, "outbox_v1.sql");
}

TEST_CASE("upgrade: an outbox of format 1 goes on with every job, dead letter and attempt") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  MakeFormat1(file);
  auto outbox = Outbox::Open(file, 1);
  REQUIRE_MESSAGE(outbox, (outbox ? "" : outbox.error().message));
  CHECK(test::Ask(file, "PRAGMA user_version") == std::int64_t{schema::kMigrations.size()});

  auto reader = OutboxReader::Open(file);
  REQUIRE(reader);
  const auto deferred = test::ReadDeferred(*reader, "default");
  REQUIRE((deferred && deferred->size() == 1));
  CHECK(deferred->front().job->sequence == Sequence{1});
  CHECK(deferred->front().job->attempts == 1);
  const auto lanes = reader->ReadParkedLanes("default");
  REQUIRE((lanes && lanes->size() == 1));
  CHECK(reader->ReadParked("default", lanes->front().lane, Sequence{}, 10, 1 << 20)->jobs.size() == 4);
  const auto page = reader->ReadAfter("default", Sequence{}, 10, 1 << 20, 100);
  REQUIRE((page && page->jobs.size() == 1));
  CHECK(page->jobs.front().job->stamp.id.ToText() == "01M89YDT720000000413PWA8JX");

  auto inspection = Inspection::Open(file);
  REQUIRE(inspection);
  CHECK(inspection->Attempts((*reader->ReadOne(Sequence{1}))->job->stamp.id)->size() == 1);
  const auto row = inspection->Job(Sequence{4});
  REQUIRE((row && *row));
  CHECK_FALSE((*row)->uid);
  REQUIRE(test::Redrive(*outbox, {}, kNow));
  CHECK(test::Ask(file, "SELECT count(*) FROM outbox") == 7);
  CHECK(test::Ask(file, "SELECT count(*) FROM dead_letters") == 0);
}

TEST_CASE(
    "upgrade: new jobs are numbered after the old ones, and keep the user who handed them over through death "
    "and redrive") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  MakeFormat1(file);
  auto outbox = Outbox::Open(file, 1);
  REQUIRE(outbox);
  auto job = test::NewJob(test::TrackLine("42"));
  job->uid = 33;
  WriteBatch batch;
  batch.accepted.push_back(job.get());
  REQUIRE(outbox->Write(batch, kNow));
  CHECK(ToNumber(job->sequence) > 7);
  const Sequence sequence = job->sequence;
  const auto uid_in = [&](const std::string& table) {
    return test::Ask(file, "SELECT uid FROM " + table + " WHERE seq = " + std::to_string(ToNumber(sequence)));
  };
  CHECK(uid_in("outbox") == 33);
  Outcome outcome = test::OutcomeOf(std::move(job), OutcomeKind::kDead, 400);
  REQUIRE(test::Settle(*outbox, outcome, kNow));
  CHECK(uid_in("dead_letters") == 33);
  DeadFilter of_user;
  of_user.uid = 34;
  REQUIRE(test::Redrive(*outbox, of_user, kNow));
  CHECK(uid_in("dead_letters") == 33);
  of_user.uid = 33;
  REQUIRE(test::Redrive(*outbox, of_user, kNow));
  CHECK(uid_in("outbox") == 33);
  REQUIRE(outbox->operator_work().Cancel(sequence, kNow));
  CHECK(uid_in("dead_letters") == 33);
}

// Format 2: "gone" was paused because it left the config, "lunch" by an operator, "default" waits.
TEST_CASE("upgrade: in an outbox of format 2 a connection that left the config is paused for that reason") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  MakeOutbox(file, "outbox_v2.sql");
  REQUIRE(Outbox::Open(file, 1));
  CHECK(test::Ask(file, "PRAGMA user_version") == std::int64_t{schema::kMigrations.size()});
  auto reader = OutboxReader::Open(file);
  REQUIRE(reader);
  const auto gates = reader->ReadGates();
  REQUIRE((gates && gates->size() == 3));
  CHECK(gates->at("gone").pause == PauseReason::kUnconfigured);
  CHECK(gates->at("gone").state == GateState::kPaused);
  CHECK(gates->at("lunch").pause == PauseReason::kOperator);
  CHECK(gates->at("default").pause == PauseReason::kNone);
}

// Format 3: "away" has a job deferred and charged seven times (3); "default" is paused, with one that was
// charged twice and came back (4) and two parked behind it (5, 6).
TEST_CASE(
    "upgrade: in an outbox of format 3 a job has failed as often as it was charged, and is suspected of "
    "nothing") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  MakeOutbox(file, "outbox_v3.sql");
  auto outbox = Outbox::Open(file, 1);
  REQUIRE(outbox);
  CHECK(test::Ask(file, "PRAGMA user_version") == std::int64_t{schema::kMigrations.size()});
  CHECK(outbox->TakeRecounts().empty());
  CHECK(outbox->AtStart().delivered ==
        std::map<std::string, std::uint64_t, std::less<>>{{"away", 0}, {"default", 0}});
  auto reader = OutboxReader::Open(file);
  REQUIRE(reader);
  for (const auto& [number, charged] : {std::pair(3U, 7U), std::pair(4U, 2U), std::pair(5U, 0U)}) {
    CAPTURE(number);
    const auto stored = reader->ReadOne(Sequence{number});
    REQUIRE((stored && *stored));
    const QueuedJob& job = *(*stored)->job;
    CHECK(job.charged == charged);
    CHECK(job.failures == charged);
    CHECK(job.refusals == 0);
    CHECK(job.suspicion == Suspicion::kNone);
    CHECK_FALSE(job.deliveries_at_failure);
    CHECK_FALSE(job.counted_at);
  }
  auto stored = reader->ReadOne(Sequence{4});
  REQUIRE((stored && *stored));
  const Outcome outcome = test::OutcomeOf(std::move((*stored)->job), OutcomeKind::kDelivered, 200);
  REQUIRE(test::Settle(*outbox, outcome, kNow));
  CHECK(test::Ask(file, "SELECT delivered FROM counters WHERE connection = 'default'") == 1);
}

// Format 4: "default" has a deferred job (2) with two parked behind it (3, 4) and a dead letter (1), "away"
// two deferred ones (5, 6); all of user 0.
TEST_CASE(
    "upgrade: in an outbox of format 4 deferred jobs are in memory, and what its user holds is counted") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  MakeOutbox(file, "outbox_v4.sql");
  auto outbox = Outbox::Open(file, 1);
  REQUIRE_MESSAGE(outbox, (outbox ? "" : outbox.error().message));
  CHECK(test::Ask(file, "PRAGMA user_version") == std::int64_t{schema::kMigrations.size()});
  CHECK(outbox->TakeRecounts().empty());
  CHECK(outbox->HoldsByUser().size() == 1);
  CHECK(outbox->HoldsByUser().at(0) == UserHolds{5, 261, 1, 39});
  auto reader = OutboxReader::Open(file);
  REQUIRE(reader);
  CHECK(test::ReadDeferred(*reader, "default")->size() == 1);
  CHECK(test::ReadDeferred(*reader, "away")->size() == 2);
  CHECK(reader->ReadParkedLanes("default")->size() == 1);
  CHECK_FALSE(*reader->HasKept("default"));
  CHECK(test::Ask(file, "SELECT count(*) FROM amended") == 0);
  // Their times stay whatever the clock does: of what boot they are is not known.
  const Timestamp accepted = (*reader->ReadOne(Sequence{3}))->job->stamp.accepted;
  for (const Timestamp now : {kNow, kNow + std::chrono::hours(5)}) {
    REQUIRE(outbox->SeeClock({now, std::chrono::seconds(9), "boot", false, {}}));
    const auto old = reader->ReadOne(Sequence{3});
    REQUIRE((old && *old));
    CHECK((*old)->job->stamp.accepted == accepted);
    CHECK_FALSE((*old)->job->accepted_boot);
  }

  auto stored = reader->ReadOne(Sequence{2});
  REQUIRE((stored && *stored));
  Outcome outcome = test::OutcomeOf(std::move((*stored)->job), OutcomeKind::kDeferred, 500, kNow);
  outcome.stow = std::make_unique<const LaneList>(MakeLaneKey("default", "42"));
  REQUIRE(test::Settle(*outbox, outcome, kNow));
  CHECK(test::ReadDeferred(*reader, "default")->empty());
  CHECK(reader->ReadParkedLanes("default")->empty());
  CHECK(*reader->CountStowed("default") == 1);
  auto inspection = Inspection::Open(file);
  REQUIRE(inspection);
  JobFilter deferred;
  deferred.deferred_only = true;
  CHECK(inspection->Jobs(deferred, {})->rows.size() == 3);
  const auto before = inspection->DeferredBefore("default", "42", Sequence{3});
  REQUIRE((before && *before));
  CHECK((*before)->sequence == Sequence{2});
}

std::vector<std::string> AllAttempts(const std::filesystem::path& file) {
  auto database = Database::Open(file, OpenMode::kReadOnly);
  REQUIRE(database);
  auto rows = database->Prepare(
      "SELECT seq, attempt, job, connection, type, customer, sent_ms, duration_ms, result, status, error, "
      "answer FROM attempts ORDER BY seq, attempt");
  REQUIRE(rows);
  std::vector<std::string> all;
  for (auto row = rows->Step(); row && *row; row = rows->Step()) {
    std::string& line = all.emplace_back();
    for (int column = 0; column < 12; ++column)
      line.append(rows->IsNull(column) ? "NULL" : rows->Text(column)).append("|");
  }
  return all;
}

// Beside what the old program left: 300 jobs with up to three attempts each.
void AddAttempts(const std::filesystem::path& file) {
  auto database = Database::Open(file, OpenMode::kReadWrite);
  REQUIRE(database);
  REQUIRE(
      database->Execute("WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 399), "
                        "a(k) AS (VALUES (1), (2), (3)) INSERT INTO attempts SELECT i, k, '01JDB3T0C5' || "
                        "substr('00000000' || i, -8) || 'W7X8Y9Z0', iif(i % 7 = 0, 'eu', 'default'), iif(i "
                        "% 3 = 0, 'identify', 'track'), iif(i % 5 = 0, NULL, 'customer \"' || i), "
                        "1732318658000 + i * 10 + k, k, iif(k = 1 + i % 3, 'delivered', 'deferred'), "
                        "iif(k = 1 + i % 3, 200, iif(i % 2, 503, NULL)), iif(i % 2, NULL, 'reset'), iif(k "
                        "= 1 + i % 3, '{}', iif(i % 2, '{\"error\": \"' || i || '\\\"\"}', NULL)) FROM "
                        "n, a WHERE k <= 1 + i % 3"));
}

TEST_CASE("upgrade: every attempt of format 4 is in the packed history, as it was") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  MakeOutbox(file, "outbox_v4.sql");
  AddAttempts(file);
  // The sequence inside an id is that of its job.
  {
    auto database = Database::Open(file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(
        database->Execute("UPDATE attempts SET job = '01JDB3T0C5000000' || substr("
                          "'0123456789ABCDEFGHJKMNPQRSTVWXYZ', (seq >> 5) + 1, 1) || substr("
                          "'0123456789ABCDEFGHJKMNPQRSTVWXYZ', (seq & 31) + 1, 1) || 'W7X8Y9Z0' WHERE "
                          "seq >= 100"));
  }
  const std::vector<std::string> before = AllAttempts(file);
  REQUIRE(before.size() > 600);
  auto outbox = Outbox::Open(file, 1);
  REQUIRE_MESSAGE(outbox, (outbox ? "" : outbox.error().message));
  CHECK(AllAttempts(file) == before);
  CHECK(outbox->Total().attempts == before.size());
  CHECK(test::Ask(file, "SELECT sum(rows) FROM history") == static_cast<std::int64_t>(before.size()));
  CHECK(test::Ask(file, "SELECT max(length(records)) FROM history") <= 4'000);
  CHECK(test::Ask(file, "SELECT count(*) FROM history") < 30);
  // What was not kept then is not known; when a job was accepted its id says.
  CHECK(test::Ask(file, "SELECT count(*) FROM attempts WHERE coalesce(name, ref, uid) IS NOT NULL") == 0);
  CHECK(test::Ask(file,
                  "SELECT count(*) FROM attempts WHERE seq >= 100 AND accepted_ms <> "
                  "1732318658949") == 0);
  auto inspection = Inspection::Open(file);
  REQUIRE(inspection);
  const auto job =
      Ulid::Parse(test::AskText(file, "SELECT job FROM attempts WHERE seq = 398 AND attempt = 3"));
  REQUIRE(job);
  CHECK(job->SequencePart() == Sequence{398});
  CHECK(inspection->Attempts(*job)->size() == 3);
  AttemptFilter of_customer;
  of_customer.customer = "customer \"398";
  CHECK(inspection->Attempts(of_customer, {})->rows.size() == 3);
}

TEST_CASE("upgrade: damaged attempts of format 4 stop no start") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  MakeOutbox(file, "outbox_v4.sql");
  AddAttempts(file);
  {
    auto database = Database::Open(file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(database->Execute(
        "UPDATE attempts SET answer = x'c3' WHERE seq % 11 = 0; UPDATE attempts SET customer = CAST(x'c328' "
        "AS "
        "TEXT), job = 'short', sent_ms = 'never', status = 1e300, connection = x'ff' WHERE seq % 13 = 0;"
        "UPDATE attempts SET job = x'00', duration_ms = x'01', type = 7, result = x'', error = 5 WHERE seq % "
        "17 = 0; INSERT INTO attempts VALUES ('x', 1, 'j', 'c', 't', NULL, 0, 0, 'r', NULL, NULL, NULL), "
        "(9223372036854775807, 1, 'j', 'c', 't', NULL, 0, 0, 'r', NULL, NULL, NULL), (5, 'x', 'j', 'c', 't', "
        "NULL, 0, 0, 'r', NULL, NULL, NULL), (5, -9223372036854775808, 'j', 'c', 't', NULL, "
        "9223372036854775807, -9223372036854775808, 'r', NULL, NULL, NULL)"));
  }
  const std::int64_t sound =
      test::Ask(file, "SELECT count(*) FROM attempts WHERE typeof(seq) = 'integer' AND seq < 1 << 40");
  auto outbox = Outbox::Open(file, 1);
  REQUIRE_MESSAGE(outbox, (outbox ? "" : outbox.error().message));
  CHECK(outbox->Total().attempts == static_cast<std::uint64_t>(sound));
  CHECK(test::CountAttempts(file) == static_cast<std::uint64_t>(sound));
}

TEST_CASE("upgrade: is told before it begins, with both formats and the size, and otherwise nothing is") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  const auto present = static_cast<std::int64_t>(schema::kMigrations.size());
  for (std::int64_t format = 1; format < present; ++format) {
    CAPTURE(format);
    const auto old = folder / ("v" + std::to_string(format));
    MakeOutbox(old, "outbox_v" + std::to_string(format) + ".sql");
    int told = 0;
    const auto tell = [&](const Upgrade& upgrade) {
      ++told;
      CHECK(upgrade.from == format);
      CHECK(upgrade.to == present);
      CHECK(upgrade.bytes == static_cast<std::uint64_t>(test::Ask(old, "PRAGMA page_count")) * 4096);
      CHECK(test::Ask(old, "PRAGMA user_version") == format);
    };
    REQUIRE(Outbox::Open(old, 1, tell));
    CHECK(told == 1);
    CHECK(test::Ask(old, "PRAGMA user_version") == present);
  }
  const auto silent = [](const Upgrade&) { FAIL_CHECK("nothing is upgraded"); };
  REQUIRE(Outbox::Open(file, 1, silent));  // a new one
  REQUIRE(Outbox::Open(file, 1, silent));
}

// The statements of the n-th block of SQL in CHANGELOG.md, from 0.
std::string WayBack(int number) {
  const std::string text = ReadFile(std::filesystem::path(OUTBOXD_SOURCE_DIR) / "CHANGELOG.md");
  constexpr std::string_view kBegin = "```sql\n";
  std::size_t at = 0;
  for (int block = 0; block <= number; ++block) {
    at = text.find(kBegin, at);
    REQUIRE(at != std::string::npos);
    at += kBegin.size();
  }
  return text.substr(at, text.find("```", at) - at);
}

// Tables with their columns, indexes and views, by name.
std::string SchemaOf(const std::filesystem::path& file) {
  return test::AskText(
      file,
      "SELECT group_concat(name || ': ' || columns, x'0a') FROM (SELECT name, (SELECT "
      "ifnull(group_concat(c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk, ', '), "
      "'') FROM (SELECT * FROM pragma_table_info(s.name) ORDER BY name) c) AS columns FROM "
      "sqlite_schema s WHERE name NOT LIKE 'sqlite_%' ORDER BY name)");
}

TEST_CASE("upgrade: the way back that CHANGELOG.md tells leads to the format before, and loses no job") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  const auto present = static_cast<std::int64_t>(schema::kMigrations.size());
  const std::string changelog = ReadFile(std::filesystem::path(OUTBOXD_SOURCE_DIR) / "CHANGELOG.md");
  CHECK(changelog.find("\nDisk format " + std::to_string(present) + " (") != std::string::npos);
  {
    MakeOutbox(file, "outbox_v4.sql");
    AddAttempts(file);
    auto outbox = Outbox::Open(file, 1);
    REQUIRE(outbox);
    REQUIRE(test::Accept(*outbox, {test::TrackLine("1"), test::TrackLine("2")}, kNow));
  }
  const std::int64_t jobs = test::Ask(file, "SELECT count(*) FROM outbox");
  const auto attempts = test::CountAttempts(file);
  for (std::int64_t back = 1; back <= 2; ++back) {
    CAPTURE(back);
    const std::int64_t format = present - back;
    {
      auto database = Database::Open(file, OpenMode::kReadWrite);
      REQUIRE(database);
      const Result<void> done = database->Execute(WayBack(static_cast<int>(back) - 1));
      REQUIRE_MESSAGE(done, (done ? "" : done.error().message));
    }
    CHECK(test::Ask(file, "PRAGMA user_version") == format);
    const auto original = folder / ("v" + std::to_string(format));
    MakeOutbox(original, "outbox_v" + std::to_string(format) + ".sql");
    CHECK(SchemaOf(file) == SchemaOf(original));
    CHECK(test::Ask(file, "SELECT count(*) FROM outbox") == jobs);
    CHECK(test::Ask(file, "SELECT count(*) FROM attempts") == static_cast<std::int64_t>(attempts));
    CHECK(test::AskText(file, "PRAGMA integrity_check") == "ok");
  }
  auto again = Outbox::Open(file, 1);
  REQUIRE_MESSAGE(again, (again ? "" : again.error().message));
  CHECK(again->Total().jobs == static_cast<std::uint64_t>(jobs));
  CHECK(again->TakeRecounts().empty());
}

TEST_CASE("upgrade: an outbox of an earlier format that lost a table is refused as damaged") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  MakeOutbox(file, "outbox_v2.sql");
  {
    auto database = Database::Open(file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(database->Execute("DROP TABLE connections"));
  }
  const auto opened = Outbox::Open(file, 1);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().kind == ErrorKind::kCorrupt);
  CHECK(opened.error().message.find(file.string()) != std::string::npos);
  CHECK(opened.error().message.find("restore a backup") != std::string::npos);
  CHECK(test::Ask(file, "PRAGMA user_version") == 2);
}

}  // namespace
}  // namespace outboxd
