#include "daemon/delivery/region_prober.h"

#include <doctest/doctest.h>

namespace outboxd {
namespace {

using std::chrono::seconds;
using Route = RegionProber::Route;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);
constexpr Milliseconds kInterval = seconds(30);

Answer AnswerOf(int status, const std::string& region = "us") {
  Answer answer;
  answer.status = status;
  answer.body = R"({"region":")" + region + R"(","environment_id":3})";
  return answer;
}

TEST_CASE("region prober: a connection found paused at the start is probed at once") {
  RegionProber prober(kInterval);
  CHECK(prober.NextStart(PauseReason::kAuth, kNow) == kNow);
  CHECK(prober.TryStart(PauseReason::kAuth, kNow));
}

TEST_CASE("region prober: it probes an interval after the pause, then each interval, one at a time") {
  RegionProber prober(kInterval);
  prober.OnPaused(kNow);
  CHECK(prober.NextStart(PauseReason::kRegion, kNow) == kNow + kInterval);
  CHECK_FALSE(prober.TryStart(PauseReason::kRegion, kNow + kInterval - Milliseconds(1)));
  CHECK(prober.TryStart(PauseReason::kRegion, kNow + kInterval));
  CHECK_FALSE(prober.TryStart(PauseReason::kRegion, kNow + 5 * kInterval));
  CHECK_FALSE(prober.NextStart(PauseReason::kRegion, kNow + 5 * kInterval));
  CHECK_FALSE(prober.OnFinished(AnswerOf(401), seconds(1), Region::kUs, Route::kThere, kNow + 2 * kInterval));
  CHECK(prober.NextStart(PauseReason::kRegion, kNow + 2 * kInterval) == kNow + 3 * kInterval);
}

TEST_CASE(
    "region prober: a pause that it contradicts is tried again soon, then each time twice as long after") {
  RegionProber prober(kInterval);
  Timestamp now = kNow;
  prober.Ask();
  CHECK(prober.TryStart(PauseReason::kAuth, now));
  for (const seconds wait :
       {seconds(1), seconds(2), seconds(4), seconds(8), seconds(16), seconds(30), seconds(30)}) {
    CHECK(prober.OnFinished(AnswerOf(200), seconds(0), Region::kUs, Route::kThere, now));
    prober.OnPaused(now);
    CHECK(prober.NextStart(PauseReason::kAuth, now) == now + wait);
    now += wait;
    CHECK(prober.TryStart(PauseReason::kAuth, now));
  }
  prober.OnFinished(AnswerOf(200), seconds(0), Region::kUs, Route::kThere, now);
  prober.OnDelivered();
  prober.OnPaused(now);
  CHECK(prober.NextStart(PauseReason::kAuth, now) == now + seconds(1));
}

TEST_CASE("region prober: a clock that was set back holds up no probe") {
  RegionProber prober(kInterval);
  prober.OnPaused(kNow);
  const Timestamp before = kNow - std::chrono::hours(1);
  CHECK(prober.NextStart(PauseReason::kAuth, before) == before);
  CHECK(prober.TryStart(PauseReason::kAuth, before));
  prober.OnFinished(AnswerOf(401), seconds(1), Region::kUs, Route::kThere, before);
  CHECK(prober.NextStart(PauseReason::kAuth, before) == before + kInterval);
}

TEST_CASE("region prober: what no probe ends is not probed, unless somebody asks") {
  for (const PauseReason reason : {PauseReason::kNone, PauseReason::kOperator, PauseReason::kUnconfigured}) {
    RegionProber prober(kInterval);
    CHECK_FALSE(prober.TryStart(reason, kNow));
    CHECK_FALSE(prober.NextStart(reason, kNow));
    prober.Ask();
    CHECK(prober.TryStart(reason, kNow));
  }
}

TEST_CASE("region prober: asked while a probe is out, it starts another one when that is back") {
  RegionProber prober(kInterval);
  prober.Ask();
  CHECK(prober.TryStart(PauseReason::kAuth, kNow));
  prober.Ask();
  CHECK_FALSE(prober.TryStart(PauseReason::kAuth, kNow));
  prober.OnFinished(AnswerOf(401), seconds(1), Region::kUs, Route::kThere, kNow);
  CHECK(prober.NextStart(PauseReason::kAuth, kNow) == kNow);
  CHECK(prober.TryStart(PauseReason::kAuth, kNow));
}

TEST_CASE("region prober: a pause by a late answer does not forget what was asked for") {
  RegionProber prober(kInterval);
  prober.Ask();
  prober.OnPaused(kNow);
  CHECK(prober.TryStart(PauseReason::kAuth, kNow));
}

TEST_CASE("region prober: the report tells what came back, once") {
  RegionProber prober(kInterval);
  CHECK_FALSE(prober.TakeReport());
  CHECK(prober.OnFinished(AnswerOf(200), Milliseconds(12), Region::kUs, Route::kThere, kNow));
  const std::optional<ProbeReport> report = prober.TakeReport();
  REQUIRE(report);
  CHECK(report->ok);
  CHECK(report->status == 200);
  CHECK(report->region == "us");
  CHECK(report->environment_id == 3);
  CHECK(report->duration == Milliseconds(12));
  CHECK_FALSE(prober.TakeReport());
}

TEST_CASE("region prober: of a host that perhaps has no region route a 404 says nothing bad") {
  for (const auto& [route, word] :
       {std::pair(Route::kThere, ProbeWord::kUnwell), std::pair(Route::kPerhaps, ProbeWord::kWell)}) {
    RegionProber prober(kInterval);
    prober.Ask();
    CHECK(prober.TryStart(PauseReason::kAuth, kNow));
    CHECK(prober.OnFinished(AnswerOf(404), seconds(1), std::nullopt, route, kNow) ==
          (word == ProbeWord::kWell));
    CHECK(prober.Word(kNow) == word);
    CHECK_FALSE(prober.TakeReport()->ok);
  }
}

TEST_CASE("region prober: another region is not right, unless any will do") {
  RegionProber prober(kInterval);
  CHECK_FALSE(prober.OnFinished(AnswerOf(200, "eu"), Milliseconds(1), Region::kUs, Route::kThere, kNow));
  CHECK(prober.TakeReport()->message.find("region eu") != std::string::npos);
  CHECK(prober.OnFinished(AnswerOf(200, "eu"), Milliseconds(1), std::nullopt, Route::kThere, kNow));
}

TEST_CASE("region prober: a new interval counts from the next probe on") {
  RegionProber prober(kInterval);
  prober.Configure(seconds(5));
  prober.OnPaused(kNow);
  CHECK(prober.TryStart(PauseReason::kAuth, kNow + seconds(5)));
}

}  // namespace
}  // namespace outboxd
