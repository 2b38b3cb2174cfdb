#include "daemon/admin/amended.h"

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/job_line.h"
#include "core/stamped_line.h"
#include "storage/outbox.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::TrackLine;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

// One dead letter, whose attempts were answered with these statuses (0: no answer).
struct LetterFixture {
  explicit LetterFixture(const std::string& line, const std::vector<int>& statuses = {400}) {
    auto outbox = Outbox::Open(folder / "outbox.db", 1);
    REQUIRE(outbox);
    auto job = test::NewJob(line);
    WriteBatch batch;
    batch.accepted.push_back(job.get());
    REQUIRE(outbox->Write(batch, kNow));
    id = job->stamp.id;
    Outcome outcome;
    for (const int& status : statuses) {
      const bool is_last = &status == &statuses.back();
      outcome =
          test::OutcomeOf(std::move(job), is_last ? OutcomeKind::kDead : OutcomeKind::kReturned, 200, kNow);
      outcome.attempt->status = status;
      outcome.attempt->result = is_last ? Fate::kRejected : Fate::kDeferred;
      REQUIRE(test::Settle(*outbox, outcome, kNow));
      job = std::move(outcome.job);
    }
  }

  Result<Amended> Read(const std::string& line, EventIdChoice choice = EventIdChoice::kNotSaid) {
    auto inspection = Inspection::Open(folder / "outbox.db");
    REQUIRE(inspection);
    return ReadAmended(*inspection, id, {line, choice}, kNow + std::chrono::hours(1));
  }

  TempDir folder;
  Ulid id;
};

TEST_CASE(
    "amended: a corrected line stays within its connection and type, and is one that is accepted today") {
  LetterFixture letter(TrackLine("42", "wrong"));
  const auto amended = letter.Read(TrackLine("43", "right"));
  REQUIRE_MESSAGE(amended, (amended ? "" : amended.error().message));
  CHECK(amended->amendment.line == TrackLine("43", "right"));
  CHECK(amended->amendment.customer == "43");
  CHECK(amended->amendment.job == letter.id.ToText());
  CHECK(amended->event_id == letter.id.ToText());
  const auto field = [&](const std::string& line) {
    const auto refused = letter.Read(line);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::kInvalid);
    return refused.error().field;
  };
  CHECK(field(TrackLine("42", "right", "other")) == "line.connection");
  CHECK(field(R"({"type":"identify","id":"42"})") == "line.type");
  CHECK(field(TrackLine("..", "right")) == "line.id");
  CHECK(field(TrackLine("42", "")) == "line.name");
  CHECK(field("[1]") == "line");
  letter.id = *Ulid::Parse("01JDB3T0C5W7X8Y9Z0ABCDEFGH");
  CHECK(letter.Read(TrackLine("42", "right")).error().kind == ErrorKind::kNotFound);
}

TEST_CASE("amended: after an attempt that may have arrived it has to be said which id the event has") {
  for (const auto& statuses : {std::vector<int>{0, 400}, {503, 400}, {400, 0}, {200, 400}}) {
    CAPTURE(statuses.front());
    LetterFixture letter(TrackLine("42", "wrong"), statuses);
    const auto not_said = letter.Read(TrackLine("42", "right"));
    REQUIRE_FALSE(not_said);
    CHECK(not_said.error().kind == ErrorKind::kConflict);
    CHECK(not_said.error().field == "event_id");
    CHECK(letter.Read(TrackLine("42", "right"), EventIdChoice::kSame)->event_id == letter.id.ToText());
    const auto fresh = letter.Read(TrackLine("42", "right"), EventIdChoice::kNew);
    REQUIRE(fresh);
    CHECK(fresh->event_id != letter.id.ToText());
    const auto job = ParseJobLine(fresh->amendment.line);
    REQUIRE(job);
    CHECK(job->event_id == fresh->event_id);
    CHECK(job->name == "right");
    // A line with an id of its own says it.
    CHECK(letter.Read(R"({"type":"track","id":"42","name":"n","event_id":"01JDAZZZZZZZZZZZZZZZZZZZZZ"})")
              ->event_id == "01JDAZZZZZZZZZZZZZZZZZZZZZ");
  }
  LetterFixture refused(TrackLine("42", "wrong"), {400, 422});
  CHECK(refused.Read(TrackLine("42", "right")).has_value());
}

TEST_CASE("amended: what is no event has no id to choose, however its attempts ended") {
  LetterFixture letter(R"({"type":"identify","id":"1"})", {0});
  CHECK(letter.Read(R"({"type":"identify","id":"1","attributes":{"a":1}})")->event_id.empty());
  const auto fresh = letter.Read(R"({"type":"identify","id":"1"})", EventIdChoice::kNew);
  REQUIRE_FALSE(fresh);
  CHECK(fresh.error().field == "event_id");
}

}  // namespace
}  // namespace outboxd
