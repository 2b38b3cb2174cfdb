// Batches: which jobs leave together, and what one answer means for each of them.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "core/batch.h"
#include "daemon/delivery/connection_queue.h"
#include "tests/daemon/delivery/delivery_rig.h"

namespace outboxd {
namespace {

using test::AnswerOf;
using test::Ask;
using test::AskText;
using test::DeliveryRig;
using test::TrackLine;
using EventNames = std::vector<std::string>;
using std::chrono::milliseconds;

class BatchRig : public DeliveryRig {
 public:
  BatchRig() {
    connection.batch.mode = BatchMode::kOn;
    connection.batch.linger = milliseconds(0);
  }

  // The names in the transfer at `index`.
  EventNames In(std::size_t index) const {
    EventNames names;
    REQUIRE(index < out.size());
    for (const auto& job : out[index].transfer.Jobs()) names.push_back(job->job.name);
    return names;
  }

  // Answers every transfer until the outbox is empty or nothing happens any more: refused whole when it holds
  // `culprit`.
  std::size_t RefuseWith(int status, const std::string& culprit) {
    std::size_t requests = 0;
    for (int round = 0; round < 1000 && !out.empty(); ++round) {
      const EventNames names = In(0);
      const bool bad = std::find(names.begin(), names.end(), culprit) != names.end();
      Finish(0, AnswerOf(bad ? status : 200));
      ++requests;
      Run();
    }
    return requests;
  }
};

std::vector<std::string> OfCustomers(int count) {
  std::vector<std::string> lines;
  for (int number = 1; number <= count; ++number)
    lines.push_back(TrackLine(std::to_string(number), "n" + std::to_string(number)));
  return lines;
}

}  // namespace

TEST_CASE("batch queue: ready jobs of many lanes leave together, and each has its own attempt") {
  BatchRig rig;
  rig.Start();
  rig.Accept(OfCustomers(5));
  REQUIRE(rig.out.size() == 1);
  CHECK(rig.out[0].transfer.kind == TransferKind::kBatch);
  CHECK(rig.In(0) == EventNames{"n1", "n2", "n3", "n4", "n5"});
  CHECK(rig.Queue().in_flight() == 1);
  CHECK(rig.Queue().Status().in_flight == 5);
  rig.AnswerAll(200);
  CHECK(rig.Total().jobs == 0);
  CHECK(Ask(rig.file, "SELECT count(*) FROM attempts WHERE result = 'delivered' AND status = 200") == 5);
  CHECK(rig.Queue().Status().in_flight == 0);
}

TEST_CASE("batch queue: items limit a batch, and a job without company goes by itself") {
  BatchRig rig;
  rig.connection.batch.max_items = 2;
  rig.Start();
  rig.Accept(OfCustomers(5));
  REQUIRE(rig.out.size() == 3);
  CHECK(rig.In(0) == EventNames{"n1", "n2"});
  CHECK(rig.In(1) == EventNames{"n3", "n4"});
  CHECK(rig.In(2) == EventNames{"n5"});
  CHECK(rig.out[2].transfer.kind == TransferKind::kJob);
}

TEST_CASE("batch queue: bytes limit a batch") {
  BatchRig small;
  small.connection.batch.max_bytes = 600;
  small.Start();
  small.Accept(OfCustomers(6));
  for (const auto& flight : small.out) {
    if (flight.transfer.kind == TransferKind::kBatch)
      CHECK(BuildBatchRequest(flight.transfer.batch).body.size() <= 600);
  }
  CHECK(small.OutNames().size() == 6);
  CHECK(small.out.size() > 1);
}

TEST_CASE("batch queue: a job lingers for company, but not longer than told") {
  BatchRig rig;
  rig.connection.batch.linger = milliseconds(5);
  rig.Start();
  rig.Accept({TrackLine("1", "a")});
  CHECK(rig.out.empty());
  rig.Pass(milliseconds(3));
  rig.Accept({TrackLine("2", "b")});
  CHECK(rig.out.empty());
  CHECK(rig.dispatcher().NextWake(rig.now) == rig.now + milliseconds(2));
  rig.Pass(milliseconds(2));
  REQUIRE(rig.out.size() == 1);
  CHECK(rig.In(0) == EventNames{"a", "b"});
}

TEST_CASE("batch queue: a stream of jobs that go by themselves does not keep a gathered one waiting") {
  BatchRig rig;
  rig.connection.max_in_flight = 1;
  rig.Start();
  std::vector<std::string> lines = {TrackLine("ann@example.com"), TrackLine("1", "gathered"),
                                    TrackLine("2", "gathered")};
  for (int number = 0; number < 50; ++number)
    lines.push_back(TrackLine("c" + std::to_string(number) + "@example.com"));
  rig.Accept(lines);
  std::size_t answered = 0;
  for (; answered < 50 && rig.OutNames() != EventNames{"gathered", "gathered"}; ++answered) {
    rig.now += milliseconds(10);
    rig.AnswerAll(200);
  }
  CHECK(answered < 20);
}

TEST_CASE("batch queue: never two jobs of one lane in a batch") {
  BatchRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("1", "b"), TrackLine("2", "c"), TrackLine("1", "d")});
  REQUIRE(rig.out.size() == 1);
  CHECK(rig.In(0) == EventNames{"a", "c"});
  rig.AnswerAll(200);
  CHECK(rig.OutNames() == EventNames{"b"});
}

TEST_CASE("batch queue: with same_lane the followers ride along in their order, up to a fence") {
  BatchRig rig;
  rig.connection.batch.same_lane = true;
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("1", "b"), TrackLine("2", "c"), TrackLine("1", "d"),
              R"({"type":"destroy","id":"1"})", TrackLine("1", "e")});
  REQUIRE(rig.out.size() == 1);
  CHECK(rig.In(0) == EventNames{"a", "b", "d", "c"});
  rig.AnswerAll(200);
  REQUIRE(rig.out.size() == 1);
  CHECK(rig.out[0].transfer.kind == TransferKind::kJob);
  CHECK(rig.out[0].transfer.job->job.type == JobType::kDestroy);
  rig.AnswerAll(200);
  CHECK(rig.OutNames() == EventNames{"e"});
}

TEST_CASE("batch queue: behind a rider whose time is over the others wait until that is written down") {
  BatchRig rig;
  rig.connection.batch.same_lane = true;
  rig.connection.batch.linger = milliseconds(2'000);
  rig.Start();
  rig.Accept(
      {TrackLine("a", "n1"), R"({"type":"track","id":"a","name":"n2","max_age":1})", TrackLine("a", "n3")});
  REQUIRE(rig.out.empty());
  rig.now += milliseconds(3'000);
  rig.Dispatch();
  CHECK(rig.In(0) == EventNames{"n1"});
  rig.AnswerAll(200);
  CHECK(rig.Total().jobs == 1);
  rig.Pass(milliseconds(3'000));
  CHECK(rig.In(0) == EventNames{"n3"});
}

TEST_CASE("batch queue: one whose time ran out while it lingered, redriven and gathered again, leaves once") {
  BatchRig rig;
  rig.connection.batch.linger = milliseconds(10'000);
  rig.Start();
  rig.Accept({R"({"type":"track","id":"a","name":"n1","max_age":1})", TrackLine("b", "n2")});
  rig.Pass(milliseconds(3'000));
  REQUIRE(rig.out.empty());
  REQUIRE(rig.Total().dead == 1);
  rig.Redrive();
  rig.Pass(milliseconds(8'000));
  REQUIRE(rig.out.size() == 1);
  EventNames names = rig.In(0);
  std::sort(names.begin(), names.end());
  CHECK(names == EventNames{"n1", "n2"});
}

TEST_CASE("batch queue: riders of a batch without an answer go again behind their head") {
  BatchRig rig;
  rig.connection.batch.same_lane = true;
  rig.connection.retry.base = rig.connection.retry.cap = milliseconds(100);
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("1", "b"), TrackLine("1", "c")});
  CHECK(rig.In(0) == EventNames{"a", "b", "c"});
  rig.Finish(0, AnswerOf(0));
  rig.Run();
  CHECK(Ask(rig.file, "SELECT count(*) FROM attempts WHERE result = 'deferred'") == 3);
  CHECK(Ask(rig.file, "SELECT max(charged) FROM outbox") == 0);
  EventNames order;
  for (int round = 0; round < 100 && rig.Total().jobs > 0; ++round) {
    if (rig.out.empty()) rig.PassToWake();
    const EventNames names = rig.OutNames();
    order.insert(order.end(), names.begin(), names.end());
    rig.AnswerAll(200);
    for (const std::string& name : rig.OutNames()) order.push_back(name);
    rig.AnswerAll(200);
  }
  CHECK(order == EventNames{"a", "b", "c"});
}

TEST_CASE("batch queue: of a 207 the listed items are dead letters, the others delivered") {
  BatchRig rig;
  rig.Start();
  rig.Accept(OfCustomers(4));
  rig.Finish(
      0, AnswerOf(207, R"({"errors":[{"batch_index":2,"reason":"invalid","field":"name","message":"no"}]})"));
  rig.Run();
  CHECK(rig.Total().jobs == 0);
  CHECK(rig.Total().dead == 1);
  CHECK(AskText(rig.file, "SELECT reason FROM dead_letters") == "207 Multi-Status: name: invalid: no");
  CHECK(AskText(rig.file, "SELECT json_extract(line, '$.name') FROM dead_letters") == "n3");
  CHECK(AskText(rig.file, "SELECT answer FROM dead_letters") ==
        R"({"batch_index":2,"reason":"invalid","field":"name","message":"no"})");
  CHECK(Ask(rig.file, "SELECT count(*) FROM attempts WHERE result = 'delivered'") == 3);
  CHECK(Ask(rig.file, "SELECT count(*) FROM attempts WHERE result = 'rejected'") == 1);
}

TEST_CASE(
    "batch queue: a batch refused as a whole is halved until the culprit is alone, and nobody else is "
    "harmed") {
  for (const int status : {400, 413, 422}) {
    CAPTURE(status);
    BatchRig rig;
    rig.Start();
    rig.Accept(OfCustomers(16));
    REQUIRE(rig.In(0).size() == 16);
    CHECK(rig.RefuseWith(status, "n6") == 9);  // 16, then two halves of each of 16, 8, 4 and 2
    CHECK(rig.Total().jobs == 0);
    CHECK(rig.Total().dead == 1);
    CHECK(AskText(rig.file, "SELECT json_extract(line, '$.name') FROM dead_letters") == "n6");
    CHECK(Ask(rig.file, "SELECT count(*) FROM attempts WHERE result = 'delivered'") == 15);
    CHECK(Ask(rig.file, "SELECT count(*) FROM attempts WHERE result = 'split'") == 16 + 8 + 4 + 2);
  }
}

TEST_CASE("batch queue: new jobs do not join the suspects of a refused batch") {
  BatchRig rig;
  rig.Start();
  rig.Accept(OfCustomers(4));
  rig.Finish(0, AnswerOf(400));
  rig.Submit({TrackLine("9", "new")});
  rig.Run();
  for (std::size_t index = 0; index < rig.out.size(); ++index) {
    const EventNames names = rig.In(index);
    if (std::find(names.begin(), names.end(), "new") != names.end()) CHECK(names == EventNames{"new"});
  }
  CHECK(rig.OutNames().size() == 5);
}

TEST_CASE("batch queue: a lost answer is repeated with the same event ids") {
  BatchRig rig;
  rig.connection.retry.base = rig.connection.retry.cap = milliseconds(10);
  rig.Start();
  rig.Accept(OfCustomers(3));
  std::map<std::string, std::string> ids;
  for (const auto& job : rig.out[0].transfer.Jobs()) ids[job->job.name] = job->stamp.id.ToText();
  rig.Finish(0, AnswerOf(0));
  rig.Run();
  CHECK(rig.Gate() == GateState::kThrottled);
  std::size_t again = 0;
  for (int round = 0; round < 200 && rig.Total().jobs > 0; ++round) {
    if (rig.out.empty()) rig.PassToWake();
    for (const auto& flight : rig.out) {
      for (const auto& job : flight.transfer.Jobs()) {
        CHECK(ids[job->job.name] == job->stamp.id.ToText());
        ++again;
      }
    }
    while (!rig.out.empty()) rig.Finish(0, AnswerOf(200));
    rig.WorkClerk();
    rig.Dispatch();
    rig.WorkClerk();
  }
  CHECK(again >= 3);
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("batch queue: a probing gate sends one job, not a batch") {
  BatchRig rig;
  rig.Start();
  rig.Tell([&](Dispatcher& dispatcher) {
    dispatcher.Find("default")->Pause(PauseReason::kOperator, "", rig.now);
  });
  rig.Accept(OfCustomers(6));
  CHECK(rig.out.empty());
  rig.Tell([&](Dispatcher& dispatcher) { dispatcher.Find("default")->Resume(rig.now); });
  rig.Run();
  REQUIRE(rig.out.size() == 1);
  CHECK(rig.In(0).size() == 1);
  rig.Finish(0, AnswerOf(200));
  rig.Run();
  REQUIRE(rig.out.size() == 1);
  CHECK(rig.In(0).size() == 5);
}

TEST_CASE("batch queue: what does not fit goes by itself, and its lane's order holds across both ways") {
  BatchRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("2", "b"),
              R"({"type":"identify","id":"1","attributes":{"_timestamp":5}})", TrackLine("1", "c"),
              R"({"type":"track","anonymous_id":"x","name":"d"})"});
  REQUIRE(rig.out.size() == 2);
  CHECK(rig.OutNames() == EventNames{"d", "a", "b"});
  rig.AnswerAll(200);
  REQUIRE(rig.out.size() == 1);
  CHECK(rig.out[0].transfer.job->job.type == JobType::kIdentify);
  rig.AnswerAll(200);
  CHECK(rig.OutNames() == EventNames{"c"});
}

TEST_CASE("batch queue: refused credentials return the whole batch uncharged") {
  BatchRig rig;
  rig.Start();
  rig.Accept(OfCustomers(3));
  rig.Finish(0, AnswerOf(401));
  rig.Run();
  rig.ProveUnwell();
  CHECK(rig.Gate() == GateState::kPaused);
  CHECK(Ask(rig.file, "SELECT count(*) FROM outbox WHERE charged = 0") == 3);
  CHECK(rig.Total().dead == 0);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

}  // namespace outboxd
