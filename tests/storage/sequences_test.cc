// The numbers of jobs: none twice, whatever ends in between.
#include "storage/sequences.h"

#include <doctest/doctest.h>

#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

constexpr std::int64_t kMax = (std::int64_t{1} << 40) - 1;
constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

struct Fixture {
  Fixture() {
    REQUIRE(Outbox::Open(file, 7));
    auto opened = Database::Open(file, OpenMode::kReadWrite);
    REQUIRE(opened);
    database.emplace(std::move(*opened));
  }
  Sequences Load() {
    auto sequences = Sequences::Load(*database);
    REQUIRE(sequences);
    return std::move(*sequences);
  }

  TempDir folder;
  std::filesystem::path file = folder / "outbox.db";
  std::optional<Database> database;
};

}  // namespace

TEST_CASE("sequences: numbers are reserved ahead, and a start continues behind them") {
  Fixture fixture;
  {
    Sequences sequences = fixture.Load();
    REQUIRE(sequences.Reserve(2));
    CHECK(sequences.Take() == Sequence{1});
    CHECK(sequences.Take() == Sequence{2});
    CHECK(sequences.Last() == Sequence{2});
    sequences.CheckInvariants();
  }
  const auto reserved = static_cast<std::uint64_t>(test::Ask(fixture.file, "SELECT reserved FROM sequence"));
  CHECK(reserved > 2);
  Sequences again = fixture.Load();
  REQUIRE(again.Reserve(1));
  CHECK(again.Take() == Sequence{reserved});
}

TEST_CASE("sequences: going back gives the numbers of a failed transaction out again") {
  Fixture fixture;
  Sequences sequences = fixture.Load();
  REQUIRE(sequences.Reserve(1));
  const Sequences::Position before = sequences.Now();
  const Sequence first = sequences.Take();
  sequences.GoBack(before);
  CHECK(sequences.Take() == first);
}

TEST_CASE("sequences: a number in the history or the dead letters that no job can have had stops no start") {
  const auto attempt = [](const std::string& seq) {
    return "INSERT INTO history SELECT id, 0, 0, 1, json_array(json('[]'), json_array('00000000', id - " +
           seq + ", 0, 0, 0, '1')) FROM (SELECT ifnull(max(id), 0) + 1 AS id FROM history)";
  };
  const auto dead_letter = [](const std::string& seq) {
    return "INSERT INTO dead_letters (seq, job, connection, type, accepted_ms, dead_ms, death, reason, "
           "cause, "
           "attempts, line) VALUES (" +
           seq + ", 'j', 'default', 'track', 0, 0, 'rejected', 'r', 'c', 0, 'l')";
  };
  const auto waiting = [](const std::string& seq) {
    return "INSERT INTO outbox (seq, job, connection, type, accepted_ms, line) VALUES (" + seq +
           ", 'j', 'default', 'track', 0, 'l')";
  };
  const auto loads_with = [](const std::string& insert) {
    Fixture fixture;
    REQUIRE(fixture.database->Execute(insert));
    return Sequences::Load(*fixture.database).has_value();
  };
  const std::string last = std::to_string(kMax - 1);
  for (const std::string& seq : {std::to_string(kMax), std::string("9223372036854775807")}) {
    CAPTURE(seq);
    CHECK(loads_with(attempt(seq)));
    CHECK(loads_with(dead_letter(seq)));
    CHECK_FALSE(loads_with(waiting(seq)));
    CHECK_FALSE(loads_with(attempt(seq) + ";" + attempt(last)));
    CHECK_FALSE(loads_with(dead_letter(seq) + ";" + dead_letter(last)));
  }
  const std::string unreadable = "INSERT INTO history VALUES (7, 0, 0, 1, '[[],[\"00000000\",\"x\"]]')";
  CHECK(loads_with(unreadable));
  CHECK_FALSE(loads_with(unreadable + ";" + attempt(last)));
}

TEST_CASE("sequences: a dead letter whose number no job can have had is not redriven, but dropped") {
  TempDir folder;
  const std::filesystem::path file = folder / "outbox.db";
  {
    auto outbox = Outbox::Open(file, 7);
    REQUIRE(outbox);
    auto jobs = test::Accept(*outbox, {test::TrackLine("1"), test::TrackLine("2")}, kNow);
    REQUIRE(jobs);
    for (auto& job : *jobs)
      REQUIRE(test::Settle(*outbox, test::OutcomeOf(std::move(job), OutcomeKind::kDead, 400), kNow));
    auto database = Database::Open(file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(database->Execute("UPDATE dead_letters SET seq = 9223372036854775807 WHERE customer = '1'"));
    DeadFilter by_number;
    by_number.sequence = Sequence{9223372036854775807U};
    CHECK(test::Redrive(*outbox, by_number, kNow)->empty());
    CHECK(test::Redrive(*outbox, DeadFilter{}, kNow)->size() == 1);
  }
  auto again = Outbox::Open(file, 7);
  REQUIRE_MESSAGE(again, (again ? "" : again.error().message));
  CHECK(again->Total() == Counts{1, 1, 2});
  OperatorWork::Walk walk;
  REQUIRE(again->operator_work().Drop(DeadFilter{}, walk, 10));
  CHECK(again->Total() == Counts{1, 0, 2});
}

TEST_CASE("sequences: at the last number reserving fails, and what was reserved can still be taken") {
  Fixture fixture;
  REQUIRE(fixture.database->Execute("UPDATE sequence SET reserved = " + std::to_string(kMax - 2)));
  Sequences sequences = fixture.Load();
  REQUIRE(sequences.Reserve(2));
  CHECK(sequences.Take() == Sequence{static_cast<std::uint64_t>(kMax - 2)});
  CHECK(sequences.Take() == Sequence{static_cast<std::uint64_t>(kMax - 1)});
  sequences.CheckInvariants();
  const Result<void> none_left = sequences.Reserve(1);
  REQUIRE_FALSE(none_left);
  CHECK(none_left.error().message.find("no sequence numbers left") != std::string::npos);
  CHECK_FALSE(sequences.ReserveOne());
  sequences.CheckInvariants();
}

}  // namespace outboxd
