#include "daemon/delivery/backlog.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using State = Window::State;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

// A backlog over a real outbox.
struct Fixture {
  Fixture() {
    limits.window_jobs = 3;
    auto opened = Outbox::Open(folder / "outbox.db", 1);
    REQUIRE(opened);
    outbox.emplace(std::move(*opened));
    auto read = OutboxReader::Open(folder / "outbox.db");
    REQUIRE(read);
    reader.emplace(std::move(*read));
    report.ticket = 1;
    config.name = "default";
    backlog.emplace(held, std::make_shared<const Endpoint>(Endpoint{config, {}}), limits);
    REQUIRE(backlog->Load(*reader, outbox->LastSequence(), kNow));
  }

  // Stores jobs of `count` customers; the last one's sequence is outbox->LastSequence().
  test::Jobs Store(int count) {
    std::vector<std::string> lines;
    for (int number = 0; number < count; ++number)
      lines.push_back(test::TrackLine("c" + std::to_string(customers++)));
    auto jobs = test::Accept(*outbox, lines, kNow);
    REQUIRE(jobs);
    return std::move(*jobs);
  }
  void Accept(int count) {
    test::Jobs jobs = Store(count);
    backlog->OnAccepted(std::move(jobs), outbox->LastSequence(), report);
    Check();
  }
  void Read() {
    REQUIRE(backlog->Read(*reader, kNow, report));
    Check();
  }
  void Check() const {
    held.CheckInvariants();
    backlog->CheckInvariants();
  }
  // All that are ready leave and are delivered.
  void Deliver() {
    const BatchConfig batch;
    const RetryPolicy retry;
    Departures::Expired expired;
    while (!held.departures().empty()) {
      Departure departure =
          held.departures().Next({batch, retry, Departures::Company::kSought, kNow}, expired);
      held.StartSettling(*departure.job);
      Outcome outcome = test::OutcomeOf(std::move(departure.job), OutcomeKind::kDelivered, 200);
      REQUIRE(test::Settle(*outbox, outcome, kNow));
      held.OnCommitted(std::move(outcome));
      ++delivered;
    }
  }

  TempDir folder;
  LimitsConfig limits;
  ConnectionConfig config;
  std::optional<Outbox> outbox;
  std::optional<OutboxReader> reader;
  HeldJobs held{64};
  std::optional<Backlog> backlog;
  Report report;
  int customers = 0, delivered = 0;
};

TEST_CASE("backlog: accepted jobs go into memory while there is room, the rest is read back later") {
  Fixture fixture;
  fixture.Accept(5);
  CHECK(fixture.held.window().jobs() == 3);
  CHECK(fixture.backlog->IsBehind());
  fixture.Read();
  CHECK(fixture.held.window().jobs() == 3);  // no room, and no other user to be read ahead
  CHECK(fixture.backlog->NextRead(kNow) > kNow);
  fixture.Deliver();
  CHECK(fixture.backlog->NextRead(kNow) == kNow);
  fixture.Read();
  CHECK(fixture.held.window().jobs() == 2);
  CHECK_FALSE(fixture.backlog->IsBehind());
  CHECK_FALSE(fixture.backlog->NextRead(kNow));
}

TEST_CASE("backlog: while it is behind, accepted jobs wait on disk for their turn") {
  Fixture fixture;
  fixture.Accept(4);
  fixture.Deliver();
  fixture.Accept(1);
  CHECK(fixture.held.window().jobs() == 0);
  for (int round = 0; round < 3; ++round) {
    fixture.Read();
    fixture.Deliver();
  }
  CHECK(fixture.delivered == 5);
  CHECK_FALSE(fixture.backlog->IsBehind());
}

TEST_CASE("backlog: jobs that came without their bodies are read") {
  Fixture fixture;
  fixture.Store(2);
  fixture.backlog->OnTail(fixture.outbox->LastSequence());
  CHECK(fixture.backlog->NextRead(kNow) == kNow);
  fixture.Read();
  CHECK(fixture.held.window().In(State::kReady) == 2);
}

TEST_CASE("backlog: redriven jobs are looked at again, and those in memory stay what they are") {
  Fixture fixture;
  fixture.Accept(3);
  fixture.backlog->Rewind(Sequence{1});
  CHECK(fixture.backlog->IsBehind());
  fixture.limits.window_jobs = 9;
  fixture.backlog->Configure(std::make_shared<const Endpoint>(Endpoint{fixture.config, {}}), fixture.limits);
  fixture.Read();
  CHECK(fixture.held.window().In(State::kReady) == 3);
  CHECK_FALSE(fixture.backlog->IsBehind());
}

TEST_CASE("backlog: a deferred job is read when it is due, also when memory is full") {
  Fixture fixture;
  fixture.Accept(1);
  const BatchConfig batch;
  const RetryPolicy retry;
  Departures::Expired expired;
  Departure departure =
      fixture.held.departures().Next({batch, retry, Departures::Company::kSought, kNow}, expired);
  fixture.held.StartSettling(*departure.job);
  fixture.held.Hold(departure.job->sequence, fixture.report);
  Outcome outcome = test::OutcomeOf(std::move(departure.job), OutcomeKind::kDeferred, 500);
  outcome.job->due = kNow + Milliseconds(500);
  REQUIRE(test::Settle(*fixture.outbox, outcome, kNow));
  fixture.held.OnCommitted(std::move(outcome));
  fixture.Accept(3);
  CHECK(fixture.held.window().jobs() == 3);
  CHECK(fixture.backlog->NextRead(kNow) == kNow + Milliseconds(500));
  REQUIRE(fixture.backlog->Read(*fixture.reader, kNow + Milliseconds(499), fixture.report));
  CHECK(fixture.held.window().In(State::kDeferred) == 1);
  REQUIRE(fixture.backlog->Read(*fixture.reader, kNow + Milliseconds(500), fixture.report));
  CHECK(fixture.held.window().In(State::kReady) == 4);
  fixture.Check();
}

}  // namespace
}  // namespace outboxd
