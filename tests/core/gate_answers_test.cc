// What the gate remembers of its last answers, and what follows when there is trouble.
#include <doctest/doctest.h>

#include <chrono>

#include "tests/core/gate_bench.h"

namespace outboxd {
namespace {

using std::chrono::seconds;
using test::GateBench;

TEST_CASE("gate: trouble closes nothing while half of the last twenty answers were deliveries") {
  for (int failures = 0; failures <= 20; ++failures) {
    CAPTURE(failures);
    GateBench bench;
    for (int i = 0; i < 30; ++i) bench.DeliverOne();
    const std::uint32_t limit = bench.gate.Limit();
    for (int i = 0; i < failures && bench.State() == GateState::kOpen; ++i) bench.FailOne();
    CHECK((bench.State() == GateState::kOpen) == (failures <= 10));
    if (failures > 10) continue;
    CHECK(bench.gate.Limit() == limit);
    CHECK(bench.gate.Snapshot().failures == 0);
    CHECK(bench.gate.Snapshot().detail.empty());
    CHECK_FALSE(bench.gate.TakeChanged());
  }
}

TEST_CASE("gate: ten deliveries keep it open before there were twenty answers, nine do not") {
  for (const int deliveries : {0, 1, 9, 10, 11, 19}) {
    CAPTURE(deliveries);
    GateBench bench;
    for (int i = 0; i < deliveries; ++i) bench.DeliverOne();
    bench.FailOne();
    CHECK((bench.State() == GateState::kOpen) == (deliveries >= 10));
  }
}

TEST_CASE("gate: after a pause that an answer began it recovers, whatever was delivered before") {
  for (const PauseReason reason : {PauseReason::kAuth, PauseReason::kRegion, PauseReason::kNotTrackApi,
                                   PauseReason::kProxy, PauseReason::kOperator}) {
    CAPTURE(PauseReasonName(reason));
    GateBench bench;
    for (int i = 0; i < 20; ++i) bench.DeliverOne();
    bench.gate.Pause(reason, "", bench.now);
    bench.now += seconds(1);
    bench.gate.Resume(bench.now);
    CHECK(bench.gate.IsRecovering() == EndsByProbe(reason));
    for (int i = 0; i < 10; ++i) bench.DeliverOne();
    CHECK_FALSE(bench.gate.IsRecovering());
  }
}

TEST_CASE("gate: a job in two that fails for ever closes nothing, two in three do") {
  GateBench half;
  for (int i = 0; i < 20; ++i) half.DeliverOne();
  for (int i = 0; i < 1000; ++i) {
    half.FailOne();
    half.DeliverOne();
    REQUIRE(half.State() == GateState::kOpen);
  }
  GateBench more;
  for (int i = 0; i < 20; ++i) more.DeliverOne();
  for (int i = 0; i < 20 && more.State() == GateState::kOpen; ++i) {
    more.FailOne();
    if (more.State() == GateState::kOpen) more.FailOne();
    if (more.State() == GateState::kOpen) more.DeliverOne();
  }
  CHECK(more.State() == GateState::kThrottled);
}

TEST_CASE("gate: 429 and Retry-After close it whatever else is delivered") {
  GateBench limited;
  for (int i = 0; i < 20; ++i) limited.DeliverOne();
  limited.FailOne(Blame::kConnection);
  CHECK(limited.State() == GateState::kThrottled);
  CHECK(limited.gate.Limit() == 8);
  GateBench told;
  for (int i = 0; i < 20; ++i) told.DeliverOne();
  told.FailOne(Blame::kPerhapsTheJob, seconds(0));
  CHECK(told.State() == GateState::kOpen);
  told.FailOne(Blame::kPerhapsTheJob, seconds(7));
  CHECK(told.State() == GateState::kThrottled);
  CHECK(told.gate.ReopenAt() == told.now + seconds(7));
}

TEST_CASE("gate: a rejected job opens it and grows its limit as a delivered one, but is not a delivery") {
  GateBench bench(64);
  bench.Close();
  bench.now = *bench.gate.ReopenAt();
  REQUIRE(bench.Send());
  bench.gate.OnRefusal(bench.Take(), bench.now);
  CHECK(bench.State() == GateState::kOpen);
  for (int round = 0; round < 6; ++round) {
    bench.SendAll();
    while (!bench.out.empty()) bench.gate.OnRefusal(bench.Take(), bench.now);
  }
  CHECK(bench.gate.Limit() == 11);
  bench.FailOne();
  CHECK(bench.State() == GateState::kThrottled);
}

TEST_CASE(
    "gate: what was delivered before a closure counts after it, and a restart remembers nothing of it") {
  GateBench closed;
  for (int i = 0; i < 20; ++i) closed.DeliverOne();
  closed.Close();
  closed.OpenAgain();
  closed.FailOne();
  CHECK(closed.State() == GateState::kOpen);

  GateBench before;
  for (int i = 0; i < 20; ++i) before.DeliverOne();
  GateBench after;
  after.gate.Restore(before.gate.Snapshot());
  after.FailOne();
  CHECK(after.State() == GateState::kThrottled);
}

TEST_CASE("gate: what says nothing of the connection is no answer to remember, and a late one neither") {
  GateBench bench;
  for (int i = 0; i < 10; ++i) bench.DeliverOne();
  for (int i = 0; i < 100; ++i) {
    REQUIRE(bench.Send());
    bench.gate.OnNeutral(bench.Take(), bench.now);
  }
  bench.FailOne();
  CHECK(bench.State() == GateState::kOpen);

  GateBench late;
  for (int i = 0; i < 12; ++i) REQUIRE(late.Send());
  late.Trouble();
  late.now = *late.gate.ReopenAt();
  REQUIRE(late.Send());
  late.gate.OnSuccess(late.out.back(), late.now);  // the probe
  late.out.pop_back();
  REQUIRE(late.State() == GateState::kOpen);
  late.SucceedAll();
  late.FailOne();
  CHECK(late.State() == GateState::kThrottled);
}

}  // namespace
}  // namespace outboxd
