// When jobs share requests by themselves (batch.mode auto), and what becomes of them where the host has no
// batches.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "daemon/delivery/connection_queue.h"
#include "tests/daemon/delivery/delivery_rig.h"

namespace outboxd {
namespace {

using test::AnswerOf;
using test::Ask;
using test::DeliveryRig;
using test::TrackLine;
using EventNames = std::vector<std::string>;
using std::chrono::milliseconds;
using std::chrono::seconds;

// So many events of customers of their own.
std::vector<std::string> Events(std::size_t count, const std::string& prefix = "n") {
  std::vector<std::string> lines;
  for (std::size_t number = 1; number <= count; ++number)
    lines.push_back(TrackLine(prefix + std::to_string(number), prefix + std::to_string(number)));
  return lines;
}

class ModeRig : public DeliveryRig {
 public:
  explicit ModeRig(BatchMode mode = BatchMode::kAuto) {
    connection.batch.mode = mode;
    connection.rate_limit = 10;
    connection.retry.base = connection.retry.cap = seconds(1);
    connection.probe_interval = seconds(30);
  }

  std::vector<std::size_t> Sizes() const {
    std::vector<std::size_t> sizes;
    for (const Flight& flight : out) sizes.push_back(flight.transfer.Jobs().size());
    return sizes;
  }
  BatchUse Use() { return Queue().Status().batch_use; }
  // Until something is out, by time alone.
  void AwaitRequest() {
    for (int round = 0; round < 1'000 && out.empty(); ++round) PassToWake();
    REQUIRE_FALSE(out.empty());
  }
  void Reload() {
    Tell([&](Dispatcher& dispatcher) { REQUIRE(dispatcher.Configure(MakeEndpoints(), limits, now)); });
    Run();
  }
  // The first batch, of three, was answered 404.
  void StartWithMissingRoute() {
    connection.rate_limit = 0;
    connection.batch.linger = milliseconds(0);
    Start();
    Accept(Events(3));
    Finish(0, AnswerOf(404));
    Run();
  }
};

EventNames Names(std::size_t first, std::size_t last) {
  EventNames names;
  for (std::size_t number = first; number <= last; ++number) names.push_back("n" + std::to_string(number));
  return names;
}

TEST_CASE("batch modes: auto sends single requests at once while they are enough") {
  ModeRig rig;
  rig.connection.batch.linger = seconds(10);
  rig.Start();
  CHECK(rig.Use() == BatchUse::kNotNeeded);
  for (int round = 0; round < 20; ++round) {
    rig.Accept({TrackLine("a" + std::to_string(round)), TrackLine("b" + std::to_string(round))});
    rig.AwaitRequest();
    CHECK(rig.Sizes() == std::vector<std::size_t>{1});
    rig.AnswerAll(200);
    rig.AwaitRequest();
    CHECK(rig.Sizes() == std::vector<std::size_t>{1});
    rig.AnswerAll(200);
    rig.Pass(milliseconds(200));
  }
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE(
    "batch modes: auto sends batches once more wait than rate_limit lets out in a second, and then single "
    "requests again") {
  ModeRig rig;
  rig.Start();
  rig.Accept(Events(12));
  CHECK(rig.OutNames() == Names(1, 1));
  CHECK(rig.Use() == BatchUse::kUsed);  // eleven are left
  rig.AnswerAll(200);
  rig.AwaitRequest();
  CHECK(rig.OutNames() == Names(2, 12));
  CHECK(rig.Sizes() == std::vector<std::size_t>{11});
  rig.AnswerAll(200);
  CHECK(rig.Total().jobs == 0);
  for (int second = 0; second < 7; ++second) rig.Pass(seconds(1));
  CHECK(rig.Use() == BatchUse::kNotNeeded);
  rig.Accept(Events(2, "later"));
  CHECK(rig.Sizes() == std::vector<std::size_t>{1});
}

TEST_CASE("batch modes: off sends single requests, however many wait") {
  ModeRig rig(BatchMode::kOff);
  rig.Start();
  rig.Accept(Events(50));
  for (int round = 0; round < 50; ++round) {
    rig.AwaitRequest();
    REQUIRE(rig.Sizes() == std::vector<std::size_t>{1});
    rig.AnswerAll(200);
  }
  CHECK(rig.Total().jobs == 0);
  CHECK(rig.Use() == BatchUse::kOff);
}

TEST_CASE("batch modes: jobs that gathered leave by themselves when batches are no longer used") {
  ModeRig rig(BatchMode::kOn);
  rig.connection.rate_limit = 0;
  rig.connection.batch.linger = seconds(5);
  rig.connection.batch.same_lane = true;
  rig.Start();
  rig.Accept({TrackLine("a", "head"), TrackLine("b", "other"), TrackLine("a", "follower")});
  CHECK(rig.out.empty());
  rig.connection.batch.mode = BatchMode::kOff;
  rig.Reload();
  CHECK(rig.OutNames() == EventNames{"head", "other"});
  CHECK(rig.Sizes() == std::vector<std::size_t>{1, 1});
  rig.AnswerAll(200);
  CHECK(rig.OutNames() == EventNames{"follower"});
}

TEST_CASE("batch modes: with auto, batches grow from one job with each success after a closure") {
  ModeRig rig;
  rig.connection.rate_limit = 0;
  rig.connection.max_in_flight = 1;
  rig.connection.batch.max_items = 20;
  rig.connection.batch.linger = milliseconds(0);
  rig.Start();
  rig.Accept(Events(200));
  for (int tenth = 0; tenth < 11; ++tenth) {  // one answer in each: 189 are left
    rig.now += milliseconds(100);
    rig.AnswerAll(200);
  }
  CHECK(rig.Use() == BatchUse::kUsed);
  rig.now += milliseconds(100);
  rig.AnswerAll(200);
  CHECK(rig.Sizes() == std::vector<std::size_t>{20});  // the gate was never closed
  rig.Finish(0, AnswerOf(429));
  rig.Run();
  CHECK(rig.Gate() == GateState::kThrottled);
  for (const std::size_t size : {1U, 2U, 4U, 8U, 16U, 20U, 20U}) {
    rig.AwaitRequest();
    CHECK(rig.Sizes() == std::vector<std::size_t>{size});
    rig.AnswerAll(200);
  }
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
  CHECK(rig.Total().dead == 0);
}

TEST_CASE("batch modes: a success of a request from before the closure makes no batch grow") {
  ModeRig rig;
  rig.connection.rate_limit = 1;
  rig.connection.batch.linger = milliseconds(0);
  rig.Start();
  rig.Accept(Events(100));
  REQUIRE(rig.Sizes() == std::vector<std::size_t>{1});
  for (int round = 0; round < 3; ++round) {
    rig.Pass(seconds(1));
    rig.Accept(Events(30, "r" + std::to_string(round) + "-"));
  }
  REQUIRE(rig.out.size() >= 4);
  REQUIRE(rig.Use() == BatchUse::kUsed);
  rig.Finish(0, AnswerOf(429));
  rig.Run();
  REQUIRE(rig.Gate() == GateState::kThrottled);
  const std::size_t before = rig.out.size();
  rig.Submit(Events(100, "later"));
  while (rig.out.size() == before) rig.PassToWake();
  rig.Finish(before, AnswerOf(200));  // the probe
  rig.Run();
  REQUIRE(rig.Gate() == GateState::kOpen);
  for (std::size_t late = 0; late < before; ++late) rig.Finish(0, AnswerOf(200));
  rig.Run();
  CHECK(rig.Queue().Status().batch_items == 2);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("batch modes: on means full batches, also after a closure") {
  ModeRig rig(BatchMode::kOn);
  rig.connection.batch.linger = milliseconds(0);
  rig.connection.rate_limit = 0;
  rig.Start();
  rig.Accept(Events(30));
  CHECK(rig.Sizes() == std::vector<std::size_t>{30});
  rig.Finish(0, AnswerOf(429));
  rig.Run();
  rig.AwaitRequest();
  CHECK(rig.Sizes() == std::vector<std::size_t>{1});  // the probe
  rig.AnswerAll(200);
  rig.Pass(seconds(1));
  CHECK(std::max(rig.Sizes().front(), rig.Sizes().back()) > 2);
}

TEST_CASE(
    "batch modes: a lane's follower waits for its head also where single requests give way to batches") {
  ModeRig rig;
  rig.connection.batch.linger = milliseconds(0);
  rig.Start();
  std::vector<std::string> lines = Events(12);
  for (const std::string& line : Events(12)) lines.push_back(line);
  rig.Accept(lines);
  REQUIRE(rig.OutNames() == Names(1, 1));
  rig.Pass(seconds(1));
  REQUIRE(rig.out.size() == 2);
  CHECK(rig.OutNames() == Names(1, 12));  // the second n1 is no part of it
  rig.Finish(1, AnswerOf(200));
  rig.Pass(seconds(1));
  REQUIRE(rig.out.size() == 2);
  CHECK(rig.Sizes() == std::vector<std::size_t>{1, 11});
  rig.AnswerAll(200);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE(
    "batch modes: where the host has no batches the jobs go singly, at once, in order and uncharged, and "
    "this is told once") {
  for (const BatchMode mode : {BatchMode::kOn, BatchMode::kAuto}) {
    for (const auto& [status, body] : {std::pair(404, std::string("404 page not found")),
                                       std::pair(405, std::string()), std::pair(404, test::OwnBody(404))}) {
      CAPTURE(status);
      CAPTURE(body);
      ModeRig rig(mode);
      rig.connection.rate_limit = mode == BatchMode::kOn ? 0 : 1;
      rig.connection.batch.linger = milliseconds(0);
      rig.Start();
      rig.Accept(Events(10));
      if (mode == BatchMode::kAuto) rig.AnswerAll(200);
      rig.AwaitRequest();
      const std::size_t count = mode == BatchMode::kOn ? 10 : 9;
      REQUIRE(rig.Sizes() == std::vector<std::size_t>{count});
      rig.Finish(0, AnswerOf(status, body));
      rig.Run();
      CHECK(rig.out.empty());
      CHECK(rig.told_of_no_batches == 0);
      rig.ProveWell();
      CHECK(rig.told_of_no_batches == 1);
      CHECK(rig.Use() == BatchUse::kNoRoute);
      CHECK(rig.Queue().held().departures().troubled_users().empty());  // it was nobody's fault
      CHECK(rig.Gate() == GateState::kOpen);
      CHECK(Ask(rig.file,
                "SELECT count(*) FROM outbox WHERE charged = 0 AND failures = 0 AND due_ms IS NULL") ==
            static_cast<std::int64_t>(count));
      EventNames names;
      for (std::size_t left = count; left > 0;) {
        rig.AwaitRequest();
        for (const std::size_t size : rig.Sizes()) CHECK(size == 1);
        for (const std::string& name : rig.OutNames()) names.push_back(name);
        left -= rig.out.size();
        rig.AnswerAll(200);
      }
      CHECK(names == Names(11 - count, 10));
      CHECK(rig.Total().jobs == 0);
      rig.Accept(Events(10, "more"));
      rig.DeliverRest();
      CHECK(rig.told_of_no_batches == 1);
      CHECK(Ask(rig.file, "SELECT max(attempt) FROM attempts") == 2);  // the batch, and then alone
    }
  }
}

TEST_CASE("batch modes: a reload asks the host for batches again") {
  ModeRig rig(BatchMode::kOn);
  rig.StartWithMissingRoute();
  rig.ProveWell();
  rig.AnswerAll(200);
  CHECK(rig.Total().jobs == 0);
  rig.Reload();
  CHECK(rig.Use() == BatchUse::kUsed);
  rig.Accept(Events(3, "again"));
  CHECK(rig.Sizes() == std::vector<std::size_t>{3});
  rig.Finish(0, AnswerOf(404));
  rig.Run();  // the probe's word still counts
  CHECK(rig.told_of_no_batches == 2);
  CHECK(rig.Sizes() == std::vector<std::size_t>{1, 1, 1});
}

TEST_CASE(
    "batch modes: a 404 of a host that fails the region probe pauses the connection and says nothing of "
    "batches") {
  ModeRig rig(BatchMode::kOn);
  rig.StartWithMissingRoute();
  rig.Prove(AnswerOf(404, "<html>nothing here</html>"));
  CHECK(rig.Gate() == GateState::kPaused);
  CHECK(rig.Queue().gate().pause == PauseReason::kNotTrackApi);
  CHECK(rig.told_of_no_batches == 0);
  CHECK(rig.Use() == BatchUse::kUsed);
  CHECK(Ask(rig.file, "SELECT count(*) FROM outbox WHERE charged = 0") == 3);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
  CHECK(rig.Total().dead == 0);
}

TEST_CASE("batch modes: where every status is believed a 404 to a batch needs no probe") {
  ModeRig rig(BatchMode::kOn);
  rig.connection.rate_limit = 0;
  rig.connection.batch.linger = milliseconds(0);
  rig.connection.strict_answers = false;
  rig.Start();
  rig.Accept(Events(3));
  rig.Finish(0, AnswerOf(404, ""));
  rig.Run();
  CHECK(rig.probes.empty());
  CHECK(rig.told_of_no_batches == 1);
  CHECK(rig.Sizes() == std::vector<std::size_t>{1, 1, 1});
}

}  // namespace
}  // namespace outboxd
