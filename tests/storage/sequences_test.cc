// The numbers of jobs: none twice, whatever ends in between.
#include "storage/sequences.h"

#include <doctest/doctest.h>

#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

constexpr std::int64_t kMax = (std::int64_t{1} << 40) - 1;

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
