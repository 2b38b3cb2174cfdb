// What an outcome leaves in a job's row, and what it adds to the connection's count of deliveries.
#include "storage/outcome_writer.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/outbox.h"
#include "storage/outbox_reader.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::Ask;
using test::OutcomeOf;
using test::TrackLine;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

struct Fixture {
  Fixture() { Reopen(); }

  void Reopen() {
    outbox.reset();
    auto opened = Outbox::Open(file, 7);
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().message));
    outbox.emplace(std::move(*opened));
  }
  test::Jobs Accept(const std::vector<std::string>& lines) {
    auto jobs = test::Accept(*outbox, lines, kNow);
    REQUIRE(jobs);
    return std::move(*jobs);
  }
  // The job as a start reads it, after `outcome` was written.
  QueuedJob After(const Outcome& outcome) {
    REQUIRE(test::Settle(*outbox, outcome, kNow));
    return Read(outcome.job->sequence);
  }
  QueuedJob Read(Sequence sequence) const {
    auto reader = OutboxReader::Open(file);
    REQUIRE(reader);
    auto stored = reader->ReadOne(sequence);
    REQUIRE(stored);
    REQUIRE(*stored);
    CHECK((*stored)->unreadable.empty());
    return std::move(*(*stored)->job);
  }
  std::uint64_t Delivered(const std::string& connection = "default") const {
    const std::uint64_t counted = outbox->AtStart().delivered.at(connection);
    const std::string of_connection = " FROM counters WHERE connection = '" + connection + "'";
    CHECK(Ask(file, "SELECT delivered" + of_connection) == static_cast<std::int64_t>(counted));
    return counted;
  }
  void Write(const std::vector<Outcome>& outcomes) {
    WriteBatch batch;
    for (const Outcome& outcome : outcomes) batch.outcomes.push_back(&outcome);
    REQUIRE(outbox->Write(batch, kNow));
  }

  TempDir folder;
  std::filesystem::path file = folder / "outbox.db";
  std::optional<Outbox> outbox;
};

void MakeSuspect(QueuedJob& job) {
  job.charged = 2;
  job.failures = 5;
  job.deliveries_at_failure = 1'234'567'890'123;
  job.suspicion = Suspicion::kTrouble;
  job.refusals = 3;
  job.counted_at = kNow - Milliseconds(17);
}

void CheckSuspect(const QueuedJob& job) {
  CHECK(job.charged == 2);
  CHECK(job.failures == 5);
  CHECK(job.deliveries_at_failure == 1'234'567'890'123);
  CHECK(job.suspicion == Suspicion::kTrouble);
  CHECK(job.refusals == 3);
  CHECK(job.counted_at == kNow - Milliseconds(17));
}

void CheckInnocent(const QueuedJob& job) {
  CHECK(job.charged + job.failures + job.refusals == 0);
  CHECK(job.suspicion == Suspicion::kNone);
  CHECK_FALSE(job.deliveries_at_failure);
  CHECK_FALSE(job.counted_at);
}

}  // namespace

TEST_CASE("outcome writer: what is known of a job's failures is read back as it was, deferred or returned") {
  Fixture fixture;
  auto jobs = fixture.Accept({TrackLine("1"), TrackLine("2")});
  for (const OutcomeKind kind : {OutcomeKind::kDeferred, OutcomeKind::kReturned}) {
    CheckInnocent(fixture.Read(jobs.back()->sequence));
    Outcome outcome = OutcomeOf(std::move(jobs.back()), kind, 503);
    jobs.pop_back();
    MakeSuspect(*outcome.job);
    CheckSuspect(fixture.After(outcome));
    fixture.Reopen();
    CheckSuspect(fixture.Read(outcome.job->sequence));
    outcome.job->ForgetFailures();  // as after a suspect that proved not to be one
    outcome.job->deliveries_at_failure = 0;
    const QueuedJob cleared = fixture.After(outcome);
    CHECK(cleared.deliveries_at_failure == 0);
    CHECK(cleared.suspicion == Suspicion::kNone);
    CHECK_FALSE(cleared.counted_at);
  }
  CHECK(Ask(fixture.file, "SELECT count(*) FROM outbox WHERE suspicion IS NULL AND counted_ms IS NULL") == 2);
}

TEST_CASE("outcome writer: every suspicion has its name on disk") {
  Fixture fixture;
  auto job = std::move(fixture.Accept({TrackLine("1")}).front());
  for (const auto& [suspicion, name] : kNames<Suspicion>) {
    Outcome outcome = OutcomeOf(std::move(job), OutcomeKind::kReturned, 403);
    outcome.job->suspicion = suspicion;
    CHECK(fixture.After(outcome).suspicion == suspicion);
    CHECK(test::AskText(fixture.file, "SELECT ifnull(suspicion, '') FROM outbox") == name);
    job = std::move(outcome.job);
  }
}

TEST_CASE("outcome writer: a redrive forgets failures and suspicion") {
  Fixture fixture;
  Outcome outcome =
      OutcomeOf(std::move(fixture.Accept({TrackLine("1")}).front()), OutcomeKind::kDeferred, 503);
  MakeSuspect(*outcome.job);
  CheckSuspect(fixture.After(outcome));
  Outcome dead = OutcomeOf(std::move(outcome.job), OutcomeKind::kDead, 503);
  REQUIRE(test::Settle(*fixture.outbox, dead, kNow));
  REQUIRE(test::Redrive(*fixture.outbox, {}, kNow));
  const QueuedJob again = fixture.Read(dead.job->sequence);
  CheckInnocent(again);
  CHECK(again.attempts == 2);
}

TEST_CASE("outcome writer: a damaged cell counts as the nearest that can be right") {
  Fixture fixture;
  const Sequence sequence = fixture.Accept({TrackLine("1")}).front()->sequence;
  const auto read = [&](const std::string& change) {
    auto database = Database::Open(fixture.file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(database->Execute("UPDATE outbox SET " + change));
    return fixture.Read(sequence);
  };
  CHECK(read("failures = -1").failures == 0);
  CHECK(read("failures = 'x'").failures == 0);
  CHECK(read("failures = 1, charged = 3").failures == 3);
  CHECK(read("failures = 1 << 40").failures == 1'000'000'000);
  CHECK(read("refusals = 9223372036854775807").refusals == 1'000'000'000);
  CHECK(read("suspicion = 'whim'").suspicion == Suspicion::kNone);
  CHECK(read("suspicion = x'00ff'").suspicion == Suspicion::kNone);
  CHECK(read("deliveries_at_failure = -5").deliveries_at_failure == 0);
  CHECK(read("deliveries_at_failure = 9223372036854775807").deliveries_at_failure == std::uint64_t{1} << 48);
  CHECK(read("counted_ms = -5").counted_at == FromUnixMs(0));
  CHECK(read("counted_ms = 9223372036854775807").counted_at == FromUnixMs(253'402'300'799'999));
}

TEST_CASE(
    "outcome writer: each delivery counts once, alone, with neighbours, or of a job cancelled meanwhile") {
  Fixture fixture;
  auto jobs = fixture.Accept({TrackLine("1"), TrackLine("2"), TrackLine("3"), TrackLine("4", "n", "other"),
                              TrackLine("5"), TrackLine("6"), TrackLine("7")});
  REQUIRE(fixture.outbox->operator_work().Cancel(jobs[1]->sequence, kNow));
  REQUIRE(fixture.outbox->operator_work().Cancel(jobs[6]->sequence, kNow));
  std::vector<Outcome> outcomes;
  for (const std::size_t index : {0U, 1U, 2U, 3U})  // the first three leave together, one was cancelled
    outcomes.push_back(OutcomeOf(std::move(jobs[index]), OutcomeKind::kDelivered, 200));
  outcomes.push_back(OutcomeOf(std::move(jobs[4]), OutcomeKind::kDeferred, 503));
  outcomes.push_back(OutcomeOf(std::move(jobs[5]), OutcomeKind::kDead, 400));
  outcomes.push_back(OutcomeOf(std::move(jobs[6]), OutcomeKind::kDelivered, 200));
  fixture.Write(outcomes);
  CHECK(fixture.Delivered() == 4);
  CHECK(fixture.Delivered("other") == 1);
  fixture.Reopen();
  CHECK(fixture.Delivered() == 4);
  CHECK(fixture.Delivered("other") == 1);
  test::CheckCounts(*fixture.outbox, fixture.file);
}

TEST_CASE("outcome writer: an attempt is kept with its event's name, ref, user and time of acceptance") {
  Fixture fixture;
  auto job = test::NewJob(R"({"type":"track","id":"42","name":"purchase","ref":"order-9"})");
  job->uid = 33;
  WriteBatch batch;
  batch.accepted.push_back(job.get());
  REQUIRE(fixture.outbox->Write(batch, kNow));
  job->stamp.accepted = kNow + Milliseconds(7);  // the clock was set
  const std::string id = job->stamp.id.ToText();
  const Outcome outcome = OutcomeOf(std::move(job), OutcomeKind::kDelivered, 200, kNow + Milliseconds(20));
  REQUIRE(test::Settle(*fixture.outbox, outcome, kNow));
  CHECK(test::AskText(fixture.file,
                      "SELECT seq || job || name || ref || uid || ' ' || accepted_ms || ' ' || sent_ms FROM "
                      "attempts") == "1" + id + "purchaseorder-933 1700000000007 1700000000020");
  auto page = std::move(fixture.Accept({R"({"type":"pageview","id":"42","url":"https://x"})"}).front());
  page->job.name = std::string(3'000, 'x');  // as an earlier version took it
  REQUIRE(test::Settle(*fixture.outbox, OutcomeOf(std::move(page), OutcomeKind::kDelivered, 200), kNow));
  CHECK(Ask(fixture.file, "SELECT length(name) FROM attempts WHERE type = 'pageview'") == kNameKeptBytes);
}

TEST_CASE("outcome writer: the attempts of one commit are packed, no row longer than fits a page") {
  Fixture fixture;
  std::vector<std::string> lines;
  for (int count = 0; count < 1'000; ++count) lines.push_back(TrackLine("customer-" + std::to_string(count)));
  auto jobs = fixture.Accept(lines);
  std::vector<Outcome> outcomes;
  for (auto& job : jobs) outcomes.push_back(OutcomeOf(std::move(job), OutcomeKind::kDelivered, 200));
  fixture.Write(outcomes);
  CHECK(Ask(fixture.file, "SELECT count(*) FROM history") < 20);
  CHECK(Ask(fixture.file, "SELECT sum(rows) FROM history") == 1'000);
  CHECK(Ask(fixture.file, "SELECT max(length(records)) FROM history") <= 4'000);
  CHECK(Ask(fixture.file, "SELECT count(DISTINCT seq) FROM attempts") == 1'000);
  CHECK(Ask(fixture.file,
            "SELECT sum(length(job) = 26 AND customer = 'customer-' || (seq - 1)) FROM attempts") == 1'000);
  // A job's attempts stand from the row of its sequence on.
  CHECK(Ask(fixture.file, "SELECT min(id) FROM history") >= 1'000);
  const std::int64_t last = Ask(fixture.file, "SELECT max(id) FROM history");
  fixture.Reopen();
  auto late = std::move(fixture.Accept({TrackLine("1")}).front());
  REQUIRE(test::Settle(*fixture.outbox, OutcomeOf(std::move(late), OutcomeKind::kDelivered, 200), kNow));
  CHECK(Ask(fixture.file, "SELECT max(id) FROM history") > last);
  test::CheckCounts(*fixture.outbox, fixture.file);
}

TEST_CASE("outcome writer: a damaged row of history with the highest id there is stops no attempt") {
  Fixture fixture;
  auto job = std::move(fixture.Accept({TrackLine("1")}).front());
  {
    auto database = Database::Open(fixture.file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(database->Execute("INSERT INTO history VALUES (9223372036854775807, 0, 0, 1, 'x')"));
  }
  fixture.Reopen();
  REQUIRE(test::Settle(*fixture.outbox, OutcomeOf(std::move(job), OutcomeKind::kDelivered, 200), kNow));
  CHECK(Ask(fixture.file, "SELECT count(*) FROM history") == 2);
}

}  // namespace outboxd
