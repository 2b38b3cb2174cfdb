// What a connection's queue knows after a restart.
#include <doctest/doctest.h>

#include <string>

#include "tests/daemon/delivery/queue_steps.h"

namespace outboxd {
namespace {

using test::AnswerOf;
using test::DeliverOneByOne;
using test::DeliveryRig;
using test::EventNames;
using test::Lines;
using test::Numbers;
using test::TrackLine;

}  // namespace

TEST_CASE("queue: after a restart in the middle of everything nothing is lost and order holds") {
  DeliveryRig rig;
  rig.limits.lane_jobs = 3;
  rig.Start();
  SUBCASE("a long lane without trouble") {
    rig.Accept(Lines("1", 1, 30));
  }
  SUBCASE("a long lane and a window smaller than it") {
    rig.limits.window_jobs = 2;
    rig.Accept(Lines("1", 1, 30));
  }
  SUBCASE("behind a deferred head") {
    rig.Accept(Lines("1", 1, 20));
    rig.AnswerAll(500);
    rig.Accept(Lines("1", 21, 30));
  }
  SUBCASE("behind a head that was parked itself before it failed") {
    rig.Accept(Lines("1", 0, 30));
    rig.AnswerAll(500);
    while (rig.OutNames() != EventNames{"1"}) {
      if (rig.out.empty()) rig.PassToWake();
      if (rig.OutNames() == EventNames{"0"}) rig.AnswerAll(200);
    }
    rig.AnswerAll(500);
  }
  SUBCASE("parked and held jobs of a lane in turn") {
    rig.limits.lane_jobs = 2;
    rig.Start();
    rig.Accept(Lines("1", -1, 1));
    rig.AnswerAll(200);
    rig.AnswerAll(200);
    rig.Accept(Lines("1", 2, 30));
    rig.limits.window_jobs = 1;
  }
  rig.Start();
  CHECK(DeliverOneByOne(rig) == Numbers(1, 30));
}

TEST_CASE("queue: the lanes of deferred heads leave the window to others after a restart") {
  DeliveryRig rig;
  rig.limits.lane_jobs = 4;
  rig.Start();
  for (int customer = 0; customer < 20; ++customer) rig.Accept(Lines(std::to_string(customer), 0, 9));
  rig.AnswerAll(500);
  rig.limits.window_jobs = 20;
  rig.Start();
  rig.Run();
  CHECK(rig.Queue().Status().blocked >= 180);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("queue: a closed gate is still closed after a restart") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1"), TrackLine("2")});
  Answer answer = AnswerOf(503);
  answer.retry_after = "60";
  rig.Finish(0, std::move(answer));
  rig.Run();
  rig.Start();
  rig.Pass(std::chrono::seconds(59));
  CHECK(rig.out.empty());
  rig.Pass(std::chrono::seconds(1));
  CHECK(rig.out.size() == 1);
}

}  // namespace outboxd
