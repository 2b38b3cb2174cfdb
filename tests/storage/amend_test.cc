// A dead letter goes back with a corrected line; the old one is kept until it is pruned or forgotten.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>

#include "storage/outbox.h"
#include "storage/outbox_reader.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::Ask;
using test::AskText;
using test::TrackLine;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

struct AmendFixture {
  AmendFixture() {
    auto opened = Outbox::Open(file, 1);
    REQUIRE(opened);
    outbox = std::make_unique<Outbox>(std::move(*opened));
    auto job = test::NewJob(TrackLine("42", "wrong"));
    job->uid = 33;
    WriteBatch batch;
    batch.accepted.push_back(job.get());
    REQUIRE(outbox->Write(batch, kNow));
    letter = {job->sequence, job->stamp.id.ToText(), "default", TrackLine("43", "much better"), "43"};
    Outcome outcome = test::OutcomeOf(std::move(job), OutcomeKind::kDead, 400, kNow);
    REQUIRE(test::Settle(*outbox, outcome, kNow));
  }
  Result<OperatorWork::Step> Amend(Timestamp now = kNow + Milliseconds(5'000)) {
    return outbox->operator_work().Amend(letter, now);
  }

  TempDir folder;
  std::filesystem::path file = folder / "outbox.db";
  std::unique_ptr<Outbox> outbox;
  OperatorWork::Amendment letter;
};

TEST_CASE(
    "amend: a dead letter goes back with the corrected line, the same id and time; the old line is kept") {
  AmendFixture fixture;
  const auto step = fixture.Amend();
  REQUIRE_MESSAGE(step, (step ? "" : step.error().message));
  CHECK(step->sequences == std::vector<Sequence>{fixture.letter.sequence});
  CHECK_FALSE(step->more);
  CHECK(Ask(fixture.file, "SELECT count(*) FROM dead_letters") == 0);
  auto reader = OutboxReader::Open(fixture.file);
  REQUIRE(reader);
  const auto stored = reader->ReadOne(fixture.letter.sequence);
  REQUIRE((stored && *stored));
  const QueuedJob& job = *(*stored)->job;
  CHECK(job.job.name == "much better");
  CHECK(job.stamp.id.ToText() == fixture.letter.job);
  CHECK(job.stamp.accepted == kNow);
  CHECK(job.redriven == kNow + Milliseconds(5'000));
  CHECK(job.attempts == 1);
  CHECK(job.uid == 33);
  CHECK(AskText(fixture.file, "SELECT customer FROM outbox") == "43");
  CHECK(AskText(fixture.file, "SELECT line FROM amended") == TrackLine("42", "wrong"));
  CHECK(AskText(fixture.file, "SELECT customer FROM amended") == "42");
  CHECK(Ask(fixture.file, "SELECT amended_ms FROM amended") == ToUnixMs(kNow) + 5'000);
  test::CheckCounts(*fixture.outbox, fixture.file);
  CHECK(fixture.outbox->HoldsByUser().at(33) == UserHolds{1, fixture.letter.line.size(), 0, 0});
}

TEST_CASE("amend: what is no dead letter, or another job's, is not found and nothing changes") {
  AmendFixture fixture;
  const OperatorWork::Amendment letter = fixture.letter;
  fixture.letter.job = "01JDB3T0C5W7X8Y9Z0ABCDEFGH";
  REQUIRE_FALSE(fixture.Amend());
  fixture.letter = letter;
  fixture.letter.sequence = Sequence{ToNumber(letter.sequence) + 1};
  const auto other = fixture.Amend();
  REQUIRE_FALSE(other);
  CHECK(other.error().kind == ErrorKind::kNotFound);
  CHECK(Ask(fixture.file, "SELECT count(*) FROM amended") == 0);
  CHECK(Ask(fixture.file, "SELECT count(*) FROM dead_letters") == 1);
  fixture.letter = letter;
  REQUIRE(fixture.Amend());
  CHECK_FALSE(fixture.Amend());  // it waits now
  test::CheckCounts(*fixture.outbox, fixture.file);
}

TEST_CASE("amend: an old line is erased by forget, by the customer that it names, on one connection or all") {
  for (const char* connection : {"", "default", "other"}) {
    CAPTURE(connection);
    AmendFixture fixture;
    REQUIRE(fixture.Amend());
    REQUIRE(test::Forget(*fixture.outbox, "1"));
    CHECK(Ask(fixture.file, "SELECT count(*) FROM amended") == 1);
    const std::string name = connection;
    REQUIRE(test::Forget(*fixture.outbox, "42", name.empty() ? std::nullopt : std::optional(name)));
    CHECK(Ask(fixture.file, "SELECT count(*) FROM amended") == (name == "other" ? 1 : 0));
    CHECK(Ask(fixture.file, "SELECT count(*) FROM outbox") == 1);  // of customer 43
    if (name != "other") CHECK(ReadFile(fixture.file).find("wrong") == std::string::npos);
  }
}

TEST_CASE("amend: old lines go with the history of their time") {
  AmendFixture fixture;
  REQUIRE(fixture.Amend());
  Maintenance& maintenance = fixture.outbox->maintenance();
  REQUIRE(maintenance.PruneHistory(kNow + Milliseconds(5'000), 1'000, 100));
  CHECK(Ask(fixture.file, "SELECT count(*) FROM amended") == 1);
  REQUIRE(maintenance.PruneHistory(kNow + Milliseconds(5'001), 1'000, 100));
  CHECK(Ask(fixture.file, "SELECT count(*) FROM amended") == 0);
}

}  // namespace
}  // namespace outboxd
