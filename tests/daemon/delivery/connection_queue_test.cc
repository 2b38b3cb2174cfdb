// Who leaves next, and what becomes of it: the queue of one connection over a real outbox, with the clock and
// the answers in the test.
#include "daemon/delivery/connection_queue.h"

#include <doctest/doctest.h>

#include <vector>

#include "tests/daemon/delivery/queue_steps.h"

namespace outboxd {
namespace {

using test::AnswerOf;
using test::Ask;
using test::AskText;
using test::DeliverOneByOne;
using test::DeliveryRig;
using test::EventNames;
using test::Lines;
using test::Numbers;
using test::TrackLine;

}  // namespace

TEST_CASE("queue: a delivered job leaves the outbox and is recorded") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a")});
  REQUIRE(rig.OutNames() == EventNames{"a"});
  rig.AnswerAll(200);
  CHECK(rig.Total().jobs == 0);
  CHECK(rig.Total().attempts == 1);
  CHECK(rig.Queue().in_flight() == 0);
}

TEST_CASE("queue: each answer has its consequence for job and connection") {
  struct Row {
    int status;
    std::uint64_t jobs, dead;
    GateState gate;
    const char* result;
  };
  const std::vector<Row> rows = {
      {200, 0, 0, GateState::kOpen, "delivered"},       {204, 0, 0, GateState::kOpen, "delivered"},
      {0, 1, 0, GateState::kThrottled, "deferred"},     {408, 1, 0, GateState::kThrottled, "deferred"},
      {429, 1, 0, GateState::kThrottled, "deferred"},   {500, 1, 0, GateState::kThrottled, "deferred"},
      {503, 1, 0, GateState::kThrottled, "deferred"},   {400, 0, 1, GateState::kOpen, "rejected"},
      {404, 0, 1, GateState::kOpen, "rejected"},        {410, 0, 1, GateState::kOpen, "rejected"},
      {413, 0, 1, GateState::kOpen, "rejected"},        {422, 0, 1, GateState::kOpen, "rejected"},
      {451, 0, 1, GateState::kOpen, "rejected"},        {401, 1, 0, GateState::kPaused, "paused_auth"},
      {403, 1, 0, GateState::kPaused, "paused_auth"},   {301, 1, 0, GateState::kPaused, "paused_region"},
      {307, 1, 0, GateState::kPaused, "paused_region"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.status);
    DeliveryRig rig;
    rig.Start();
    rig.Accept({TrackLine("1")});
    rig.Finish(0, AnswerOf(row.status, row.status == 200 ? "{}" : R"({"meta":{"error":"the answer"}})"));
    rig.WorkClerk();
    rig.Dispatch();
    rig.WorkClerk();
    if (row.gate == GateState::kPaused) rig.ProveUnwell();
    CHECK(rig.Total().jobs == row.jobs);
    CHECK(rig.Total().dead == row.dead);
    CHECK(rig.Gate() == row.gate);
    CHECK(AskText(rig.file, "SELECT result FROM attempts") == row.result);
    if (row.dead > 0)
      CHECK(AskText(rig.file, "SELECT death || answer FROM dead_letters") ==
            R"(rejected{"meta":{"error":"the answer"}})");
    if (row.jobs > 0) CHECK(Ask(rig.file, "SELECT charged FROM outbox") == 0);
    rig.DeliverRest();
    CHECK(rig.Total().jobs == 0);
  }
}

TEST_CASE("queue: jobs of one customer leave one after another, those of others at once") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("1", "b"), TrackLine("2", "c"), TrackLine("1", "d")});
  CHECK(rig.OutNames() == EventNames{"a", "c"});
  rig.Finish(0, AnswerOf(200));
  rig.Dispatch();
  CHECK(rig.OutNames() == EventNames{"c"});  // the outcome is not on disk yet
  rig.Run();
  CHECK(rig.OutNames() == EventNames{"c", "b"});
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("queue: with order none a customer's jobs leave together") {
  DeliveryRig rig;
  rig.connection.order = LaneOrder::kNone;
  rig.Start();
  rig.Accept(Lines("1", 1, 3));
  CHECK(rig.out.size() == 3);
}

TEST_CASE("queue: a deferred job blocks its followers and nobody else") {
  DeliveryRig rig;
  rig.connection.retry.base = std::chrono::minutes(5);
  rig.connection.retry.cap = std::chrono::minutes(5);
  rig.Start();
  rig.Accept(
      {R"({"type":"raw","method":"GET","path":"/v1/x","retry":{"max_retries":3,"delay_ms":60000,"all_errors":true}})"});
  rig.Accept({TrackLine("1", "a"), TrackLine("1", "b")});
  const Sequence first = rig.out[1].transfer.job->sequence;
  rig.Finish(1, AnswerOf(503));
  rig.Run();
  CHECK(rig.Gate() == GateState::kThrottled);
  CHECK(rig.Queue().held().Place(first)->state == JobState::kDeferred);
  CHECK(rig.Queue().Status().deferred == 1);
  CHECK(rig.Queue().Status().blocked == 1);
  CHECK(Ask(rig.file, "SELECT count(*) FROM outbox WHERE parked IS NOT NULL") == 1);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
  CHECK(rig.Queue().Status().blocked == 0);
}

TEST_CASE("queue: followers beyond what a lane may hold are parked, others overtake them, and order holds") {
  DeliveryRig rig;
  rig.limits.lane_jobs = 4;
  rig.Start();
  rig.Accept(Lines("1", 1, 50));
  CHECK(Ask(rig.file, "SELECT count(*) FROM outbox WHERE parked IS NOT NULL") == 46);
  rig.Accept({TrackLine("2", "other")});
  CHECK(rig.OutNames() == EventNames{"1", "other"});
  rig.Finish(1, AnswerOf(200));
  rig.Finish(0, AnswerOf(500));
  rig.Run();
  CHECK(Ask(rig.file, "SELECT count(*) FROM outbox WHERE parked IS NOT NULL") == 49);
  CHECK(rig.Queue().Status().blocked == 49);
  rig.Accept(Lines("1", 51, 60));
  CHECK(DeliverOneByOne(rig) == Numbers(1, 60));
  CHECK(rig.Queue().Status().blocked == 0);
}

TEST_CASE("queue: a long lane behind a failing head leaves the window to the others") {
  DeliveryRig rig;
  rig.limits.window_jobs = 20;
  rig.limits.lane_jobs = 4;
  rig.Start();
  rig.Accept({R"({"type":"track","id":"1","name":"head","max_age":100000})"});
  rig.Finish(0, AnswerOf(500));
  rig.Run();
  rig.Accept(Lines("1", 1, 2'000));
  rig.Accept({TrackLine("2", "other")});
  while (rig.Gate() != GateState::kOpen) {
    if (!rig.out.empty() && rig.OutNames() == EventNames{"other"}) {
      rig.AnswerAll(200);
    } else if (!rig.out.empty()) {
      rig.AnswerAll(500);
    } else {
      rig.PassToWake();
    }
  }
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("queue: a backlog much larger than the window is read back and delivered in order") {
  DeliveryRig rig;
  rig.clerk_limits.outbox.max_jobs = 100'000;
  SUBCASE("window of jobs") {
    rig.limits.window_jobs = 50;
  }
  SUBCASE("window of bytes") {
    rig.limits.window_bytes = 4'000;
  }
  SUBCASE("window of one job") {
    rig.limits.window_jobs = 1;
    rig.limits.lane_jobs = 1;
  }
  rig.Start();
  std::vector<std::string> lines;
  for (int number = 0; number < 3'000; ++number)
    lines.push_back(TrackLine(std::to_string(number % 37), std::to_string(number)));
  rig.Submit(lines);
  rig.Run();
  std::vector<int> last(37, -1);
  for (int round = 0; round < 10'000 && rig.Total().jobs > 0; ++round) {
    std::uint64_t bytes = 0;
    for (const auto& flight : rig.out) {
      const int number = std::stoi(flight.transfer.job->job.name);
      int& before = last[static_cast<std::size_t>(number % 37)];
      CHECK((before == -1 || number == before + 37));
      before = number;
      bytes += flight.transfer.job->job.line.size();
    }
    CHECK(rig.out.size() <= rig.limits.window_jobs);
    CHECK(bytes <= rig.limits.window_bytes + 200);
    rig.AnswerAll(200);
  }
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("queue: jobs that came without their bodies are read from disk") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a")});
  rig.leave_out = true;
  rig.Accept({TrackLine("1", "b"), TrackLine("2", "c")});
  rig.leave_out = false;
  rig.Accept({TrackLine("1", "d")});
  CHECK(DeliverOneByOne(rig).size() == 4);
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("queue: fresh jobs and retries take turns") {
  DeliveryRig rig;
  rig.connection.max_in_flight = 1;
  rig.Start();
  std::vector<std::string> lines;
  for (int number = 0; number < 10; ++number) {
    lines.push_back(
        R"({"type":"raw","method":"POST","path":"/v1/retry","retry":{"max_retries":9,"delay_ms":10,"all_errors":true}})");
  }
  rig.Accept(lines);
  for (int number = 0; number < 10; ++number) {
    rig.Finish(0, AnswerOf(400));
    rig.Run();
  }
  rig.Submit(Lines("1", 1, 1));
  rig.Submit(Lines("2", 2, 2));
  rig.Submit(Lines("3", 3, 3));
  rig.Pass(std::chrono::seconds(1));
  EventNames kinds;
  while (rig.Total().jobs > 0) {
    REQUIRE(rig.out.size() == 1);
    kinds.push_back(rig.out[0].transfer.job->job.type == JobType::kRaw ? "retry" : "fresh");
    rig.AnswerAll(200);
  }
  REQUIRE(kinds.size() == 13);
  CHECK(std::count(kinds.begin(), kinds.begin() + 7, "fresh") == 3);
}

TEST_CASE("queue: a closed gate charges nobody, then one probe leaves, then all go") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("0", "first")});
  rig.Finish(0, AnswerOf(503));
  for (int number = 1; number <= 30; ++number)
    rig.Submit({TrackLine(std::to_string(number), std::to_string(number))});
  rig.Run();
  CHECK(rig.out.empty());
  CHECK(rig.Gate() == GateState::kThrottled);
  rig.PassToWake();
  while (rig.Gate() == GateState::kThrottled) rig.PassToWake();
  CHECK(rig.out.size() == 1);
  rig.Pass(std::chrono::seconds(5));
  CHECK(rig.out.size() == 1);
  CHECK(rig.Total().attempts == 1);
  rig.AnswerAll(200);
  CHECK(rig.Gate() == GateState::kOpen);
  rig.DeliverRest();
  CHECK(rig.Total().attempts == 32);
  CHECK(Ask(rig.file, "SELECT max(attempt) FROM attempts") == 2);
}

TEST_CASE("queue: Retry-After holds the connection to the second") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1"), TrackLine("2")});
  Answer answer = AnswerOf(429);
  answer.retry_after = "30";
  rig.Finish(0, std::move(answer));
  rig.AnswerAll(200);
  rig.Accept({TrackLine("3")});
  rig.Pass(Milliseconds(29'999));
  CHECK(rig.out.empty());
  rig.Pass(Milliseconds(1));
  CHECK(rig.out.size() == 1);
}

TEST_CASE("queue: refused credentials pause the connection; the probe heals it; the job is not charged") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("1", "b")});
  rig.AnswerAll(401);
  rig.ProveUnwell();
  CHECK(rig.Gate() == GateState::kPaused);
  CHECK(rig.Queue().gate().pause == PauseReason::kAuth);
  CHECK(rig.probes.empty());
  rig.dispatcher().TakeProbeReports();
  rig.Accept({TrackLine("2", "c")});  // accepting goes on
  rig.Pass(rig.connection.probe_interval);
  REQUIRE(rig.probes.size() == 1);
  CHECK(rig.out.empty());
  rig.FinishProbe(AnswerOf(401));
  rig.Run();
  CHECK(rig.Gate() == GateState::kPaused);
  CHECK_FALSE(rig.dispatcher().TakeProbeReports().front().second.ok);
  rig.Pass(rig.connection.probe_interval);
  REQUIRE(rig.probes.size() == 1);
  rig.FinishProbe(AnswerOf(200, R"({"region":"us","environment_id":3})"));
  rig.Run();
  CHECK(rig.Gate() != GateState::kPaused);
  CHECK(rig.OutNames().size() == 1);
  CHECK(Ask(rig.file, "SELECT max(charged) FROM outbox") == 0);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
  CHECK(rig.Total().dead == 0);
}

TEST_CASE("queue: new credentials probe at once, also when a probe with the old ones is still out") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1")});
  rig.AnswerAll(401);
  rig.ProveUnwell();
  const auto reload = [&](const std::string& key) {
    rig.connection.api_key.value = key;
    rig.Tell([&](Dispatcher& dispatcher) {
      REQUIRE(dispatcher.Configure(rig.MakeEndpoints(), rig.limits, rig.now));
    });
    rig.Run();
  };
  reload("second");
  REQUIRE(rig.probes.size() == 1);
  CHECK(rig.probes[0].transfer.endpoint->credentials.api_key == "second");
  reload("third");
  REQUIRE(rig.probes.size() == 1);
  rig.FinishProbe(AnswerOf(401));
  rig.Run();
  REQUIRE(rig.probes.size() == 1);
  CHECK(rig.probes[0].transfer.endpoint->credentials.api_key == "third");
  rig.FinishProbe(AnswerOf(200, R"({"region":"us"})"));
  rig.Run();
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE(
    "queue: a redirect pauses the connection with the place it points to; a probe of the wrong region does "
    "not heal it") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1")});
  Answer answer = AnswerOf(301);
  answer.location = "https://track-eu.customer.io/";
  rig.Finish(0, std::move(answer));
  rig.Run();
  rig.Prove(AnswerOf(200, R"({"region":"eu"})"));
  CHECK(rig.Queue().gate().pause == PauseReason::kRegion);
  CHECK(rig.Queue().gate().detail.find("track-eu.customer.io") != std::string::npos);
  rig.Pass(rig.connection.probe_interval);
  rig.FinishProbe(AnswerOf(200, R"({"region":"eu"})"));
  rig.Run();
  CHECK(rig.Queue().gate().pause == PauseReason::kRegion);
}

TEST_CASE("queue: an operator's pause holds until the operator lifts it, also over a restart") {
  DeliveryRig rig;
  rig.Start();
  rig.Tell([&](Dispatcher& dispatcher) {
    dispatcher.Find("default")->Pause(PauseReason::kOperator, "lunch", rig.now);
  });
  rig.Accept({TrackLine("1")});
  rig.Pass(std::chrono::minutes(10));
  CHECK(rig.out.empty());
  CHECK(rig.probes.empty());
  rig.Start();
  rig.Pass(std::chrono::minutes(10));
  CHECK(rig.out.empty());
  rig.Tell([&](Dispatcher& dispatcher) { dispatcher.Find("default")->Resume(rig.now); });
  rig.Run();
  CHECK(rig.out.size() == 1);
}

TEST_CASE("queue: a job too old is not sent any more, behind a closed gate as well") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1")});
  rig.AnswerAll(401);
  rig.ProveUnwell();
  rig.Accept({R"({"type":"track","id":"2","name":"short","max_age":5})",
              R"({"type":"track","id":"2","name":"next"})"});
  rig.Pass(std::chrono::seconds(4));
  CHECK(rig.Total().dead == 0);
  rig.Pass(std::chrono::seconds(3));
  CHECK(rig.Total().dead == 1);
  CHECK(AskText(rig.file, "SELECT death || attempts FROM dead_letters") == "expired0");
  CHECK(rig.Gate() == GateState::kPaused);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
  CHECK(rig.Total().dead == 1);
}

TEST_CASE("queue: a job that used up its attempts is dead, and its followers go on") {
  DeliveryRig rig;
  rig.connection.retry.max_attempts = 3;
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("1", "b")});
  for (int round = 0; round < 2'000 && rig.Total().dead == 0; ++round) {
    for (const std::string& name : rig.OutNames()) {
      CHECK(name != "b");
      rig.Finish(0, AnswerOf(name == "a" ? 500 : 200));
    }
    if (!rig.probes.empty()) rig.FinishProbe(AnswerOf(200, R"({"region":"us"})"));
    rig.Accept({TrackLine("2", "other")});
    rig.PassToWake();
  }
  CHECK(AskText(rig.file, "SELECT death || attempts FROM dead_letters") == "exhausted3");
  EventNames names = DeliverOneByOne(rig);
  std::erase(names, "other");
  CHECK(names == EventNames{"b"});
}

TEST_CASE("queue: an aborted transfer is neither charged nor held against the connection") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1")});
  rig.Abort(0);
  rig.Run();
  CHECK(rig.Gate() == GateState::kOpen);
  CHECK(Ask(rig.file, "SELECT charged = 0 AND attempts = 1 AND due_ms IS NULL FROM outbox") == 1);
}

TEST_CASE("queue: it sleeps while there is nothing it may do") {
  DeliveryRig rig;
  rig.limits.window_jobs = 10;
  rig.limits.lane_jobs = 2;
  rig.Start();
  rig.Accept({TrackLine("0")});
  std::vector<std::string> lines;
  for (int number = 1; number < 400; ++number) {
    lines.push_back(
        R"({"type":"raw","method":"GET","path":"/v1/x","retry":{"max_retries":9,"delay_ms":1,"all_errors":true}})");
  }
  rig.Accept(lines);
  for (int round = 0; round < 60; ++round) {
    while (!rig.out.empty()) rig.Finish(0, AnswerOf(400));
    rig.WorkClerk();
    rig.Dispatch();
  }
  rig.Tell([&](Dispatcher& dispatcher) {
    dispatcher.Find("default")->Pause(PauseReason::kOperator, "lunch", rig.now);
  });
  rig.AnswerAll(400);
  rig.Accept(Lines("7", 1, 50));
  rig.Pass(std::chrono::minutes(1));
  CHECK(rig.dispatcher().NextWake(rig.now) > rig.now);
}

}  // namespace outboxd
