// A connection whose credentials are not there yet: nothing leaves, nothing is lost, and its gate stays as it
// is.
#include "daemon/delivery/awaited_credentials.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/daemon/delivery/queue_steps.h"
#include "tests/support/stderr_capture.h"

namespace outboxd {
namespace {

using test::AnswerOf;
using test::Ask;
using test::AskText;
using test::DeliveryRig;
using test::EventNames;
using test::Lines;
using test::StderrCapture;
using test::TrackLine;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

// As a reload does, with what the rig says now.
void Reload(DeliveryRig& rig) {
  rig.Tell([&rig, endpoints = rig.MakeEndpoints()](Dispatcher& dispatcher) {
    REQUIRE(dispatcher.Configure(endpoints, rig.limits, rig.now));
  });
}

std::shared_ptr<const Endpoint> EndpointAwaiting(std::vector<std::string> awaited) {
  Endpoint endpoint;
  endpoint.credentials.awaited = std::move(awaited);
  return std::make_shared<const Endpoint>(std::move(endpoint));
}

}  // namespace

TEST_CASE("awaited credentials: nothing leaves without them, no probe either, and the gate stays as it was") {
  DeliveryRig rig;
  rig.awaited = {"api_key"};
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("1", "b"), TrackLine("2", "c")});
  rig.Queue().ProbeNow();
  rig.Pass(std::chrono::hours(1));
  CHECK(rig.out.empty());
  CHECK(rig.probes.empty());
  CHECK(rig.Gate() == GateState::kOpen);
  CHECK(Ask(rig.file, "SELECT count(*) FROM connections") == 0);
  CHECK(rig.dispatcher().NextWake(rig.now) > rig.now);  // an operator's wish for a probe keeps nobody busy
  CHECK(rig.Total().jobs == 3);
  rig.awaited.clear();
  rig.Start();
  CHECK(rig.OutNames() == EventNames{"a", "c"});
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("awaited credentials: jobs grow too old meanwhile, as behind any closed gate") {
  DeliveryRig rig;
  rig.awaited = {"api_key"};
  rig.Start();
  rig.Accept({R"({"type":"track","id":"1","name":"short","max_age":60})", TrackLine("1", "long")});
  rig.Pass(std::chrono::minutes(2));
  CHECK(rig.Total().jobs == 1);
  CHECK(AskText(rig.file, "SELECT death FROM dead_letters") == "expired");
}

TEST_CASE(
    "awaited credentials: a gate that was paused is paused still when they come, and is probed at once") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "a")});
  rig.Finish(0, AnswerOf(401));
  rig.Run();
  rig.ProveUnwell();
  REQUIRE(rig.Queue().gate().pause == PauseReason::kAuth);
  rig.awaited = {"site_id", "api_key"};
  rig.Start();
  rig.Pass(std::chrono::hours(1));
  CHECK(rig.probes.empty());
  CHECK(rig.Queue().gate().pause == PauseReason::kAuth);
  rig.awaited.clear();
  Reload(rig);
  rig.Run();
  rig.ProveWell();
  CHECK(rig.OutNames() == EventNames{"a"});
}

TEST_CASE(
    "awaited credentials: when a reload takes them away, what is out comes back and nothing gets stuck") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept(Lines("1", 1, 2));
  rig.Accept({TrackLine("2", "other")});
  rig.awaited = {"api_key"};
  SUBCASE("while an answer is about to ask for a probe") {
    rig.Finish(0, AnswerOf(401));
    Reload(rig);
    rig.Run();
  }
  SUBCASE("before the answer comes") {
    Reload(rig);
    rig.Run();
    rig.Finish(0, AnswerOf(401));
    rig.Run();
  }
  SUBCASE("while an answer waits for a probe's word") {
    rig.Finish(0, AnswerOf(401));
    rig.Run();
    REQUIRE(rig.probes.size() == 1);
    Reload(rig);
    rig.Run();
    rig.FinishProbe(AnswerOf(401));
    rig.Run();
  }
  CHECK(rig.OutNames() == EventNames{"other"});
  CHECK(rig.Queue().in_flight() == 1);
  rig.Finish(0, AnswerOf(200));
  rig.Run();
  CHECK(rig.Queue().in_flight() == 0);
  CHECK(rig.out.empty());
  CHECK(rig.Total().jobs == 2);
  CHECK(Ask(rig.file, "SELECT sum(charged) FROM outbox") == 0);
  rig.awaited.clear();
  Reload(rig);
  rig.Run();
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
  CHECK(rig.Total().dead == 0);
}

TEST_CASE("awaited credentials: those who ask are told which connections wait, since when and for what") {
  AwaitedCredentials awaited;
  const StderrCapture log;
  CHECK_FALSE(awaited.Reason());
  const Endpoints endpoints{{"default", EndpointAwaiting({})},
                            {"eu", EndpointAwaiting({"eu_key"})},
                            {"us", EndpointAwaiting({"us_site", "us_key"})}};
  awaited.See(endpoints, "/etc/outboxd/outboxd.yaml", kNow);
  CHECK(log.Count("accepting without delivering") == 1);
  CHECK(*awaited.Reason() ==
        "nothing is sent on eu: its credentials are not there yet: write /etc/outboxd/credentials/eu_key, "
        "then it delivers by itself; nothing on us: its credentials are not there yet: write "
        "/etc/outboxd/credentials/us_site and /etc/outboxd/credentials/us_key, then it delivers by itself");
  CHECK_FALSE(awaited.Of("default"));
  CHECK_FALSE(awaited.Of("other"));
  CHECK(awaited.Of("eu")->since == kNow);
  awaited.See({{"eu", EndpointAwaiting({"eu_key"})}, {"us", EndpointAwaiting({})}},
              "/etc/outboxd/outboxd.yaml", kNow + std::chrono::hours(1));
  CHECK(awaited.Of("eu")->since == kNow);
  CHECK_FALSE(awaited.Of("us"));
}

}  // namespace outboxd
