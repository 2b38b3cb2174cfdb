#include "core/gate.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "tests/core/gate_bench.h"

namespace outboxd {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using test::GateBench;
using test::kHalf;
using test::kStart;
using test::Policy;

TEST_CASE(
    "gate: the limit stays where answers take longer the more are in flight, and grows where they do not") {
  const auto limit_after = [](auto answer_time) {
    GateBench bench(1024);
    for (int round = 0; round < 40; ++round) {
      bench.SendAll();
      bench.now += answer_time(bench.out.size());
      bench.SucceedAll();
    }
    return bench.gate.Limit();
  };
  CHECK(limit_after([](std::size_t) { return Milliseconds(50); }) == 1024);
  CHECK(limit_after([](std::size_t in_flight) { return Milliseconds(in_flight * 5); }) <
        128);  // served one after another
}

TEST_CASE("gate: a service that became slower for good is used to the full again") {
  GateBench bench(64);
  const auto run = [&](int rounds, Milliseconds answer_time) {
    for (int round = 0; round < rounds; ++round) {
      bench.SendAll();
      bench.now += answer_time;
      bench.SucceedAll();
    }
    return bench.gate.Limit();
  };
  CHECK(run(1, Milliseconds(20)) == 32);
  CHECK(run(3, Milliseconds(200)) == 32);
  CHECK(run(200, Milliseconds(200)) == 64);
}

TEST_CASE("gate: states and reasons have names that lead back to them") {
  CHECK(NameOf(GateState::kThrottled) == "throttled");
  CHECK(kNames<GateState>.Find("throttled") == GateState::kThrottled);
  CHECK_FALSE(kNames<GateState>.Find("ajar"));
  CHECK(NameOf(PauseReason::kNone).empty());
  CHECK(kNames<PauseReason>.Find("") == PauseReason::kNone);
  CHECK(kNames<PauseReason>.Find("proxy") == PauseReason::kProxy);
  CHECK(kNames<PauseReason>.Find("not_track_api") == PauseReason::kNotTrackApi);
  CHECK_FALSE(kNames<PauseReason>.Find("whim"));
}

TEST_CASE("gate: a fresh gate starts small and doubles while its limit is reached") {
  GateBench bench(100);
  std::vector<std::uint32_t> limits;
  for (int i = 0; i < 5; ++i) {
    limits.push_back(bench.gate.Limit());
    CHECK(bench.SendAll() == bench.gate.Limit());
    bench.Round();
  }
  CHECK(limits == std::vector<std::uint32_t>{16, 32, 64, 100, 100});
  CHECK_FALSE(bench.gate.TakeChanged());
  CHECK(GateBench(4).gate.Limit() == 4);
  CHECK(GateBench(0).gate.Limit() == 1);
}

TEST_CASE("gate: a limit that is not reached does not grow") {
  GateBench bench;
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(bench.Send());
    REQUIRE(bench.Send());
    bench.SucceedAll();
  }
  CHECK(bench.gate.Limit() == 16);
}

TEST_CASE("gate: permission that was not used does not count as reaching the limit") {
  GateBench bench;
  for (int i = 0; i < 15; ++i) REQUIRE(bench.Send());
  for (int i = 0; i < 100; ++i) CHECK(bench.gate.TryAdmit(bench.now, 15));
  bench.SucceedAll();
  REQUIRE(bench.Send());
  bench.Succeed();
  CHECK(bench.gate.Limit() == 16);
}

TEST_CASE(
    "gate: trouble closes it, after the wait one probe opens it at limit 1, then it doubles up to where "
    "trouble began") {
  GateBench bench(64);
  bench.Round();
  bench.Round();
  REQUIRE(bench.gate.Limit() == 64);
  bench.Close();
  CHECK(bench.gate.Limit() == 32);
  CHECK(bench.gate.Snapshot().detail == "503 Service Unavailable");
  CHECK(bench.gate.Snapshot().since == bench.now);
  CHECK(bench.gate.Snapshot().failures == 1);
  bench.OpenAgain();
  CHECK(bench.gate.Snapshot().failures == 0);
  CHECK(bench.gate.Snapshot().detail.empty());
  std::vector<std::uint32_t> limits;
  for (int i = 0; i < 8; ++i, bench.Round()) limits.push_back(bench.gate.Limit());
  CHECK(limits == std::vector<std::uint32_t>{1, 2, 4, 8, 16, 32, 33, 34});
}

TEST_CASE("gate: growth stops at the most that may be in flight") {
  GateBench bench(5);
  bench.Close();
  bench.OpenAgain();
  for (int i = 0; i < 20; ++i) bench.Round();
  CHECK(bench.gate.Limit() == 5);
}

TEST_CASE("gate: a closed gate lets exactly one probe through when its time is over") {
  GateBench bench;
  bench.Close();
  const Timestamp reopen = bench.gate.ReopenAt().value();
  CHECK(reopen > bench.now);
  bench.now = reopen - Milliseconds(1);
  CHECK_FALSE(bench.Send());
  CHECK(bench.State() == GateState::kThrottled);
  bench.now = reopen;
  CHECK(bench.Send());
  CHECK(bench.State() == GateState::kProbing);
  CHECK_FALSE(bench.gate.ReopenAt());
  for (int i = 0; i < 10; ++i, bench.now += minutes(1)) CHECK_FALSE(bench.Send());
  bench.Succeed();
  CHECK(bench.State() == GateState::kOpen);
}

TEST_CASE(
    "gate: the wait doubles with each failed probe up to the cap and is never shorter than half the base") {
  for (const double random : {0.0, 0.5, 0.999}) {
    CAPTURE(random);
    GateBench bench;
    REQUIRE(bench.Send());
    bench.Trouble(std::nullopt, random);
    Milliseconds ceiling = seconds(1);
    for (std::uint32_t failures = 1; failures < 40; ++failures) {
      CAPTURE(failures);
      REQUIRE(bench.gate.Snapshot().failures == failures);
      const auto jittered =
          Milliseconds(static_cast<std::int64_t>(static_cast<double>(ceiling.count()) * random));
      REQUIRE(*bench.gate.ReopenAt() - bench.now == std::max(jittered, Milliseconds(500)));
      bench.now = *bench.gate.ReopenAt();
      REQUIRE(bench.Send());
      bench.Trouble(std::nullopt, random);
      ceiling = std::min<Milliseconds>(ceiling * 2, minutes(10));
    }
  }
}

TEST_CASE("gate: Retry-After is obeyed exactly, up to its cap; one of nothing is none") {
  struct Case {
    Milliseconds asked;
    Milliseconds wait;
  };
  for (const Case& one : {Case{seconds(1), seconds(1)},
                          {seconds(90), seconds(90)},
                          {hours(9), minutes(15)},
                          {Milliseconds(1), Milliseconds(1)},
                          {Milliseconds(0), Milliseconds(500)},
                          {seconds(-5), Milliseconds(500)}}) {
    CAPTURE(one.asked);
    GateBench bench;
    bench.Close(one.asked);
    CHECK(*bench.gate.ReopenAt() - bench.now == one.wait);
  }
}

TEST_CASE(
    "gate: trouble of attempts from before the closure counts once, only a longer Retry-After among it "
    "extends the wait") {
  GateBench bench;
  for (int i = 0; i < 6; ++i) REQUIRE(bench.Send());
  bench.Trouble(seconds(10));
  const Timestamp first = *bench.gate.ReopenAt();
  CHECK(bench.gate.Limit() == 8);
  bench.Trouble();
  bench.Trouble(seconds(5));
  CHECK(bench.gate.ReopenAt() == first);
  CHECK(bench.gate.Snapshot().failures == 1);
  CHECK(bench.gate.Limit() == 8);
  bench.gate.TakeChanged();
  bench.now += seconds(3);
  bench.Trouble(seconds(30));
  CHECK(bench.gate.ReopenAt() == bench.now + seconds(30));
  CHECK(bench.gate.TakeChanged());
  CHECK(bench.gate.Snapshot().failures == 1);
  bench.now = *bench.gate.ReopenAt();
  REQUIRE(bench.Send());
  bench.Trouble();  // an old one while the probe is out
  CHECK(bench.State() == GateState::kProbing);
  bench.Succeed();  // another old one
  CHECK(bench.State() == GateState::kProbing);
  bench.Succeed();  // the probe
  CHECK(bench.State() == GateState::kOpen);
}

TEST_CASE(
    "gate: a Retry-After from before the closure is obeyed while the probe is out, whose answer then opens "
    "nothing") {
  GateBench bench;
  REQUIRE(bench.Send());
  REQUIRE(bench.Send());
  bench.Trouble();
  bench.now = *bench.gate.ReopenAt();
  REQUIRE(bench.Send());
  bench.Trouble(seconds(60));
  CHECK(bench.State() == GateState::kThrottled);
  CHECK(bench.gate.ReopenAt() == bench.now + seconds(60));
  bench.Succeed();  // the probe
  CHECK(bench.State() == GateState::kThrottled);
  bench.now = *bench.gate.ReopenAt();
  REQUIRE(bench.Send());
  bench.Succeed();
  CHECK(bench.State() == GateState::kOpen);
}

TEST_CASE("gate: a success says whether it counted") {
  GateBench bench;
  REQUIRE(bench.Send());
  const Timestamp before = bench.now;
  CHECK(bench.gate.OnSuccess(before, bench.now));
  bench.Trouble();
  CHECK_FALSE(bench.gate.OnSuccess(before, bench.now));
  bench.now = *bench.gate.ReopenAt();
  REQUIRE(bench.Send());
  CHECK_FALSE(bench.gate.OnSuccess(before, bench.now));
  CHECK(bench.gate.OnSuccess(bench.now, bench.now));
}

TEST_CASE("gate: a late success from before the closure does not open it") {
  GateBench bench;
  REQUIRE(bench.Send());
  REQUIRE(bench.Send());
  bench.Trouble();
  bench.Succeed();
  CHECK(bench.State() == GateState::kThrottled);
}

TEST_CASE(
    "gate: a late Retry-After sends a gate that has not probed yet back to waiting, without counting a "
    "failure") {
  GateBench bench;
  REQUIRE(bench.Send());
  REQUIRE(bench.Send());
  bench.Trouble();
  bench.now = *bench.gate.ReopenAt();
  REQUIRE(bench.gate.TryAdmit(bench.now, 1));
  REQUIRE(bench.State() == GateState::kProbing);
  bench.Trouble(seconds(20));
  CHECK(bench.State() == GateState::kThrottled);
  CHECK(bench.gate.ReopenAt() == bench.now + seconds(20));
  CHECK(bench.gate.Snapshot().failures == 1);
}

TEST_CASE(
    "gate: an old attempt's trouble does not close a gate that has opened since, but for a Retry-After") {
  GateBench bench;
  REQUIRE(bench.Send());
  REQUIRE(bench.Send());
  bench.Trouble();
  bench.now = *bench.gate.ReopenAt();
  REQUIRE(bench.Send());
  const Timestamp old = bench.Take();
  bench.Succeed();
  REQUIRE(bench.State() == GateState::kOpen);
  bench.gate.OnTrouble(old, bench.now, std::nullopt, "timeout", kHalf);
  CHECK(bench.State() == GateState::kOpen);
  bench.gate.OnTrouble(old, bench.now, seconds(60), "429 Too Many Requests", kHalf);
  CHECK(bench.State() == GateState::kThrottled);
  CHECK(bench.gate.ReopenAt() == bench.now + seconds(60));
  CHECK(bench.gate.Snapshot().failures == 0);
}

TEST_CASE("gate: a probe that says nothing about the connection makes room for the next one") {
  GateBench bench;
  bench.Close();
  bench.now = *bench.gate.ReopenAt();
  REQUIRE(bench.Send());
  CHECK_FALSE(bench.Send());
  bench.gate.OnNeutral(bench.Take(), bench.now);
  CHECK(bench.State() == GateState::kProbing);
  CHECK(bench.Send());
  CHECK_FALSE(bench.Send());
}

TEST_CASE("gate: an old attempt's neutral end does not let a second probe out") {
  GateBench bench;
  REQUIRE(bench.Send());
  REQUIRE(bench.Send());
  bench.Trouble();
  bench.now = *bench.gate.ReopenAt();
  REQUIRE(bench.Send());
  bench.gate.OnNeutral(bench.Take(), bench.now);
  CHECK_FALSE(bench.Send());
}

TEST_CASE("gate: a paused gate sends nothing and ignores all outcomes until it is resumed, then it probes") {
  for (const PauseReason reason :
       {PauseReason::kAuth, PauseReason::kRegion, PauseReason::kProxy, PauseReason::kNotTrackApi,
        PauseReason::kClock, PauseReason::kUnconfigured, PauseReason::kOperator}) {
    GateBench bench;
    for (int i = 0; i < 3; ++i) REQUIRE(bench.Send());
    bench.gate.Pause(reason, "401 Unauthorized", bench.now);
    CHECK(bench.gate.TakeChanged());
    CHECK(bench.gate.Snapshot().pause == reason);
    CHECK(bench.gate.Snapshot().detail == "401 Unauthorized");
    CHECK_FALSE(bench.gate.ReopenAt());
    bench.Succeed();
    bench.Trouble();
    bench.now += hours(100);
    CHECK(bench.State() == GateState::kPaused);
    CHECK_FALSE(bench.Send());
    CHECK_FALSE(bench.gate.TakeChanged());
    bench.gate.Resume(bench.now);
    CHECK(bench.State() == GateState::kProbing);
    CHECK(bench.gate.Snapshot().pause == PauseReason::kNone);
    CHECK(bench.gate.TakeChanged());
    bench.Succeed();  // sent before the pause
    CHECK(bench.State() == GateState::kProbing);
    CHECK(bench.Send());
    CHECK_FALSE(bench.Send());
    bench.Succeed();
    CHECK(bench.State() == GateState::kOpen);
    CHECK(bench.gate.Limit() == 1);
  }
}

TEST_CASE("gate: an operator's pause outweighs the others, and repeating a pause changes nothing") {
  GateBench bench;
  bench.gate.Pause(PauseReason::kAuth, "401", bench.now);
  bench.gate.TakeChanged();
  bench.now += seconds(1);
  bench.gate.Pause(PauseReason::kAuth, "403", bench.now);
  CHECK_FALSE(bench.gate.TakeChanged());
  CHECK(bench.gate.Snapshot().since == kStart);
  bench.gate.Pause(PauseReason::kOperator, "", bench.now);
  CHECK(bench.gate.TakeChanged());
  CHECK(bench.gate.Snapshot().pause == PauseReason::kOperator);
  bench.gate.Pause(PauseReason::kAuth, "401", bench.now);
  CHECK(bench.gate.Snapshot().pause == PauseReason::kOperator);
  CHECK_FALSE(bench.gate.TakeChanged());
}

TEST_CASE("gate: unconfigured outweighs what an answer said and gives way to an operator's pause only") {
  GateBench bench;
  const auto pause = [&](PauseReason reason) {
    bench.gate.Pause(reason, "why", bench.now);
    return bench.gate.Snapshot().pause;
  };
  CHECK(pause(PauseReason::kAuth) == PauseReason::kAuth);
  CHECK(pause(PauseReason::kRegion) == PauseReason::kRegion);
  CHECK(pause(PauseReason::kNotTrackApi) == PauseReason::kNotTrackApi);
  CHECK(pause(PauseReason::kProxy) == PauseReason::kProxy);
  CHECK(pause(PauseReason::kClock) == PauseReason::kClock);
  CHECK(pause(PauseReason::kAuth) == PauseReason::kClock);
  CHECK(pause(PauseReason::kUnconfigured) == PauseReason::kUnconfigured);
  CHECK(pause(PauseReason::kClock) == PauseReason::kUnconfigured);
  CHECK(pause(PauseReason::kAuth) == PauseReason::kUnconfigured);
  CHECK(pause(PauseReason::kOperator) == PauseReason::kOperator);
  CHECK(pause(PauseReason::kUnconfigured) == PauseReason::kOperator);
}

TEST_CASE("gate: a probe ends the pauses that an answer began, and only these") {
  CHECK(EndsByProbe(PauseReason::kAuth));
  CHECK(EndsByProbe(PauseReason::kRegion));
  CHECK(EndsByProbe(PauseReason::kProxy));
  CHECK(EndsByProbe(PauseReason::kNotTrackApi));
  CHECK_FALSE(EndsByProbe(PauseReason::kNone));
  CHECK_FALSE(EndsByProbe(PauseReason::kClock));
  CHECK_FALSE(EndsByProbe(PauseReason::kUnconfigured));
  CHECK_FALSE(EndsByProbe(PauseReason::kOperator));
}

TEST_CASE("gate: resuming clears what an operator or the config said, and keeps what an answer said") {
  GateBench bench;
  bench.gate.Pause(PauseReason::kUnconfigured, "not in the config", bench.now);
  bench.gate.Resume(bench.now);
  CHECK(bench.gate.Snapshot().detail.empty());
  bench.gate.Pause(PauseReason::kAuth, "401 Unauthorized", bench.now);
  bench.gate.Resume(bench.now);
  CHECK(bench.gate.Snapshot().detail == "401 Unauthorized");
}

TEST_CASE("gate: an answer to an attempt from before the resume does not pause it again") {
  GateBench bench;
  REQUIRE(bench.Send());
  REQUIRE(bench.Send());
  bench.gate.Pause(PauseReason::kAuth, "401", bench.now, bench.Take());
  REQUIRE(bench.State() == GateState::kPaused);
  bench.now += seconds(1);
  bench.gate.Resume(bench.now);
  bench.gate.Pause(PauseReason::kAuth, "401", bench.now, bench.Take());
  CHECK(bench.State() == GateState::kProbing);
  REQUIRE(bench.Send());
  bench.gate.Pause(PauseReason::kAuth, "401", bench.now, bench.Take());
  CHECK(bench.State() == GateState::kPaused);
}

TEST_CASE(
    "gate: an operator's pause leaves nothing behind in the reason once it is lifted, credentials do until "
    "they are accepted") {
  GateBench bench;
  bench.gate.Pause(PauseReason::kOperator, "paused by an operator", bench.now);
  bench.gate.Resume(bench.now + seconds(1));
  CHECK(bench.gate.Snapshot().detail.empty());
  GateBench other;
  other.gate.Pause(PauseReason::kAuth, "401", other.now);
  other.gate.Resume(other.now + seconds(1));
  CHECK(other.gate.Snapshot().detail == "401");
}

TEST_CASE(
    "gate: a success from before the pause opens nothing, even if pause and resume fall into the instant it "
    "left") {
  GateBench bench;
  REQUIRE(bench.Send());
  const Timestamp old = bench.Take();
  bench.gate.Pause(PauseReason::kOperator, "", bench.now);
  bench.gate.Resume(bench.now);
  CHECK_FALSE(bench.Send());
  bench.now = bench.gate.ReopenAt().value();
  REQUIRE(bench.Send());
  bench.gate.OnSuccess(old, bench.now);
  CHECK(bench.State() == GateState::kProbing);
}

TEST_CASE("gate: resuming does not shorten a Retry-After") {
  GateBench bench;
  bench.Close(seconds(60));
  const Timestamp reopen = *bench.gate.ReopenAt();
  bench.gate.Pause(PauseReason::kOperator, "", bench.now);
  CHECK_FALSE(bench.gate.ReopenAt());
  const GateSnapshot kept = bench.gate.Snapshot();
  for (const bool restarts : {false, true}) {
    if (restarts) bench.gate.Restore(kept);
    bench.now += seconds(10);
    bench.gate.Resume(bench.now);
    CHECK(bench.State() == GateState::kThrottled);
    CHECK(bench.gate.ReopenAt() == reopen);
    CHECK_FALSE(bench.Send());
  }
  bench.OpenAgain();
}

TEST_CASE("gate: resuming a gate that is not paused does nothing") {
  GateBench bench;
  bench.gate.Resume(bench.now);
  CHECK(bench.State() == GateState::kOpen);
  bench.Close();
  bench.gate.TakeChanged();
  bench.gate.Resume(bench.now);
  CHECK(bench.State() == GateState::kThrottled);
  CHECK_FALSE(bench.gate.TakeChanged());
}

TEST_CASE("gate: after a restart each state goes on where it was") {
  GateSnapshot snapshot;
  GateBench open;
  open.gate.Restore(snapshot);
  CHECK(open.State() == GateState::kOpen);
  CHECK(open.gate.Limit() == 8);

  snapshot.state = GateState::kThrottled;
  snapshot.reopen_at = kStart + seconds(5);
  snapshot.failures = 3;
  GateBench throttled;
  throttled.gate.Restore(snapshot);
  CHECK_FALSE(throttled.Send());
  throttled.now = kStart + seconds(5);
  REQUIRE(throttled.Send());
  CHECK_FALSE(throttled.Send());
  throttled.Trouble();
  CHECK(throttled.gate.Snapshot().failures == 4);
  CHECK(throttled.gate.ReopenAt() == throttled.now + seconds(4));

  snapshot.reopen_at.reset();
  GateBench no_time;
  no_time.gate.Restore(snapshot);
  CHECK(no_time.State() == GateState::kProbing);

  snapshot.state = GateState::kProbing;
  GateBench probing;
  probing.gate.Restore(snapshot);
  CHECK(probing.Send());
  CHECK_FALSE(probing.Send());

  snapshot.state = GateState::kPaused;
  snapshot.pause = PauseReason::kRegion;
  GateBench paused;
  paused.gate.Restore(snapshot);
  CHECK_FALSE(paused.Send());
  CHECK(paused.gate.Snapshot().pause == PauseReason::kRegion);
  CHECK_FALSE(paused.gate.TakeChanged());
}

TEST_CASE("gate: a clock that is set back prolongs no wait beyond the caps and hangs no probe") {
  GateBench bench;
  bench.Close(seconds(60));
  bench.now -= hours(24);
  CHECK_FALSE(bench.Send());
  CHECK(bench.gate.ReopenAt() == bench.now + minutes(15));
  bench.now = *bench.gate.ReopenAt();
  REQUIRE(bench.Send());
  bench.now -= hours(24);
  bench.Succeed();
  CHECK(bench.State() == GateState::kOpen);
  bench.now -= hours(24);
  REQUIRE(bench.Send());
  bench.Trouble();
  CHECK(bench.State() == GateState::kThrottled);
}

TEST_CASE("gate: a probe whose outcome bears a time from before it is given up once nothing is in flight") {
  GateBench bench;
  bench.Close();
  bench.now = *bench.gate.ReopenAt();
  REQUIRE(bench.Send());
  bench.out.clear();
  bench.gate.OnSuccess(bench.now - hours(1), bench.now - hours(1));
  CHECK(bench.State() == GateState::kProbing);
  CHECK(bench.Send());
}

TEST_CASE("gate: a smaller maximum takes effect at once, a larger one by growth") {
  GateBench bench(64);
  bench.gate.Configure(4, Policy());
  CHECK(bench.gate.Limit() == 4);
  CHECK(bench.SendAll() == 4);
  bench.gate.Configure(64, Policy());
  CHECK(bench.gate.Limit() == 4);
  bench.SucceedAll();
  CHECK(bench.gate.Limit() == 8);
}

}  // namespace
}  // namespace outboxd
