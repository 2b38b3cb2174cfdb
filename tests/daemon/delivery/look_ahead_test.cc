// Memory is full of one user's jobs that do not leave: what becomes of another user's behind them.
#include "daemon/delivery/look_ahead.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/daemon/delivery/delivery_rig.h"

namespace outboxd {
namespace {

using std::chrono::seconds;
using test::AnswerOf;
using test::DeliveryRig;
using test::TrackLine;

constexpr User kCrowd = 33;
constexpr User kOther = 1000;

// Nothing is answered: what is out stays out.
struct Full : DeliveryRig {
  Full() {
    connection.max_in_flight = 8;
    limits.window_jobs = 40;
    Start();
    std::vector<std::string> lines;
    for (int number = 0; number < 100; ++number)
      lines.push_back(TrackLine("crowd" + std::to_string(number), "crowd"));
    Accept(lines, kCrowd);
    REQUIRE(out.size() == 8);
  }
  std::size_t InMemory(Sequence from, Sequence to) {
    std::size_t count = 0;
    for (std::uint64_t number = ToNumber(from); number <= ToNumber(to); ++number)
      if (Queue().held().Place(Sequence{number})) ++count;
    return count;
  }
  // What leaves of the other user while `count` of the crowd's are answered.
  std::vector<std::string> NextNames(int count) {
    std::vector<std::string> names;
    for (int request = 0; request < count; ++request) {
      Finish(0, AnswerOf(200));
      Run();
      if (out.back().transfer.job->job.name != "crowd") names.push_back(out.back().transfer.job->job.name);
    }
    return names;
  }
};

TEST_CASE("look ahead: another user's jobs are read before the rest of a crowd that fills the memory") {
  Full rig;
  rig.Accept({TrackLine("a", "first"), TrackLine("b", "second")}, kOther);
  rig.Pass(seconds(2));
  CHECK(rig.InMemory(Sequence{101}, Sequence{102}) == 2);
  CHECK(rig.InMemory(Sequence{41}, Sequence{100}) == 0);
  CHECK(rig.Queue().held().window().ahead().jobs == 2);
}

TEST_CASE("look ahead: a job of a lane that was passed over waits for its turn") {
  Full rig;
  rig.Accept({TrackLine("crowd60", "behind"), TrackLine("b", "free")}, kOther);
  rig.Pass(seconds(2));
  CHECK_FALSE(rig.Queue().held().Place(Sequence{101}));
  CHECK(rig.Queue().held().Place(Sequence{102}));
}

TEST_CASE("look ahead: a lane's followers come with its head, and go in its order") {
  Full rig;
  rig.Accept({TrackLine("a", "first"), TrackLine("a", "second")}, kOther);
  rig.Pass(seconds(2));
  CHECK(rig.InMemory(Sequence{101}, Sequence{102}) == 2);
  CHECK(rig.NextNames(4) == std::vector<std::string>{"first"});
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("look ahead: a user has a part of the room, and who gets on well is waited for") {
  Full rig;
  std::vector<std::string> lines;
  for (int number = 0; number < 30; ++number)
    lines.push_back(TrackLine("a" + std::to_string(number), "other"));
  rig.Accept(lines, kOther);
  rig.Pass(seconds(2));
  CHECK(rig.InMemory(Sequence{101}, Sequence{130}) == 5);  // an eighth of window_jobs
  CHECK(rig.InMemory(Sequence{101}, Sequence{105}) == 5);
}

// Of lines so long that a page has five of them.
struct FullOfLongLines : DeliveryRig {
  FullOfLongLines() {
    connection.max_in_flight = 8;
    limits.window_jobs = 100;
    limits.window_bytes = 160'000;
    Start();
    Accept({TrackLine("early", "early")}, kOther);
    AnswerAll(400);
    std::vector<std::string> lines;
    for (int number = 0; number < 300; ++number)
      lines.push_back(R"({"type":"track","id":"crowd)" + std::to_string(number) +
                      R"(","name":"crowd","data":{"x":")" + std::string(4'000, 'x') + R"("}})");
    Accept(lines, kCrowd);
    Accept({TrackLine("late", "late")}, kOther);
  }
};

TEST_CASE("look ahead: a pass over pages that long lines cut short is not waited for as if they were full") {
  FullOfLongLines rig;
  rig.Pass(seconds(2));
  REQUIRE(rig.Queue().held().Place(Sequence{302}));
  REQUIRE(rig.Queue().held().window().ahead().jobs == 1);
  rig.Redrive();
  rig.Run();
  REQUIRE(rig.Total().dead == 0);
  rig.Pass(seconds(2));  // 60 pages of the pass before
  CHECK(rig.Queue().held().Place(Sequence{1}));
}

TEST_CASE("look ahead: one user alone is not looked for") {
  Full rig;
  rig.Pass(seconds(2));
  CHECK(rig.Queue().held().window().ahead().jobs == 0);
  CHECK(rig.Queue().held().window().jobs() == 40);
}

TEST_CASE(
    "look ahead: what is redriven meanwhile, and what was read ahead and came by its turn, is sent once") {
  Full rig;
  rig.Accept({TrackLine("a", "other")}, kOther);
  rig.Pass(seconds(2));
  REQUIRE(rig.Queue().held().Place(Sequence{101}));
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
  CHECK(rig.Queue().deliveries() == 101);
}

}  // namespace
}  // namespace outboxd
