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
  CHECK(inspection->Attempts(Sequence{1})->size() == 1);
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
