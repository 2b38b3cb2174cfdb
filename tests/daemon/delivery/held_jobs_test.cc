#include "daemon/delivery/held_jobs.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "daemon/delivery/settlement.h"
#include "tests/support/outbox_use.h"

namespace outboxd {
namespace {

using State = Window::State;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);
constexpr Milliseconds kLongest = std::chrono::minutes(15);

struct Fixture {
  Fixture() {
    report.ticket = 1;
    batch.mode = BatchMode::kOn;
    batch.same_lane = true;
    batch.linger = Milliseconds(0);
  }

  static std::unique_ptr<QueuedJob> JobOf(std::uint64_t number, const std::string& line) {
    auto job = test::NewJob(line);
    job->sequence = Sequence{number};
    job->stamp.accepted = kNow;
    return job;
  }
  static StoredJob Row(std::uint64_t number, const std::string& line) {
    StoredJob stored;
    stored.job = JobOf(number, line);
    return stored;
  }
  void Admit(std::uint64_t number, const std::string& customer) {
    StoredJob stored = Row(number, test::TrackLine(customer));
    LaneList lanes = LanesOf(stored.job->job);
    held.Admit(std::move(stored), std::move(lanes), report);
    held.CheckInvariants();
  }
  // The jobs of the next request.
  std::vector<std::unique_ptr<QueuedJob>> Send() {
    Departures::Expired expired;
    const RetryPolicy retry;
    Departure departure =
        held.departures().Next({batch, retry, Departures::Company::kSought, kNow, batch.max_items}, expired);
    held.CheckInvariants();
    if (departure.job) departure.batch.push_back(std::move(departure.job));
    return std::move(departure.batch);
  }
  void Commit(std::unique_ptr<QueuedJob> job, OutcomeKind kind) {
    Outcome outcome;
    outcome.job = std::move(job);
    outcome.kind = kind;
    if (kind == OutcomeKind::kDeferred) outcome.job->due = kNow + Milliseconds(10);
    held.OnCommitted(std::move(outcome));
    held.CheckInvariants();
  }
  std::optional<State> StateOf(std::uint64_t number) const {
    const Window::Entry* entry = held.window().Find(Sequence{number});
    return entry == nullptr ? std::nullopt : std::optional(entry->state());
  }

  HeldJobs held{3};
  Report report;
  BatchConfig batch;
};

TEST_CASE("held jobs: a lane opens when its job's outcome is committed, not when the answer comes") {
  Fixture fixture;
  fixture.batch.same_lane = false;
  fixture.Admit(1, "a");
  fixture.Admit(2, "a");
  auto sent = fixture.Send();
  REQUIRE(sent.size() == 1);
  CHECK(fixture.held.StartSettling(*sent[0]));
  CHECK(fixture.StateOf(2) == State::kWaiting);
  CHECK(fixture.held.Place(Sequence{2})->blocked_by == Sequence{1});
  fixture.Commit(std::move(sent[0]), OutcomeKind::kDelivered);
  CHECK_FALSE(fixture.StateOf(1));
  CHECK(fixture.StateOf(2) == State::kReady);
}

TEST_CASE("held jobs: followers of one that failed are parked, those that are out with it as well") {
  Fixture fixture;
  for (const std::uint64_t number : {1U, 2U, 3U}) fixture.Admit(number, "a");
  fixture.batch.max_items = 2;
  auto sent = fixture.Send();
  REQUIRE(sent.size() == 2);
  REQUIRE(fixture.held.StartSettling(*sent[0]));
  fixture.held.Hold(Sequence{1}, fixture.report);
  CHECK_FALSE(fixture.held.StartSettling(*sent[1]));
  fixture.held.CheckInvariants();
  CHECK(fixture.report.parks.size() == 2);
  CHECK(fixture.held.parking().out_of_memory().rows() == 2);
  fixture.Commit(std::move(sent[0]), OutcomeKind::kDeferred);
  CHECK(fixture.StateOf(1) == State::kDeferred);
  CHECK_FALSE(fixture.StateOf(2));
  SUBCASE("and stays so when it is to go again") {
    fixture.Commit(std::move(sent[1]), OutcomeKind::kReturned);
    CHECK(fixture.held.parking().out_of_memory().rows() == 2);
  }
  SUBCASE("unless it ended") {
    fixture.Commit(std::move(sent[1]), OutcomeKind::kDead);
    CHECK(fixture.held.parking().out_of_memory().rows() == 1);
  }
}

TEST_CASE("held jobs: a job taken away while it is out ends when it comes back") {
  Fixture fixture;
  fixture.Admit(1, "a");
  auto sent = fixture.Send();
  fixture.held.Remove(Sequence{1});
  CHECK(fixture.StateOf(1) == State::kInFlight);
  REQUIRE(fixture.held.StartSettling(*sent[0]));
  SUBCASE("delivered") {
    fixture.Commit(std::move(sent[0]), OutcomeKind::kDelivered);
  }
  SUBCASE("to go again") {
    fixture.Commit(std::move(sent[0]), OutcomeKind::kReturned);
  }
  SUBCASE("deferred: its row is looked at at once") {
    fixture.held.Hold(Sequence{1}, fixture.report);
    fixture.Commit(std::move(sent[0]), OutcomeKind::kDeferred);
    REQUIRE(fixture.held.window().NextDue(kNow, kLongest));
    CHECK(fixture.held.window().NextDue(kNow, kLongest)->at == kNow);
    fixture.held.Wake(Sequence{1}, std::nullopt, kNow, kLongest, fixture.report);
  }
  CHECK_FALSE(fixture.StateOf(1));
  fixture.held.CheckInvariants();
}

TEST_CASE("held jobs: a job redriven while its attempt from before is out is charged anew") {
  Fixture fixture;
  fixture.Admit(1, "a");
  auto sent = fixture.Send();
  sent[0]->charged = 4;
  sent[0]->failures = 5;
  sent[0]->suspicion = Suspicion::kAuth;
  sent[0]->refusals = 2;
  sent[0]->deliveries_at_failure = 9;
  sent[0]->counted_at = kNow;
  fixture.held.Remove(Sequence{1});
  StoredJob again = Fixture::Row(1, test::TrackLine("a"));
  again.job->redriven = kNow;
  fixture.held.Admit(std::move(again), {}, fixture.report);
  REQUIRE(fixture.held.StartSettling(*sent[0]));
  CHECK(sent[0]->charged + sent[0]->failures + sent[0]->refusals == 0);
  CHECK(sent[0]->suspicion == Suspicion::kNone);
  CHECK_FALSE(sent[0]->deliveries_at_failure);
  CHECK_FALSE(sent[0]->counted_at);
  CHECK(sent[0]->redriven == kNow);
  fixture.Commit(std::move(sent[0]), OutcomeKind::kReturned);
  CHECK(fixture.StateOf(1) == State::kReady);
}

TEST_CASE("held jobs: an outcome of another life of a job that is held changes nothing it should not") {
  Fixture fixture;
  fixture.Admit(1, "a");
  const auto late = [] { return Fixture::JobOf(1, test::TrackLine("a")); };
  fixture.Commit(late(), OutcomeKind::kReturned);
  CHECK(fixture.StateOf(1) == State::kReady);
  SUBCASE("it ended: so does the one that has not left") {
    fixture.Commit(late(), OutcomeKind::kDead);
    CHECK_FALSE(fixture.StateOf(1));
  }
  SUBCASE("it ended: the one that is out ends when it comes back") {
    auto sent = fixture.Send();
    fixture.Commit(late(), OutcomeKind::kDelivered);
    CHECK(fixture.StateOf(1) == State::kInFlight);
    REQUIRE(fixture.held.StartSettling(*sent[0]));
    fixture.Commit(std::move(sent[0]), OutcomeKind::kReturned);
    CHECK_FALSE(fixture.StateOf(1));
  }
}

TEST_CASE("held jobs: a row parked under a lane is held under this lane, whatever its line says") {
  Fixture fixture;
  const LaneKey lane = MakeLaneKey("default", "a");
  fixture.held.FindParked(lane, Sequence{1});
  fixture.held.parking().MoveFrontier(Sequence{9});
  OutboxReader::Parked rows;
  rows.jobs.push_back(Fixture::Row(1, R"({"type":"merge","primary":{"id":"a"},"secondary":{"id":"b"}})"));
  rows.jobs.push_back(Fixture::Row(2, test::TrackLine("z")));
  StoredJob damaged = Fixture::Row(3, test::TrackLine("a"));
  damaged.unreadable = "damaged";
  rows.jobs.push_back(std::move(damaged));
  rows.jobs.push_back(Fixture::Row(1, test::TrackLine("a")));  // a damaged index names a row twice
  fixture.held.AdmitParked(lane, std::move(rows), fixture.report);
  fixture.held.CheckInvariants();
  CHECK(fixture.StateOf(1) == State::kReady);
  CHECK(fixture.StateOf(2) == State::kWaiting);
  CHECK(fixture.StateOf(3) == State::kSettling);
  REQUIRE(fixture.report.outcomes.size() == 1);
  CHECK(fixture.report.outcomes[0].kind == OutcomeKind::kDead);
  CHECK(fixture.Send().size() == 1);
}

TEST_CASE("held jobs: a deferred job that is due has the turn it had, and one due later waits on") {
  Fixture fixture;
  StoredJob stored = Fixture::Row(1, test::TrackLine("a"));
  stored.job->due = kNow;
  const LaneList lanes = LanesOf(stored.job->job);
  fixture.held.AdmitDeferred(stored, lanes);
  fixture.held.AdmitDeferred(stored, lanes);  // named twice
  fixture.held.CheckInvariants();
  fixture.Admit(2, "a");
  CHECK(fixture.report.parks.size() == 1);
  StoredJob later = Fixture::Row(1, test::TrackLine("a"));
  later.job->due = kNow + Milliseconds(5);
  fixture.held.Wake(Sequence{1}, std::move(later), kNow, kLongest, fixture.report);
  CHECK(fixture.StateOf(1) == State::kDeferred);
  StoredJob due = Fixture::Row(1, test::TrackLine("a"));
  due.job->due = kNow;
  fixture.held.Wake(Sequence{1}, std::move(due), kNow, kLongest, fixture.report);
  fixture.held.CheckInvariants();
  CHECK(fixture.StateOf(1) == State::kReady);
}

}  // namespace
}  // namespace outboxd
