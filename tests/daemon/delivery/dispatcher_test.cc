// One scheduler over all connections.
#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>

#include "daemon/base/wall_clock.h"
#include "daemon/delivery/dispatcher_thread.h"
#include "tests/daemon/delivery/delivery_rig.h"

namespace outboxd {
namespace {

using test::AnswerOf;
using test::TrackLine;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

DispatcherThread::Ports DeafPorts() {
  return {.send = [](const std::vector<Transfer>&) {},
          .report = [](const Report&) {},
          .probed = [](const std::string&, const ProbeReport&) {},
          .failed = [](const Error&) {}};
}

struct Fixture {
  TempDir folder;
  std::filesystem::path file = folder / "outbox.db";
  LimitsConfig limits;
  Metrics metrics;
  std::optional<Outbox> outbox;
  std::optional<Dispatcher> dispatcher;

  Fixture() {
    auto opened = Outbox::Open(file, 7);
    REQUIRE(opened);
    outbox.emplace(std::move(*opened));
  }

  static Endpoints Make(const std::vector<std::string>& names) {
    Endpoints endpoints;
    for (const std::string& name : names) {
      Endpoint endpoint;
      endpoint.config.name = name;
      endpoint.config.site_id.value = "site";
      endpoint.config.api_key.value = "key";
      endpoints[name] = std::make_shared<const Endpoint>(endpoint);
    }
    return endpoints;
  }

  Dispatcher NewDispatcher() {
    auto reader = OutboxReader::Open(file);
    REQUIRE(reader);
    return {std::move(*reader), metrics, 7};
  }

  void Start(const std::vector<std::string>& names) {
    dispatcher.emplace(NewDispatcher());
    REQUIRE(dispatcher->Start(Make(names), limits, outbox->AtStart(), kNow));
  }

  Committed Accept(const std::vector<std::string>& lines, Timestamp now = kNow) {
    auto jobs = test::Accept(*outbox, lines, now);
    REQUIRE(jobs);
    Committed committed;
    committed.accepted = std::move(*jobs);
    committed.last = outbox->LastSequence();
    return committed;
  }

  // Writes what the round reported; the news go into `committed`.
  void Write(Actions& actions, Committed& committed) {
    WriteBatch batch;
    for (const Outcome& outcome : actions.report.outcomes) batch.outcomes.push_back(&outcome);
    batch.parks = actions.report.parks;
    batch.gates = actions.report.gates;
    REQUIRE(outbox->Write(batch, kNow));
    committed.outcomes = std::move(actions.report.outcomes);
    committed.ticket = actions.report.ticket;
    committed.last = outbox->LastSequence();
  }

  Actions Pump(Timestamp now = kNow) {
    Actions actions = dispatcher->NewActions();
    REQUIRE(dispatcher->Pump(now, actions));
    return actions;
  }
};

std::vector<Finished> AllFinished(Actions& actions, int status) {
  std::vector<Finished> finished;
  for (Transfer& transfer : actions.transfers)
    finished.push_back({std::move(transfer), Ending::kAnswered, AnswerOf(status), kNow, Milliseconds(5)});
  return finished;
}

}  // namespace

TEST_CASE("dispatcher: each connection gets its own jobs, and trouble on one does not stop another") {
  Fixture fixture;
  fixture.Start({"one", "two"});
  Actions actions = fixture.dispatcher->NewActions();
  fixture.dispatcher->OnCommitted(fixture.Accept({TrackLine("1", "a", "one"), TrackLine("1", "b", "two"),
                                                  TrackLine("2", "c", "one"), TrackLine("2", "d", "gone")}),
                                  actions);
  REQUIRE(fixture.dispatcher->Pump(kNow, actions));
  REQUIRE(actions.transfers.size() == 3);
  for (const Transfer& transfer : actions.transfers)
    CHECK(transfer.job->job.connection == transfer.connection);
  CHECK(fixture.dispatcher->InFlight() == 3);
  CHECK(fixture.dispatcher->InFlightJobs().size() == 3);

  std::vector<Finished> finished = AllFinished(actions, 200);
  for (Finished& one : finished) one.answer = AnswerOf(one.transfer.connection == "one" ? 503 : 200);
  Actions next = fixture.dispatcher->NewActions();
  fixture.dispatcher->OnFinished(std::move(finished), kNow, next);
  CHECK(fixture.dispatcher->Find("one")->gate().state == GateState::kThrottled);
  CHECK(fixture.dispatcher->Find("two")->gate().state == GateState::kOpen);
  CHECK(fixture.metrics.ReadTotals().attempts == 3);
  CHECK(fixture.metrics.ReadTotals().delivered == 0);  // not before it is on disk
  Committed committed;
  fixture.Write(next, committed);
  fixture.dispatcher->OnCommitted(std::move(committed), next);
  CHECK(fixture.metrics.ReadTotals().delivered == 1);
}

TEST_CASE("dispatcher: a held connection sends nothing and asks for no attention, the others go on") {
  Fixture fixture;
  DeliveryHold hold({"one"}, kNow, kNow);
  fixture.Start({"one", "two"});
  fixture.dispatcher->Obey(hold);
  Actions actions = fixture.dispatcher->NewActions();
  fixture.dispatcher->OnCommitted(fixture.Accept({TrackLine("1", "a", "one"), TrackLine("1", "b", "two")}),
                                  actions);
  REQUIRE(fixture.dispatcher->Pump(kNow, actions));
  REQUIRE(actions.transfers.size() == 1);
  CHECK(actions.transfers[0].connection == "two");
  CHECK(fixture.dispatcher->NextWake(kNow) > kNow);
  CHECK(fixture.Pump(kNow + std::chrono::hours(1)).transfers.empty());

  CHECK(hold.Lift("one"));
  actions = fixture.Pump();
  REQUIRE(actions.transfers.size() == 1);
  CHECK(actions.transfers[0].connection == "one");
}

TEST_CASE("dispatcher: of a held connection nothing comes into memory, and its pause is written") {
  Fixture fixture;
  DeliveryHold hold({"one"}, kNow, kNow);
  fixture.Start({"one"});
  fixture.dispatcher->Obey(hold);
  Actions actions = fixture.dispatcher->NewActions();
  fixture.dispatcher->OnCommitted(fixture.Accept({TrackLine("1", "a", "one"), TrackLine("1", "b", "one")}),
                                  actions);
  fixture.dispatcher->Find("one")->Pause(PauseReason::kOperator, "", kNow);
  REQUIRE(fixture.dispatcher->Pump(kNow, actions));
  CHECK(fixture.dispatcher->Find("one")->held().window().entries().empty());
  REQUIRE(actions.report.gates.size() == 1);
  CHECK(actions.report.gates[0].second.pause == PauseReason::kOperator);
}

TEST_CASE("dispatcher: a ticket confirms only what was reported with it, on whichever connection") {
  Fixture fixture;
  fixture.limits.lane_jobs = 1;
  fixture.Start({"one", "two"});
  Actions first = fixture.dispatcher->NewActions();
  fixture.dispatcher->OnCommitted(fixture.Accept({TrackLine("1", "a", "one"), TrackLine("1", "b", "one")}),
                                  first);
  REQUIRE(fixture.dispatcher->Pump(kNow, first));
  CHECK(first.report.parks.size() == 1);
  Actions second = fixture.dispatcher->NewActions();
  fixture.dispatcher->OnCommitted(fixture.Accept({TrackLine("1", "c", "two"), TrackLine("1", "d", "two")}),
                                  second);
  fixture.dispatcher->OnFinished(AllFinished(first, 200), kNow, second);
  REQUIRE(fixture.dispatcher->Pump(kNow, second));
  CHECK(second.report.ticket > first.report.ticket);
  const std::vector<Park> parks_of_second = second.report.parks;
  REQUIRE(parks_of_second.size() == 1);

  // The head on "two" settles before its follower's mark is on disk; the first report's ticket must not pass
  // for the second's.
  Committed committed;
  fixture.Write(first, committed);
  Actions third = fixture.dispatcher->NewActions();
  fixture.dispatcher->OnCommitted(std::move(committed), third);
  fixture.dispatcher->OnFinished(AllFinished(second, 200), kNow, third);
  Committed outcomes;
  outcomes.outcomes = std::move(third.report.outcomes);
  outcomes.ticket = first.report.ticket;
  outcomes.last = fixture.outbox->LastSequence();
  Actions fourth = fixture.dispatcher->NewActions();
  fixture.dispatcher->OnCommitted(std::move(outcomes), fourth);
  REQUIRE(fixture.dispatcher->Pump(kNow, fourth));

  Committed late;
  fixture.Write(second, late);
  Actions fifth = fixture.dispatcher->NewActions();
  fixture.dispatcher->OnCommitted(std::move(late), fifth);
  REQUIRE(fixture.dispatcher->Pump(kNow, fifth));
  std::vector<std::string> names;
  for (const Actions* actions : {&fourth, &fifth}) {
    for (const Transfer& transfer : actions->transfers) names.push_back(transfer.job->job.name);
  }
  CHECK(std::find(names.begin(), names.end(), "d") != names.end());
}

TEST_CASE(
    "dispatcher: a connection that left the config pauses and keeps its jobs; back again it goes on by "
    "itself") {
  Fixture fixture;
  fixture.Start({"one", "two"});
  Actions actions = fixture.dispatcher->NewActions();
  REQUIRE(fixture.dispatcher->Configure(Fixture::Make({"one"}), fixture.limits, kNow));
  fixture.dispatcher->OnCommitted(fixture.Accept({TrackLine("1", "a", "two")}), actions);
  REQUIRE(fixture.dispatcher->Pump(kNow, actions));
  CHECK(actions.transfers.empty());
  CHECK(fixture.dispatcher->Find("two")->gate().pause == PauseReason::kUnconfigured);
  CHECK(fixture.dispatcher->Find("two")->gate().detail == "not in the config");

  SUBCASE("by a reload") {
    REQUIRE(fixture.dispatcher->Configure(Fixture::Make({"one", "two"}), fixture.limits, kNow));
  }
  SUBCASE("by a restart") {
    Committed committed;
    fixture.Write(actions, committed);
    fixture.Start({"one", "two"});
  }
  CHECK(fixture.Pump().transfers.size() == 1);
}

TEST_CASE("dispatcher: a queue begins with the number of jobs that its connection has delivered") {
  Fixture fixture;
  for (const char* connection : {"one", "two", "one"}) {
    auto jobs = test::Accept(*fixture.outbox, {TrackLine("1", "a", connection)}, kNow);
    REQUIRE(jobs);
    REQUIRE(test::Settle(*fixture.outbox,
                         test::OutcomeOf(std::move(jobs->front()), OutcomeKind::kDelivered, 200), kNow));
  }
  fixture.Start({"one", "three"});
  CHECK(fixture.dispatcher->Find("one")->deliveries() == 2);
  CHECK(fixture.dispatcher->Find("three")->deliveries() == 0);
  REQUIRE(fixture.dispatcher->Configure(Fixture::Make({"one", "two"}), fixture.limits, kNow));
  CHECK(fixture.dispatcher->Find("two")->deliveries() == 1);
}

TEST_CASE("dispatcher: a connection new in the config takes up what waits for it") {
  Fixture fixture;
  fixture.Start({"one"});
  Actions actions = fixture.dispatcher->NewActions();
  fixture.dispatcher->OnCommitted(fixture.Accept({TrackLine("1", "a", "two"), TrackLine("1", "b", "two")}),
                                  actions);
  REQUIRE(fixture.dispatcher->Configure(Fixture::Make({"one", "two"}), fixture.limits, kNow));
  CHECK(fixture.Pump().transfers.size() == 1);
}

TEST_CASE("dispatcher: once stopped nothing leaves, and what comes back is still reported") {
  Fixture fixture;
  fixture.Start({"default"});
  Actions actions = fixture.dispatcher->NewActions();
  fixture.dispatcher->OnCommitted(fixture.Accept({TrackLine("1"), TrackLine("2")}), actions);
  REQUIRE(fixture.dispatcher->Pump(kNow, actions));
  fixture.dispatcher->StopSending();
  Actions last = fixture.dispatcher->NewActions();
  fixture.dispatcher->OnCommitted(fixture.Accept({TrackLine("3")}), last);
  fixture.dispatcher->OnFinished(AllFinished(actions, 200), kNow, last);
  REQUIRE(fixture.dispatcher->Pump(kNow, last));
  CHECK(last.transfers.empty());
  CHECK(last.report.outcomes.size() == 2);
  CHECK(fixture.dispatcher->InFlight() == 0);
}

TEST_CASE("dispatcher thread: does nothing before it is started, for its answers would reach nobody") {
  Fixture fixture;
  bool sent = false;
  DispatcherThread::Ports ports = DeafPorts();
  ports.send = [&](const std::vector<Transfer>&) { sent = true; };
  fixture.Start({"default"});
  Committed committed = fixture.Accept({TrackLine("1")}, WallClockNow());
  {
    DispatcherThread thread(std::move(*fixture.dispatcher), std::move(ports));
    thread.OnCommitted(std::move(committed));  // a thread that runs takes it, also when it is told to stop
  }
  CHECK_FALSE(sent);
}

TEST_CASE("dispatcher thread: what is committed is sent, and its outcome reported") {
  Fixture fixture;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Transfer> sent;
  std::vector<Outcome> reported;
  DispatcherThread::Ports ports = DeafPorts();
  ports.send = [&](std::vector<Transfer> transfers) {
    const std::lock_guard lock(mutex);
    for (Transfer& transfer : transfers) sent.push_back(std::move(transfer));
    changed.notify_all();
  };
  ports.report = [&](Report report) {
    const std::lock_guard lock(mutex);
    for (Outcome& outcome : report.outcomes) reported.push_back(std::move(outcome));
    changed.notify_all();
  };
  fixture.Start({"default"});
  Committed committed = fixture.Accept({TrackLine("1")}, WallClockNow());
  DispatcherThread thread(std::move(*fixture.dispatcher), std::move(ports));
  thread.Start();
  thread.OnCommitted(std::move(committed));

  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return !sent.empty(); });
  std::vector<Finished> finished;
  finished.push_back(
      {std::move(sent.front()), Ending::kAnswered, AnswerOf(200), WallClockNow(), Milliseconds(1)});
  lock.unlock();
  thread.OnFinished(std::move(finished));
  lock.lock();
  changed.wait(lock, [&] { return !reported.empty(); });
  lock.unlock();
  thread.Stop();
  CHECK(reported.front().kind == OutcomeKind::kDelivered);
  CHECK_FALSE(thread.Post([](Dispatcher&, Timestamp) {}));
}

}  // namespace outboxd
