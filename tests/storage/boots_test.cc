// What a row keeps of the clocks, and what becomes of its time when the wall clock is set.
#include "storage/boots.h"

#include <doctest/doctest.h>

#include <chrono>

#include "storage/inspection.h"
#include "storage/outbox_reader.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr Timestamp kBuilt = FromUnixMs(1'790'000'000'000);
constexpr Timestamp kNever = FromUnixMs(100'000);

ClockReading At(Timestamp wall, Milliseconds boot, std::string_view id = "one",
                bool is_synchronised = false) {
  return {wall, boot, id, is_synchronised, kBuilt};
}

struct Fixture {
  Fixture() { Open(); }
  void Open() {
    outbox.reset();
    auto opened = Outbox::Open(file, 7);
    REQUIRE(opened);
    outbox.emplace(std::move(*opened));
  }
  std::optional<Milliseconds> See(const ClockReading& clock) {
    this_boot = clock.boot_id;
    const auto moved = outbox->SeeClock(clock);
    REQUIRE(moved);
    return *moved;
  }
  Sequence Accept(const ClockReading& clock) {
    See(clock);
    auto jobs = test::Accept(*outbox, {test::TrackLine("42")}, clock.wall);
    REQUIRE(jobs);
    job = std::move(jobs->front());
    return job->sequence;
  }
  std::int64_t Ask(const std::string& sql) { return test::Ask(file, sql); }
  QueuedJob Read(Sequence sequence) {
    auto reader = OutboxReader::Open(file);
    REQUIRE(reader);
    reader->SeeClock(At(kBuilt + hours(9), seconds(50), this_boot));
    auto stored = reader->ReadOne(sequence);
    REQUIRE((stored && *stored));
    return std::move(*(*stored)->job);
  }
  Timestamp Shown(Sequence sequence) {
    auto inspection = Inspection::Open(file);
    REQUIRE(inspection);
    const auto row = inspection->Job(sequence);
    REQUIRE((row && *row));
    return (*row)->accepted;
  }

  TempDir folder;
  std::filesystem::path file = folder / "outbox.db";
  std::optional<Outbox> outbox;
  std::unique_ptr<QueuedJob> job;  // accepted last
  std::string_view this_boot;
};

}  // namespace

TEST_CASE("boots: a row keeps the wall clock, the boot and its clock, and whether it was synchronised") {
  Fixture fixture;
  const Sequence first = fixture.Accept(At(kBuilt, seconds(7)));
  CHECK(fixture.job->accepted_boot == seconds(7));
  CHECK(fixture.Ask("SELECT accepted_ms FROM outbox") == ToUnixMs(kBuilt));
  CHECK(fixture.Ask("SELECT boot_ms FROM outbox") == 7'000);
  CHECK(fixture.Ask("SELECT synchronised FROM outbox") == 0);
  CHECK(test::AskText(fixture.file, "SELECT id FROM boots, outbox WHERE number = boot") == "one");
  const Sequence second = fixture.Accept(At(kBuilt, seconds(8), "one", true));
  CHECK_FALSE(fixture.job->accepted_boot);
  CHECK(fixture.Ask("SELECT synchronised FROM outbox ORDER BY seq DESC") == 1);
  CHECK(fixture.Read(first).accepted_boot == seconds(7));
  CHECK_FALSE(fixture.Read(second).accepted_boot);
  CHECK(fixture.Ask("SELECT count(*) FROM boots") == 1);
}

TEST_CASE(
    "boots: without an id of the boot a row keeps the wall clock alone, and is as one of earlier versions") {
  Fixture fixture;
  fixture.Accept(At(kBuilt, seconds(7), ""));
  CHECK(fixture.Ask(
            "SELECT count(*) FROM outbox WHERE boot IS NULL AND boot_ms IS NULL AND synchronised IS NULL") ==
        1);
  CHECK(fixture.Ask("SELECT count(*) FROM boots") == 0);
  CHECK_FALSE(fixture.job->accepted_boot);
}

TEST_CASE("boots: rows move when the clock is set, and those by a synchronised clock do not") {
  Fixture fixture;
  const Sequence moving = fixture.Accept(At(kBuilt, seconds(10)));
  const Sequence fixed = fixture.Accept(At(kBuilt, seconds(10), "one", true));
  CHECK_FALSE(fixture.See(At(kBuilt + seconds(90), seconds(100))));
  CHECK(fixture.See(At(kBuilt + hours(5), seconds(10))) == hours(5));
  for (int start = 0; start < 2; ++start, fixture.Open()) {
    CHECK(fixture.Read(moving).stamp.accepted == kBuilt + hours(5));
    CHECK(fixture.Shown(moving) == kBuilt + hours(5));
    CHECK(fixture.Read(fixed).stamp.accepted == kBuilt);
    CHECK(fixture.Shown(fixed) == kBuilt);
  }
  auto inspection = Inspection::Open(fixture.file);
  REQUIRE(inspection);
  JobFilter after;
  after.accepted_after = kBuilt + hours(4);
  CHECK(inspection->Jobs(after, {})->rows.size() == 1);
  auto reader = OutboxReader::Open(fixture.file);
  REQUIRE(reader);
  CHECK(*reader->Oldest("default") == kBuilt + hours(5));
}

TEST_CASE("boots: what is known of a boot whose clock was never set is when it was set later") {
  Fixture fixture;
  const Sequence never = fixture.Accept(At(kNever, seconds(10)));
  CHECK(fixture.Shown(never) == kNever);
  fixture.Open();
  fixture.See(At(kNever, seconds(10), "two"));
  CHECK_FALSE(fixture.Read(never).accepted_boot);
  CHECK(fixture.Read(never).stamp.accepted == kBuilt + hours(9));  // the reader's word
  CHECK(fixture.Shown(never) == kNever);
  fixture.See(At(kBuilt + hours(1), seconds(20), "two"));
  CHECK(fixture.Read(never).stamp.accepted == kBuilt + hours(1));
  CHECK(fixture.Shown(never) == kBuilt + hours(1));
  fixture.See(At(kBuilt + hours(3), seconds(20), "two"));
  CHECK(fixture.Read(never).stamp.accepted == kBuilt + hours(1));
}

TEST_CASE("boots: a time of an earlier boot stays, by the clock as it was set last in it") {
  Fixture fixture;
  const Sequence early = fixture.Accept(At(kNever, seconds(10)));
  fixture.See(At(kBuilt, seconds(20)));
  fixture.Open();
  fixture.See(At(kBuilt + hours(7), seconds(1), "two"));
  CHECK(fixture.Read(early).stamp.accepted == kBuilt - seconds(10));
  CHECK_FALSE(fixture.Read(early).accepted_boot);
}

TEST_CASE("boots: death, redrive and cancel keep what moves a job's time") {
  Fixture fixture;
  const Sequence sequence = fixture.Accept(At(kBuilt, seconds(10)));
  SUBCASE("dead") {
    REQUIRE(test::Settle(*fixture.outbox, test::OutcomeOf(std::move(fixture.job), OutcomeKind::kDead, 400),
                         kBuilt));
  }
  SUBCASE("cancelled") {
    REQUIRE(fixture.outbox->operator_work().Cancel(sequence, kBuilt));
  }
  fixture.See(At(kBuilt + hours(5), seconds(10)));
  auto inspection = Inspection::Open(fixture.file);
  REQUIRE(inspection);
  CHECK((*inspection->Dead(sequence))->accepted == kBuilt + hours(5));
  const Timestamp redriven = kBuilt + hours(5) + seconds(10);
  fixture.See(At(redriven, seconds(20)));
  REQUIRE(test::Redrive(*fixture.outbox, {}, redriven));
  fixture.See(At(kBuilt + seconds(20), seconds(30)));
  const QueuedJob read = fixture.Read(sequence);
  CHECK(read.stamp.accepted == kBuilt);
  CHECK(read.redriven == kBuilt + seconds(10));
  CHECK(read.redriven_boot == seconds(20));
}

TEST_CASE("boots: what could not be written of a new boot goes with the next jobs") {
  test::FaultVfs disk;
  Fixture fixture;
  const Sequence before = fixture.Accept(At(kBuilt, seconds(10)));
  disk.Arm(1, test::FaultKind::kFull, test::FaultSpan::kOnce);
  const ClockReading clock = At(kBuilt + hours(1), seconds(20), "two");
  REQUIRE_FALSE(fixture.outbox->SeeClock(clock));
  fixture.this_boot = "two";
  CHECK_FALSE(fixture.Read(before).accepted_boot);
  auto jobs = test::Accept(*fixture.outbox, {test::TrackLine("42")}, clock.wall);
  REQUIRE(jobs);
  CHECK(jobs->front()->accepted_boot == seconds(20));
  CHECK(fixture.Read(jobs->front()->sequence).accepted_boot == seconds(20));
  CHECK_FALSE(fixture.Read(before).accepted_boot);
}

TEST_CASE("boots: those of which no row is left are forgotten, and not before") {
  Fixture fixture;
  const auto boots = [&] { return fixture.Ask("SELECT count(*) FROM boots"); };
  fixture.Accept(At(kBuilt, seconds(10), "one"));
  auto first = std::move(fixture.job);
  fixture.Accept(At(kBuilt, seconds(10), "two"));
  fixture.See(At(kBuilt, seconds(10), "three"));
  CHECK(boots() == 3);
  REQUIRE(test::Settle(*fixture.outbox, test::OutcomeOf(std::move(first), OutcomeKind::kDead, 400), kBuilt));
  fixture.See(At(kBuilt, seconds(10), "four"));
  CHECK(boots() == 4);
  REQUIRE(test::Forget(*fixture.outbox, "42"));
  fixture.See(At(kBuilt, seconds(10), "five"));
  CHECK(boots() == 1);
}

TEST_CASE("boots: whatever stands in damaged rows, jobs are read and none is refused for it") {
  Fixture fixture;
  const Sequence sequence = fixture.Accept(At(kBuilt, seconds(10)));
  fixture.outbox.reset();
  for (const char* value :
       {"9223372036854775807", "-9223372036854775808", "'text'", "1e300", "NULL", "x'00'"}) {
    for (const char* column : {"boot", "boot_ms", "accepted_ms", "synchronised", "redriven_boot"}) {
      CAPTURE(value);
      CAPTURE(column);
      if (std::string(column) == "accepted_ms" && std::string(value) == "NULL") continue;
      auto database = Database::Open(fixture.file, OpenMode::kReadWrite);
      REQUIRE(database);
      REQUIRE(database->Execute(std::string("SAVEPOINT s; UPDATE outbox SET ") + column + " = " + value));
      fixture.Read(sequence);
      REQUIRE(database->Execute("RELEASE s"));
      fixture.Read(sequence);
      fixture.Shown(sequence);
    }
  }
  for (const char* value : {"9223372036854775807", "-9223372036854775808", "'text'"}) {
    for (const char* column : {"offset_ms", "set_ms", "number", "id"}) {
      CAPTURE(value);
      CAPTURE(column);
      {
        auto database = Database::Open(fixture.file, OpenMode::kReadWrite);
        REQUIRE(database);
        static_cast<void>(database->Execute(std::string("UPDATE boots SET ") + column + " = " + value));
      }
      fixture.Open();
      static_cast<void>(fixture.outbox->SeeClock(At(kBuilt, seconds(10))));
      fixture.Read(sequence);
      fixture.outbox.reset();
    }
  }
}

}  // namespace outboxd
