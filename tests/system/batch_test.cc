// v2 batches with the real programs: fewer requests, and every promise as without them.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/system/scene.h"

namespace outboxd {
namespace {

ConfigValues Batches(const std::string& more = {}) {
  return {{"connections.default.batch", "{mode: on, linger: 20ms" + more + "}"},
          {"connections.default.timeout", "2s"}};
}

std::size_t CountBatches(SimUnderTest& sim) {
  const std::vector<SimRequestSeen> requests = JobRequests(sim);
  return static_cast<std::size_t>(std::count_if(
      requests.begin(), requests.end(), [](const auto& seen) { return seen.target == "/api/v2/batch"; }));
}

TEST_CASE("batch: thousands of events arrive once and in order, in far fewer requests") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, Batches());
  AcceptAll(daemon, ManyEvents(3000, 300));
  daemon.AwaitDrained(kLongPatience);
  const SimReport report = sim.Report();
  CheckFlawless(report);
  CHECK(report.effects == 3000);
  CHECK(report.requests < 1000);
  for (const char* customer : {"c0", "c150", "c299"}) CheckNumbered(sim, customer, 10);
}

TEST_CASE("batch: with same_lane one customer's stream needs few requests and keeps its order") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, Batches(", same_lane: true"));
  AcceptAll(daemon, ManyEvents(1000, 1));
  daemon.AwaitDrained(kLongPatience);
  CheckFlawless(sim.Report());
  CheckNumbered(sim, "c0", 1000);
  CHECK(sim.Report().requests < 200);
}

TEST_CASE("batch: an item that is refused is a dead letter, the others of its batch are delivered") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, Batches());
  sim.Script(R"([{"match":{"path_prefix":"/api/v2/batch","count":1},"action":{"batch_errors":[1]}}])");
  const std::vector<std::string> jobs = AcceptAll(daemon, ManyEvents(3, 3));
  const JsonValue dead = AwaitDead(daemon, jobs[1]);
  daemon.AwaitDrained();
  CHECK(dead["death"].String() == "rejected");
  CHECK(dead["status"].Int() == 207);
  CHECK(dead["reason"].String().starts_with("207 Multi-Status: "));
  CHECK(sim.Effects("c0").size() == 1);
  CHECK(sim.Effects("c1").empty());
  CHECK(sim.Effects("c2").size() == 1);
  CHECK(AttemptsOf(daemon, jobs[0]).back()["result"].String() == "delivered");
}

TEST_CASE("batch: one that is refused as a whole is halved until the culprit is alone") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, Batches());
  sim.Script(R"([{"match":{"event":"poison"},"action":{"status":400,"effect":false}}])");
  std::vector<std::string> lines = ManyEvents(20, 20);
  lines.push_back(R"({"type":"track","id":"bad","name":"poison"})");
  const std::vector<std::string> jobs = AcceptAll(daemon, lines);
  const JsonValue dead = AwaitDead(daemon, jobs.back());
  daemon.AwaitDrained();
  CHECK(dead["death"].String() == "rejected");
  CHECK(daemon.Status()["states"]["dead"].Int() == 1);
  CHECK(sim.Report().effects == 20);
  const std::vector<JsonValue> attempts = AttemptsOf(daemon, jobs.back());
  CHECK(attempts.size() >= 2);
  CHECK(attempts.front()["result"].String() == "split");
  CHECK(attempts.back()["result"].String() == "rejected");
}

TEST_CASE("batch: answers lost after their effect double nothing") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, Batches());
  sim.Script(R"([{"match":{"path_prefix":"/api/v2/batch","count":2},"action":{"reset_after_effect":true}}])");
  AcceptAll(daemon, ManyEvents(400, 40));
  daemon.AwaitDrained(kLongPatience);
  const SimReport report = sim.Report();
  CheckFlawless(report);
  CHECK(report.effects == 400);
  CHECK(report.repeated_ulids > 0);
}

TEST_CASE("batch: what goes by v1 and what goes by v2 keep the order of their customer") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, Batches());
  std::vector<std::string> lines;
  for (int n = 1; n <= 20; ++n) {
    const std::string number = std::to_string(n);
    for (const char* customer : {"a", "b"}) {
      // Every other one has a time of its own among the attributes, which v2 would want elsewhere.
      lines.push_back(R"({"type":"identify","id":")" + std::string(customer) + R"(","attributes":{"n":)" +
                      number + (n % 2 == 0 ? R"(,"_timestamp":1700000000}})" : "}}"));
    }
  }
  AcceptAll(daemon, lines);
  daemon.AwaitDrained();
  CheckFlawless(sim.Report());
  for (const char* customer : {"a", "b"}) CheckNumbered(sim, customer, 20);
  CHECK(CountBatches(sim) > 0);
  CHECK(JobRequests(sim).size() > CountBatches(sim));
}

TEST_CASE(
    "batch: by themselves, a burst beyond the rate limit leaves in few requests and a trickle in single "
    "ones") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"connections.default.rate_limit", "20"}});
  AcceptAll(daemon, ManyEvents(1000, 200));
  daemon.AwaitDrained(kLongPatience);
  const SimReport report = sim.Report();
  CheckFlawless(report);
  CHECK(report.effects == 1000);
  CHECK(report.requests < 100);
  for (const char* customer : {"c0", "c199"}) CheckNumbered(sim, customer, 5);
  CHECK(daemon.Status()["connections"].Items().front()["batch"]["mode"].String() == "auto");
}

TEST_CASE("batch: a host that has none is told once, and its jobs arrive singly, once and in order") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, Batches());
  sim.Script(
      R"([{"match":{"path_prefix":"/api/v2/batch"},"action":{"status":404,"body":"404 page not found"}}])");
  AcceptAll(daemon, ManyEvents(300, 30));
  daemon.AwaitDrained(kLongPatience);
  const SimReport report = sim.Report();
  CheckFlawless(report);
  CHECK(report.effects == 300);
  for (const char* customer : {"c0", "c29"}) CheckNumbered(sim, customer, 10);
  const std::size_t batches = CountBatches(sim);
  CHECK(batches > 0);
  CHECK(daemon.Status()["connections"].Items().front()["batch"]["use"].String() == "no_route");
  CHECK(daemon.Status()["states"]["dead"].Int() == 0);
  AcceptAll(daemon, ManyEvents(50, 50));
  daemon.AwaitDrained();
  CHECK(CountBatches(sim) == batches);
  const std::string log = daemon.Log();
  const std::size_t told = log.find("the host has no /api/v2/batch");
  CHECK(told != std::string::npos);
  CHECK(log.find("the host has no /api/v2/batch", told + 1) == std::string::npos);
}

}  // namespace
}  // namespace outboxd
