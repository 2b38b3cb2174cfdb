// Rows that are not as we wrote them: none stops the others, vanishes, or ends the process.
#include <doctest/doctest.h>

#include <string>

#include "tests/daemon/delivery/queue_steps.h"

namespace outboxd {
namespace {

using test::AnswerOf;
using test::AskText;
using test::DeliverOneByOne;
using test::DeliveryRig;
using test::EventNames;
using test::Lines;
using test::Numbers;
using test::TrackLine;

void Change(const DeliveryRig& rig, const std::string& sql) {
  auto database = Database::Open(rig.file, OpenMode::kReadWrite);
  REQUIRE(database);
  REQUIRE(database->Execute(sql));
}

void Damage(const DeliveryRig& rig, Sequence sequence) {
  Change(rig, "UPDATE outbox SET line = 'x' WHERE seq = " + std::to_string(ToNumber(sequence)));
}

}  // namespace

TEST_CASE("queue: a damaged row becomes a dead letter and holds nobody up") {
  DeliveryRig rig;
  SUBCASE("read from the backlog") {
    rig.leave_out = true;
    rig.Start();
    rig.Submit(Lines("1", 1, 3));
    rig.WorkClerk();
    const auto& ids = rig.answered.front()->ids;
    Damage(rig, ids[1].SequencePart());
    CHECK(DeliverOneByOne(rig) == EventNames{"1", "3"});
  }
  SUBCASE("parked") {
    rig.limits.lane_jobs = 1;
    rig.Start();
    rig.Accept(Lines("1", 1, 3));
    Damage(rig, Sequence{ToNumber(rig.out[0].transfer.job->sequence) + 1});
    CHECK(DeliverOneByOne(rig) == EventNames{"1", "3"});
  }
  SUBCASE("deferred") {
    rig.Start();
    rig.Accept(Lines("1", 1, 3));
    const Sequence sequence = rig.out[0].transfer.job->sequence;
    rig.AnswerAll(500);
    Damage(rig, sequence);
    CHECK(DeliverOneByOne(rig) == EventNames{"2", "3"});
  }
  CHECK(rig.Total().dead == 1);
  CHECK(AskText(rig.file, "SELECT reason FROM dead_letters").find("damaged") != std::string::npos);
  test::CheckCounts(rig.clerk().outbox(), rig.file);
}

TEST_CASE("queue: a row parked under a lane that is not its own is delivered all the same") {
  DeliveryRig rig;
  rig.limits.lane_jobs = 1;
  rig.Start();
  rig.Accept(Lines("1", 1, 4));
  rig.Accept({TrackLine("2", "5")});
  rig.Stop();
  SUBCASE("of nobody") {
    Change(rig, "UPDATE outbox SET parked = 77 WHERE seq = 3");
  }
  SUBCASE("of another customer") {
    Change(rig, "UPDATE outbox SET parked = (SELECT parked FROM outbox WHERE seq = 2) WHERE seq = 5");
  }
  SUBCASE("though it keeps two lanes") {
    Change(rig, R"(UPDATE outbox SET type = 'merge', line =
      '{"type":"merge","primary":{"id":"1"},"secondary":{"id":"2"}}' WHERE seq = 3)");
  }
  SUBCASE("though it keeps none") {
    Change(rig, R"(UPDATE outbox SET type = 'raw', line =
      '{"type":"raw","method":"GET","path":"/v1/x"}' WHERE seq = 3)");
  }
  rig.Start();
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
  CHECK(rig.Total().dead == 0);
}

TEST_CASE("queue: a gate that no program wrote is read as one that can be, and ends") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept(Lines("1", 1, 2));
  rig.AnswerAll(503);
  rig.Stop();
  SUBCASE("a state that is none") {
    Change(rig, "UPDATE connections SET state = 'ajar', pause = 'whim', reopen_ms = -1, failures = -1");
  }
  SUBCASE("open until a time") {
    Change(rig, "UPDATE connections SET state = 'open', pause = 'auth', reopen_ms = 9223372036854775807");
  }
  SUBCASE("throttled without a time") {
    Change(rig, "UPDATE connections SET state = 'throttled', pause = 'operator', reopen_ms = NULL");
  }
  SUBCASE("throttled for ever") {
    Change(rig, "UPDATE connections SET reopen_ms = 9223372036854775807");
  }
  SUBCASE("paused for a reason that is none") {
    Change(rig, "UPDATE connections SET state = 'paused', pause = 'whim'");
  }
  rig.Start();
  rig.Tell([&](Dispatcher& dispatcher) { dispatcher.Find("default")->Resume(rig.now); });
  rig.Run();
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

}  // namespace outboxd
