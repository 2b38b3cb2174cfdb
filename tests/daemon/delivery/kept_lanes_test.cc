// Parked jobs of several lanes: they wait on disk in one of them, keep the others, and cost memory nothing.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "daemon/delivery/backlog.h"
#include "tests/daemon/delivery/delivery_rig.h"

namespace outboxd {
namespace {

using test::Ask;
using test::DeliveryRig;
using test::TrackLine;
using Sent = std::vector<std::string>;

// Of two lanes; it leaves as an empty name.
std::string Claim(const std::string& customer, const std::string& anonymous) {
  return R"({"type":"merge","primary":{"id":")" + customer + R"("},"secondary":{"id":")" + anonymous +
         R"("}})";
}

std::int64_t Kept(DeliveryRig& rig) {
  return Ask(rig.file, "SELECT count(*) FROM outbox WHERE parked IS NOT NULL AND stowed IS NOT NULL");
}

// The job of customer "head" has failed, and waits for its next attempt.
struct Failed : DeliveryRig {
  explicit Failed(std::uint32_t window_jobs = 4096) {
    limits.window_jobs = window_jobs;
    Start();
    for (int number = 0; number < 20; ++number) {
      Accept({TrackLine("before")});
      AnswerAll(200);
    }
    Accept({TrackLine("head", "head")});
    AnswerAll(500);
  }
};

}  // namespace

TEST_CASE("kept lanes: a thousand claims behind a failed head are not in memory, and others go on") {
  Failed rig(50);
  for (int number = 0; number < 1000; ++number) rig.Submit({Claim(std::to_string(number), "head")});
  rig.Run();
  CHECK(rig.out.empty());
  CHECK(rig.Queue().held().window().entries().size() == 1);
  CHECK(rig.Queue().held().lanes().LaneCount() == 1);
  CHECK(Kept(rig) == 1000);
  rig.Accept({TrackLine("other", "other")});
  CHECK(rig.OutNames() == Sent{"other"});
  const Sent rest = rig.RestInOrder();
  REQUIRE(rest.size() == 1002);
  CHECK(rest[1] == "head");
  CHECK(Ask(rig.file, "SELECT count(*) FROM stowed_lanes") == 0);
  CHECK(rig.Queue().held().lanes().LaneCount() == 0);
}

TEST_CASE("kept lanes: who comes for a lane that a parked job keeps goes behind it") {
  Failed rig;
  SUBCASE("at once") {
    rig.Submit({Claim("a", "head"), TrackLine("a", "behind"), TrackLine("b", "beside")});
    rig.Run();
  }
  SUBCASE("while its mark is not written") {
    rig.Submit({Claim("a", "head")});
    rig.Submit({TrackLine("a", "behind")});
    rig.Submit({TrackLine("b", "beside")});
    rig.Run();
  }
  SUBCASE("afterwards") {
    rig.Accept({Claim("a", "head")});
    rig.Accept({TrackLine("a", "behind")});
    rig.Accept({TrackLine("b", "beside")});
  }
  SUBCASE("after a restart") {
    rig.Accept({Claim("a", "head")});
    rig.Start();
    rig.Accept({TrackLine("a", "behind"), TrackLine("b", "beside")});
  }
  SUBCASE("before a restart") {
    rig.Accept({Claim("a", "head"), TrackLine("a", "behind")});
    rig.Start();
    rig.Accept({TrackLine("b", "beside")});
  }
  CHECK(rig.OutNames() == Sent{"beside"});
  CHECK(rig.RestInOrder() == Sent{"beside", "head", "", "behind"});
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("kept lanes: a chain of claims goes in its order") {
  Failed rig;
  rig.Accept({Claim("a", "head"), Claim("b", "a"), TrackLine("b", "last"), TrackLine("a", "middle")});
  CHECK(rig.out.empty());
  SUBCASE("at once") {}
  SUBCASE("after a restart") {
    rig.Start();
  }
  Sent rest = rig.RestInOrder();
  REQUIRE(rest.size() == 5);
  CHECK(rest[0] == "head");
  CHECK(rest[1].empty());
  CHECK(rest[2].empty());
}

TEST_CASE("kept lanes: one that has to wait in another lane when its own opens waits there, and keeps both") {
  Failed rig;
  rig.Accept({TrackLine("slow", "slow")});
  rig.Accept({Claim("slow", "head")});
  rig.AnswerAll(500);  // both are heads that failed now
  rig.Accept({TrackLine("head", "behind head"), TrackLine("slow", "behind slow")});
  CHECK(rig.out.empty());
  const Sent rest = rig.RestInOrder();
  REQUIRE(rest.size() == 5);
  CHECK(rest[2].empty());
  CHECK(Ask(rig.file, "SELECT count(*) FROM stowed_lanes") == 0);
}

TEST_CASE("kept lanes: when an operator takes the claim away, those behind it go on") {
  Failed rig;
  rig.Accept({Claim("a", "head")});
  const Sequence claim = rig.clerk().outbox().LastSequence();
  rig.Accept({TrackLine("a", "behind")});
  CHECK(rig.out.empty());
  rig.Cancel(claim);
  SUBCASE("at once") {
    rig.Run();
  }
  SUBCASE("with one accepted at the same time") {
    rig.Submit({TrackLine("a", "later")});
    rig.Run();
  }
  SUBCASE("after a restart") {
    rig.WorkClerk();
    rig.Start();
    rig.PassToWake();
  }
  CHECK(rig.OutNames() == Sent{"behind"});
  rig.RestInOrder();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("kept lanes: a claim whose line is damaged becomes a dead letter, and those behind it go on") {
  Failed rig;
  rig.Accept({Claim("a", "head"), TrackLine("a", "behind")});
  {
    auto database = Database::Open(rig.file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(database->Execute("UPDATE outbox SET line = '{' WHERE stowed IS NOT NULL"));
  }
  CHECK(rig.RestInOrder() == Sent{"head", "behind"});
  CHECK(rig.Total().dead == 1);
}

}  // namespace outboxd
