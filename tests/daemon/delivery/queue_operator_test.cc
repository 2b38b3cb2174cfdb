// What operators do to the jobs of a connection: cancel, forget, redrive, in every state a job can be in.
#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

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

TEST_CASE("queue: redriven jobs are delivered again, in order, beside what waits") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept(Lines("1", 1, 5));
  for (int round = 0; round < 5; ++round) rig.AnswerAll(400);
  CHECK(rig.Total().dead == 5);
  rig.Accept(Lines("2", 6, 8));
  rig.Redrive();
  rig.Run();
  EventNames names = DeliverOneByOne(rig);
  std::erase_if(names, [](const std::string& name) { return name > "5"; });
  CHECK(names == Numbers(1, 5));
  CHECK(rig.Total().dead == 0);
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE(
    "queue: a job cancelled while it is out, redriven, and deferred by the attempt that was out, goes "
    "again") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a")});
  rig.Cancel(rig.out.front().transfer.Jobs().front()->sequence);
  rig.WorkClerk();
  rig.Dispatch();
  rig.Finish(0, AnswerOf(500));
  rig.Dispatch();
  rig.Redrive();
  rig.Run();
  REQUIRE(rig.Total().jobs == 1);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE(
    "queue: a job redriven in front of a lane never makes two requests of the lane overlap, and nobody is "
    "forgotten") {
  DeliveryRig rig;
  rig.connection.retry.base = std::chrono::seconds(10);
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("1", "b"), TrackLine("1", "c")});
  rig.AnswerAll(400);
  REQUIRE(rig.OutNames() == EventNames{"b"});
  const auto redrive = [&] {
    rig.Redrive();
    rig.Run();
  };
  SUBCASE("while a later one is out, which fails") {
    redrive();
    CHECK(rig.OutNames() == EventNames{"b"});
    rig.AnswerAll(500);
  }
  SUBCASE("while a later one is out, which comes back uncharged") {
    redrive();
    rig.AnswerAll(401);
    rig.ProveUnwell();
  }
  SUBCASE("while a later one is deferred, which fails again") {
    rig.AnswerAll(500);
    redrive();
    while (rig.out.empty()) rig.PassToWake();
    CHECK(rig.OutNames() == EventNames{"b"});  // it keeps its turn: its request may have had its effect
    rig.AnswerAll(500);
  }
  SUBCASE("while a later one is deferred, and all starts anew") {
    rig.AnswerAll(500);
    redrive();
    rig.Start();
  }
  SUBCASE("while a later one is ready behind a closed gate") {
    rig.AnswerAll(401);
    rig.ProveUnwell();
    redrive();
  }
  const EventNames names = DeliverOneByOne(rig);
  CHECK(std::set<std::string>(names.begin(), names.end()).size() == 3);
  CHECK(rig.Total().jobs == 0);
  CHECK(rig.Total().dead == 0);
}

TEST_CASE("queue: a job taken away is not sent, whatever its state was, and its followers go on") {
  DeliveryRig rig;
  rig.limits.lane_jobs = 3;
  rig.Start();
  rig.Accept(Lines("1", 1, 6));
  std::vector<Sequence> sequences;
  const Sequence first = rig.out[0].transfer.job->sequence;
  for (std::uint64_t number = 0; number < 6; ++number)
    sequences.push_back(Sequence{ToNumber(first) + number});
  const auto cancel = [&](std::size_t index) {
    rig.Cancel(sequences[index]);
    rig.Run();
  };
  EventNames rest = Numbers(1, 6);
  SUBCASE("waiting") {
    cancel(1);
    rest = {"1", "3", "4", "5", "6"};
  }
  SUBCASE("parked") {
    cancel(4);
    rest = {"1", "2", "3", "4", "6"};
  }
  SUBCASE("in flight, then delivered after all") {
    cancel(0);
    rig.AnswerAll(200);
    rest = Numbers(2, 6);
  }
  SUBCASE("in flight, then failed") {
    cancel(0);
    rig.AnswerAll(500);
    rest = Numbers(2, 6);
  }
  SUBCASE("in flight, then sent back for the credentials") {
    cancel(0);
    rig.AnswerAll(401);
    rest = Numbers(2, 6);
  }
  SUBCASE("in flight, and redriven before it came back") {
    cancel(0);
    rig.Redrive();
    rig.Run();
    rig.AnswerAll(500);
  }
  SUBCASE("deferred") {
    rig.AnswerAll(500);
    cancel(0);
    rest = Numbers(2, 6);
  }
  SUBCASE("ready behind a closed gate") {
    rig.AnswerAll(401);
    cancel(0);
    rest = Numbers(2, 6);
  }
  CHECK(DeliverOneByOne(rig) == rest);
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("queue: a customer forgotten with jobs in every state leaves nothing behind and others untouched") {
  DeliveryRig rig;
  rig.limits.lane_jobs = 3;
  rig.Start();
  rig.Accept(Lines("1", 1, 20));
  rig.Accept({TrackLine("2", "other")});
  rig.Forget("1");
  rig.Run();
  CHECK(rig.Total().jobs == 1);
  rig.AnswerAll(500);
  CHECK(DeliverOneByOne(rig) == EventNames{"other"});
  CHECK(rig.Queue().Status().blocked == 0);
  rig.Accept(Lines("1", 21, 22));
  CHECK(DeliverOneByOne(rig) == Numbers(21, 22));
}

}  // namespace outboxd
