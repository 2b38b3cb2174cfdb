// Whose fault it is: what the queue of a connection does with answers that may be one job's own fault.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "core/gate.h"
#include "core/verdict.h"
#include "daemon/delivery/dispatcher.h"
#include "daemon/delivery/transfer.h"
#include "tests/daemon/delivery/delivery_rig.h"
#include "tests/daemon/delivery/queue_steps.h"
#include "tests/support/outbox_use.h"

namespace outboxd {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using test::AnswerOf;
using test::Ask;
using test::AskText;
using test::DeliveryRig;
using test::EventNames;
using test::TrackLine;

Answer Unanswered() {
  Answer answer;
  answer.fault = Fault::kUnanswered;
  answer.error = "reset: connection closed before an answer";
  return answer;
}

// Finishes the transfer of `name` alone.
void FinishNamed(DeliveryRig& rig, const std::string& name, Answer answer) {
  const EventNames names = rig.OutNames();
  const auto found = std::find(names.begin(), names.end(), name);
  REQUIRE(found != names.end());
  rig.Finish(static_cast<std::size_t>(found - names.begin()), std::move(answer));
  rig.Run();
}

TEST_CASE("suspects: while the region probe is asked nothing leaves, and the answer waits for its word") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("2", "b")});
  FinishNamed(rig, "a", AnswerOf(403));
  REQUIRE(rig.probes.size() == 1);
  rig.Accept({TrackLine("3", "c")});
  CHECK(rig.OutNames() == EventNames{"b"});
  CHECK(rig.Total().attempts == 0);
  rig.ProveWell();
  CHECK(rig.OutNames() == EventNames{"b", "c"});
  CHECK(rig.Total().attempts == 1);
}

TEST_CASE("suspects: refused although all is well, a job waits by its own backoff and nobody else does") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("1", "follower"), TrackLine("2", "b")});
  FinishNamed(rig, "a", AnswerOf(403));
  rig.ProveWell();
  CHECK(rig.Gate() == GateState::kOpen);
  CHECK(rig.Queue().Status().suspects == 1);
  CHECK(rig.Queue().Status().gate.detail.find("403 Forbidden") != std::string::npos);
  CHECK(Ask(rig.file, "SELECT count(*) FROM outbox WHERE due_ms IS NOT NULL") == 1);
  rig.Accept({TrackLine("3", "c")});
  CHECK(rig.OutNames() == EventNames{"b", "c"});
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
  CHECK(rig.Queue().Status().suspects == 0);
}

TEST_CASE("suspects: the word of a probe counts for its interval") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("2", "b")});
  FinishNamed(rig, "a", AnswerOf(403));
  rig.ProveWell();
  FinishNamed(rig, "b", AnswerOf(403));
  CHECK(rig.probes.empty());
  CHECK(rig.Queue().Status().suspects == 2);
  rig.now += rig.connection.probe_interval;
  rig.Accept({TrackLine("3", "c")});
  FinishNamed(rig, "c", AnswerOf(403));
  CHECK(rig.probes.size() == 1);
}

TEST_CASE("suspects: ten of different lanes refused in a row pause the connection, and stay ordinary") {
  DeliveryRig rig;
  rig.Start();
  std::vector<std::string> lines;
  for (int number = 1; number <= 10; ++number)
    lines.push_back(TrackLine(std::to_string(number), std::to_string(number)));
  rig.Accept(lines);
  for (int number = 1; number <= 9; ++number) {
    FinishNamed(rig, std::to_string(number), AnswerOf(401));
    if (!rig.probes.empty()) rig.ProveWell();
  }
  CHECK(rig.Gate() == GateState::kOpen);
  CHECK(rig.Queue().Status().suspects == 9);
  FinishNamed(rig, "10", AnswerOf(401));
  CHECK(rig.Gate() == GateState::kPaused);
  CHECK(rig.Queue().gate().pause == PauseReason::kAuth);
  CHECK(rig.Queue().Status().suspects == 0);
  CHECK(Ask(rig.file, "SELECT max(charged) FROM outbox") == 0);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("suspects: a delivery between ends the row of refusals") {
  DeliveryRig rig;
  rig.Start();
  for (int number = 1; number <= 30; ++number) {
    const std::string name = std::to_string(number);
    rig.Accept({TrackLine(name, name)});
    if (rig.OutNames() != EventNames{name}) continue;
    FinishNamed(rig, name, AnswerOf(number % 9 == 0 ? 200 : 401));
    if (!rig.probes.empty()) rig.ProveWell();
  }
  CHECK(rig.Gate() == GateState::kOpen);
}

TEST_CASE("suspects: one that hangs leaves the only place that the gate gives to the others") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "trouble")});
  FinishNamed(rig, "trouble", AnswerOf(0));
  while (rig.out.empty()) rig.PassToWake();
  FinishNamed(rig, "trouble", AnswerOf(200));
  rig.Accept({TrackLine("2", "a")});
  FinishNamed(rig, "a", AnswerOf(403));
  rig.ProveWell();
  while (rig.out.empty()) rig.PassToWake();
  REQUIRE(rig.OutNames() == EventNames{"a"});
  REQUIRE(rig.Queue().Status().limit == 1);
  rig.Accept({TrackLine("3", "c"), TrackLine("4", "d")});
  CHECK(rig.OutNames() == EventNames{"a", "c"});
}

TEST_CASE("suspects: an answer that waits for the probe at the end is recorded, and the job returns") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a")});
  FinishNamed(rig, "a", AnswerOf(403));
  rig.Tell([](Dispatcher& dispatcher) { dispatcher.StopSending(); });
  rig.Run();
  CHECK(rig.Queue().in_flight() == 0);
  CHECK(rig.Total().attempts == 1);
  CHECK(rig.Gate() == GateState::kOpen);
  CHECK(Ask(rig.file, "SELECT count(*) FROM outbox WHERE due_ms IS NULL AND charged = 0") == 1);
}

TEST_CASE("suspects: a proxy that wants credentials pauses the connection and charges nobody") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a")});
  Answer answer;
  answer.fault = Fault::kProxy;
  answer.error = "proxy: CONNECT tunnel failed, response 407";
  FinishNamed(rig, "a", std::move(answer));
  CHECK(rig.Queue().gate().pause == PauseReason::kProxy);
  CHECK(rig.probes.empty());
  rig.Pass(rig.connection.probe_interval);
  rig.ProveWell();
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("repeats: no answer on a connection that broke costs one request and no wait") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("1", "b")});
  FinishNamed(rig, "a", Unanswered());
  CHECK(rig.Gate() == GateState::kOpen);
  REQUIRE(rig.OutNames() == EventNames{"a"});
  CHECK(rig.out[0].transfer.route == Route::kPooled);
  CHECK(AskText(rig.file, "SELECT result FROM attempts") == "unanswered");
  CHECK(Ask(rig.file, "SELECT charged FROM outbox WHERE seq = 1") == 0);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("repeats: the second goes on a connection of its own, and after the third the job has failed") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a")});
  std::vector<Route> routes;
  for (int repeat = 0; repeat < 4; ++repeat) {
    routes.push_back(rig.out.at(0).transfer.route);
    FinishNamed(rig, "a", Unanswered());
  }
  CHECK(routes == std::vector<Route>{Route::kPooled, Route::kPooled, Route::kOwn, Route::kOwn});
  CHECK(rig.out.empty());
  CHECK(rig.Gate() == GateState::kThrottled);
  CHECK(rig.Total().attempts == 4);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("repeats: they go before others, and wait at a closed gate as everything does") {
  DeliveryRig rig;
  rig.connection.max_in_flight = 2;
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("2", "b"), TrackLine("3", "c"), TrackLine("4", "d")});
  REQUIRE(rig.OutNames() == EventNames{"a", "b"});
  rig.Finish(0, Unanswered());
  Answer busy = AnswerOf(429);
  busy.retry_after = "60";
  rig.Finish(0, std::move(busy));
  rig.Run();
  CHECK(rig.out.empty());
  rig.Pass(seconds(59));
  CHECK(rig.out.empty());
  rig.Pass(seconds(1));
  CHECK(rig.OutNames() == EventNames{"a"});  // it is the probe
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("repeats: a batch goes again as it was") {
  DeliveryRig rig;
  rig.connection.batch.mode = BatchMode::kOn;
  rig.connection.batch.linger = Milliseconds(0);
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("2", "b"), TrackLine("3", "c")});
  REQUIRE(rig.out.size() == 1);
  rig.Finish(0, Unanswered());
  rig.Run();
  REQUIRE(rig.out.size() == 1);
  CHECK(rig.out[0].transfer.batch.size() == 3);
  rig.Finish(0, Unanswered());
  rig.Run();
  CHECK(rig.out.at(0).transfer.route == Route::kOwn);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("suspects: an outage charges nobody, however few wait; the head that is poison gives way in time") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("2", "b")});
  const Timestamp end = rig.now + std::chrono::hours(60);
  while (rig.now < end) {
    while (!rig.out.empty()) rig.Finish(0, AnswerOf(0));
    rig.Run();
    rig.PassToWake();
  }
  CHECK(rig.Total().dead == 0);
  CHECK(Ask(rig.file, "SELECT max(charged) FROM outbox") == 0);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

}  // namespace
}  // namespace outboxd
