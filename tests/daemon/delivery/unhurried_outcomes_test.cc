// Which outcomes may wait for company, and who has them written at once.
#include <doctest/doctest.h>

#include "tests/daemon/delivery/delivery_rig.h"

namespace outboxd {
namespace {

using test::DeliveryRig;
using test::TrackLine;

// One job of customer 1 is out.
struct OneOut {
  OneOut() {
    rig.gathers_outcomes = true;
    rig.Start();
    Accept("1");
    REQUIRE(rig.out.size() == 1);
  }
  void Accept(const std::string& customer) {
    rig.Submit({TrackLine(customer)});
    rig.WorkClerk();
    rig.Dispatch();
  }
  void Deliver() {
    rig.Finish(0, test::AnswerOf(200));
    rig.Dispatch();
  }
  std::uint64_t Rows() { return rig.Total().jobs; }
  DeliveryRig rig;
};

}  // namespace

TEST_CASE("unhurried outcomes: a delivery nobody waits for stays unwritten over the next commit") {
  OneOut scene;
  scene.Deliver();
  CHECK_FALSE(scene.rig.clerk().MustRetry());
  scene.Accept("2");
  CHECK_FALSE(scene.rig.clerk().MustRetry());
  CHECK(scene.Rows() == 2);
}

TEST_CASE(
    "unhurried outcomes: whoever comes for the same customer has the delivery before him written at once") {
  OneOut scene;
  scene.Deliver();
  scene.Accept("1");
  CHECK(scene.rig.clerk().MustRetry());
  scene.rig.WorkClerk();
  CHECK(scene.Rows() == 1);
  scene.rig.Dispatch();
  CHECK(scene.rig.out.size() == 1);
}

TEST_CASE("unhurried outcomes: a delivery that somebody waits for already is written at once") {
  OneOut scene;
  scene.Accept("1");
  scene.Deliver();
  CHECK(scene.rig.clerk().MustRetry());
}

TEST_CASE("unhurried outcomes: only deliveries wait") {
  OneOut scene;
  scene.rig.Finish(0, test::AnswerOf(400));
  scene.rig.Dispatch();
  CHECK(scene.rig.clerk().MustRetry());
}

}  // namespace outboxd
