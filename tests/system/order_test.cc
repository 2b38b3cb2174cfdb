// Many customers, many producers, several connections: who goes when.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "tests/system/scene.h"

namespace outboxd {
namespace {

// A rule for each fault a network and a server can show; the rest is served.
constexpr std::string_view kFlaky = R"([
  {"match":{"probability":0.02},"action":{"status":503}},
  {"match":{"probability":0.02},"action":{"reset":true}},
  {"match":{"probability":0.02},"action":{"reset_after_effect":true}},
  {"match":{"probability":0.02},"action":{"half_answer":true}},
  {"match":{"probability":0.01},"action":{"status":500,"effect":true}},
  {"match":{"probability":0.2},"action":{"delay_ms":1,"jitter_ms":20}}])";

TEST_CASE(
    "order: several producers and random faults leave every customer's order whole, nothing lost and nothing "
    "doubled") {
  constexpr std::size_t kProducers = 4;
  constexpr std::size_t kCustomers = 20;
  constexpr std::size_t kEvents = 600;
  SimUnderTest sim({.seed = 20'261'124});
  DaemonUnderTest daemon(sim, {{"retry.max_attempts", "1000"}});
  sim.Script(kFlaky);
  std::vector<std::thread> producers;
  std::atomic<std::size_t> accepted{0};
  for (std::size_t i = 0; i < kProducers; ++i) {
    producers.emplace_back([&, i] {
      LineClient producer = daemon.Producer();
      for (const JsonValue& reply :
           SubmitAll(producer, ManyEvents(kEvents, kCustomers, "p" + std::to_string(i) + "-"))) {
        if (reply["ok"].Bool()) ++accepted;
      }
    });
  }
  for (std::thread& producer : producers) producer.join();
  CHECK(accepted == kProducers * kEvents);
  daemon.AwaitDrained(kLongPatience);
  const SimReport report = sim.Report();
  INFO(report.text);
  CHECK(report.effects == kProducers * kEvents);
  CHECK(report.customers == kProducers * kCustomers);
  CHECK(report.Status("503") > 0);
  CHECK(report.repeated_ulids > 0);
  CheckFlawless(report);
  CHECK(daemon.Status()["states"]["dead"].Int() == 0);
}

TEST_CASE("order: jobs of several types about one customer arrive in the order of acceptance") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  sim.Script(R"([{"match":{"probability":0.3},"action":{"status":503}}])");
  AcceptAll(daemon, {
                        R"({"type":"identify","id":"42","attributes":{"n":1}})",
                        R"({"type":"track","id":42,"name":"a","data":{"n":2}})",
                        R"({"type":"add_device","id":"42","device":{"id":"d","platform":"ios"}})",
                        R"({"type":"pageview","id":"42","url":"/","data":{"n":3}})",
                        R"({"type":"raw","method":"POST","path":"/v1/customers/42/suppress"})",
                        R"({"type":"unsuppress","id":"42"})",
                        R"({"type":"merge","primary":{"id":"42"},"secondary":{"id":"43"}})",
                        R"({"type":"add_to_segment","segment_id":1,"ids":["43","42"]})",
                        R"({"type":"destroy","id":"42"})",
                    });
  daemon.AwaitDrained();
  std::vector<std::string> types;
  for (const SimEffect& effect : sim.Effects("42")) types.push_back(effect.type);
  CHECK(types == std::vector<std::string>{"identify", "track", "add_device", "pageview", "suppress",
                                          "unsuppress", "merge", "add_to_segment", "destroy"});
  CheckFlawless(sim.Report());
}

TEST_CASE("order: a failing customer with thousands of followers does not hold up the others") {
  constexpr std::size_t kFollowers = kSanitized ? 1500 : 5000;
  constexpr std::size_t kOthers = 500;
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"retry.max_attempts", "100000"}, {"limits.window_jobs", "1000"}});
  sim.Script(R"([{"match":{"customer":"bad0"},"action":{"status":503}}])");
  const std::vector<std::string> bad = AcceptAll(daemon, ManyEvents(kFollowers + 1, 1, "bad"));
  AcceptAll(daemon, ManyEvents(kOthers, kOthers, "good"));
  sim.AwaitEffects(kOthers, kLongPatience);
  const JsonValue status =
      daemon.AwaitStatus([](const JsonValue& now) { return now["outbox"]["jobs"].Int() == kFollowers + 1; });
  const JsonValue connection = ConnectionOf(status, "default");
  CHECK(connection["blocked"].Int() == kFollowers);
  const JsonValue explained = Get(daemon, "/v1/jobs/" + bad.back() + "/explain");
  CHECK(explained["state"].String() == "blocked");
  CHECK(explained["blocked_by"].String() == bad.front());
  sim.ClearScript();
  daemon.AwaitDrained(kLongPatience);
  CheckNumbered(sim, "bad0", kFollowers + 1);
  CheckFlawless(sim.Report());
}

TEST_CASE("order: with order none a customer's jobs do not wait for each other") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"connections.default.order", "none"}});
  sim.Always(R"({"delay_ms":200})");
  AcceptAll(daemon, ManyEvents(20, 1));
  sim.AwaitReport([](const SimReport& report) { return report.max_concurrent > 1; });
  daemon.AwaitDrained();
  CHECK(sim.Report().effects == 20);
  CHECK(sim.Report().overlaps > 0);
}

TEST_CASE("order: a customer's jobs never overlap, however slow the answers are") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  sim.Always(R"({"jitter_ms":30})");
  AcceptAll(daemon, ManyEvents(200, 8));
  daemon.AwaitDrained();
  const SimReport report = sim.Report();
  CHECK(report.effects == 200);
  CHECK(report.max_concurrent > 1);
  CheckFlawless(report);
}

TEST_CASE("order: each connection has a state of its own") {
  SimUnderTest sim;
  SimUnderTest broken({.site_id = "other-site", .api_key = "other-key"});
  ConfigValues config = ConnectionConfigOf("other", broken);
  DaemonUnderTest daemon(sim, config);
  broken.Always(R"({"status":503,"retry_after":"60"})");
  const std::string waiting = daemon.Accept(R"({"type":"track","id":"42","name":"x","connection":"other"})");
  daemon.AwaitConnection("other", "throttled");
  AcceptAll(daemon, ManyEvents(100, 10));
  sim.AwaitEffects(100);
  const JsonValue status = daemon.AwaitStatus(
      [](const JsonValue& now) { return ConnectionOf(now, "default")["jobs"].Int() == 0; });
  CHECK(ConnectionOf(status, "default")["state"].String() == "open");
  CHECK(ConnectionOf(status, "other")["jobs"].Int() == 1);
  CHECK(ConnectionOf(status, "other")["detail"].String().find("503") != std::string::npos);
  CHECK(AttemptsOf(daemon, waiting).size() == 1);
  CHECK(broken.Report().requests == 1);
}

TEST_CASE("order: the rate limit spreads requests over time") {
  constexpr std::int64_t kPerSecond = 100;
  constexpr std::size_t kEvents = 250;
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"connections.default.rate_limit", std::to_string(kPerSecond)},
                               {"connections.default.batch", "{mode: off}"}});
  AcceptAll(daemon, ManyEvents(kEvents, kEvents));
  daemon.AwaitDrained();
  const std::vector<SimRequestSeen> requests = sim.Requests();
  REQUIRE(requests.size() == kEvents);
  // A tenth of a second's share may leave at once, and the first request may have been late on its way.
  CHECK(requests.back().at_ms - requests.front().at_ms >= 1500);
  CheckFlawless(sim.Report());
}

}  // namespace
}  // namespace outboxd
