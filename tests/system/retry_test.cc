// When a job is tried again, and when it is given up.
#include <doctest/doctest.h>

#include <ctime>

#include "tests/system/scene.h"

namespace outboxd {
namespace {

std::string HttpDate(std::time_t at) {
  std::tm parts{};
  gmtime_r(&at, &parts);
  char text[64];
  return std::string(text, std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts));
}

// The job of `customer` meets `action` for ever, every other one is served.
std::string Always(std::string_view customer, std::string_view action) {
  return R"([{"match":{"customer":)" + Quoted(customer) + R"(},"action":)" + std::string(action) + "}]";
}

void CheckSilentFor(SimUnderTest& sim, std::int64_t milliseconds) {
  const std::vector<SimRequestSeen> requests = sim.Requests();
  REQUIRE(requests.size() >= 2);
  CHECK(requests[1].at_ms - requests[0].at_ms >= milliseconds);
}

TEST_CASE("delivery: no request leaves inside a Retry-After of seconds, also none of other customers") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  for (const int status : {429, 503}) {
    INFO("status ", status);
    sim.Reset();
    sim.Script(R"([{"match":{"count":1},"action":{"status":)" + std::to_string(status) +
               R"(,"retry_after":"2"}}])");
    const std::string job = daemon.Accept(Event("first" + std::to_string(status), 1));
    AwaitAttempts(daemon, job, 1);
    AcceptAll(daemon, ManyEvents(20, 20, "other" + std::to_string(status)));
    CHECK(ConnectionOf(daemon.Status(), "default").Has("reopen_ms"));
    daemon.AwaitDrained();
    CheckSilentFor(sim, 2000);
    CHECK(sim.Report().effects == 21);
  }
}

TEST_CASE("delivery: no request leaves before the HTTP date of a Retry-After") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  const std::time_t reopen = std::time(nullptr) + 3;
  sim.Script(R"([{"match":{"count":1},"action":{"status":503,"retry_after":)" + Quoted(HttpDate(reopen)) +
             "}}]");
  daemon.Accept(Event("42", 1));
  daemon.AwaitDrained();
  const std::vector<SimRequestSeen> requests = sim.Requests();
  REQUIRE(requests.size() == 2);
  if (requests[0].at_ms < reopen * 1000) CHECK(requests[1].at_ms >= reopen * 1000);
}

TEST_CASE("delivery: a Retry-After longer than the cap is cut") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"retry.retry_after_cap", "300ms"}});
  sim.Script(R"([{"match":{"count":1},"action":{"status":503,"retry_after":"86400"}}])");
  daemon.Accept(Event("42", 1));
  daemon.AwaitDrained();
  CheckSilentFor(sim, 300);
}

TEST_CASE(
    "delivery: a job that fails while others are delivered is exhausted when its attempts are used up, and "
    "its "
    "follower goes on") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"retry.max_attempts", "3"}});
  sim.Script(R"([{"match":{"event":"bad"},"action":{"status":500,"body":"oops"}}])");
  const std::string job = daemon.Accept(R"({"type":"track","id":"42","name":"bad","data":{"n":1}})");
  daemon.Accept(Event("42", 2));
  std::int64_t others = 0;
  const auto is_dead = [&] {
    daemon.Accept(Event("43", ++others));
    return daemon.Admin().Get("/v1/dead/" + job).status == 200;
  };
  CHECK(Await(is_dead));
  const JsonValue dead = AwaitDead(daemon, job);
  CHECK(dead["death"].String() == "exhausted");
  CHECK(dead["status"].Int() == 500);
  CHECK(dead["attempts"].Int() >= 3);
  CHECK(AttemptsOf(daemon, job).size() == static_cast<std::size_t>(dead["attempts"].Int()));
  daemon.AwaitDrained();
  const std::vector<SimEffect> effects = sim.Effects("42");
  REQUIRE(effects.size() == 1);
  CHECK(effects[0].n.value_or(0) == 2);
  CHECK(sim.Effects("43").size() == static_cast<std::size_t>(others));
}

TEST_CASE("delivery: a job older than its max age is expired instead of sent") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  daemon.Ctl({"pause", "default"});
  const std::string job = daemon.Accept(R"({"type":"track","id":"42","name":"late","max_age":1})");
  const std::string other = daemon.Accept(Event("43", 1));
  const JsonValue dead = AwaitDead(daemon, job);
  CHECK(dead["death"].String() == "expired");
  CHECK(dead["attempts"].Int() == 0);
  CHECK(sim.Report().requests == 0);
  daemon.Ctl({"resume", "default"});
  daemon.AwaitDrained();
  CHECK(AttemptsOf(daemon, other).size() == 1);
  CHECK(sim.Effects("42").empty());
}

TEST_CASE("delivery: a deferred job that grows too old is expired, with its attempts on record") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"retry.max_age", "1s"}});
  sim.Script(Always("42", R"({"status":503})"));
  const std::string job = daemon.Accept(Event("42", 1));
  const JsonValue dead = AwaitDead(daemon, job);
  CHECK(dead["death"].String() == "expired");
  CHECK(dead["attempts"].Int() >= 1);
  CHECK(dead["attempts"].Int() == static_cast<std::int64_t>(AttemptsOf(daemon, job).size()));
}

TEST_CASE("delivery: a raw job's own retry rule says how often it is tried") {
  struct Rule {
    const char* retry;
    const char* action;
    std::size_t attempts;
    const char* death;
  };
  const Rule rules[] = {
      {R"({"max_retries":2,"delay_ms":10})", R"({"status":500})", 3, "exhausted"},
      {R"({"max_retries":0})", R"({"status":503})", 1, "exhausted"},
      {R"({"max_retries":3,"delay_ms":1,"exponential":true})", R"({"reset":true})", 4, "exhausted"},
      {R"({"max_retries":2,"delay_ms":5,"all_errors":true})", R"({"status":400})", 3, "exhausted"},
      {R"({"max_retries":2,"delay_ms":5})", R"({"status":400})", 1, "rejected"},
  };
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  for (const Rule& rule : rules) {
    INFO("retry ", std::string(rule.retry), " action ", std::string(rule.action));
    sim.Script(Always("9", rule.action));
    const std::string job =
        daemon.Accept(R"({"type":"raw","method":"PUT","path":"/v1/customers/9","body":{"a":1},"retry":)" +
                      std::string(rule.retry) + "}");
    const JsonValue dead = AwaitDead(daemon, job);
    CHECK(dead["death"].String() == rule.death);
    // A kept connection that broke before an answer costs no attempt of the rule.
    std::vector<JsonValue> attempts = AttemptsOf(daemon, job);
    std::erase_if(attempts,
                  [](const JsonValue& attempt) { return attempt["result"].String() == "unanswered"; });
    CHECK(attempts.size() == rule.attempts);
  }
}

TEST_CASE(
    "delivery: an answer lost after the effect leads to one effect, because the event's id is repeated") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"connections.default.timeout", "1s"}});
  std::uint64_t repeated = 0;
  for (const char* action : {R"({"reset_after_effect":true})", R"({"half_answer":true})",
                             R"({"status":500,"effect":true})", R"({"never_answer":true,"effect":true})"}) {
    INFO("action ", std::string(action));
    const std::string customer = std::string("c") + action;
    sim.Script(R"([{"match":{"count":1},"action":)" + std::string(action) + "}]");
    daemon.Accept(Event(customer, 1));
    daemon.AwaitDrained();
    CHECK(sim.Effects(customer).size() == 1);
    CHECK(sim.Report().repeated_ulids > repeated);
    repeated = sim.Report().repeated_ulids;
  }
  CheckFlawless(sim.Report());
}

TEST_CASE("delivery: a redriven job keeps its id and its time") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  sim.Script(R"([{"match":{"count":1},"action":{"status":400}}])");
  const std::string job = daemon.Accept(R"({"type":"track","id":"42","name":"buy"})");
  AwaitDead(daemon, job);
  const Finished redriven = daemon.Ctl({"dead", "redrive", job});
  CHECK(redriven.status.code == 0);
  daemon.AwaitDrained();
  const std::vector<SimRequestSeen> requests = sim.Requests();
  REQUIRE(requests.size() == 2);
  CHECK(requests[0].body == requests[1].body);
  CHECK(requests[1].body.find(job) != std::string::npos);
  CHECK(AttemptsOf(daemon, job).size() == 2);
  CHECK(daemon.Status()["states"]["dead"].Int() == 0);
}

}  // namespace
}  // namespace outboxd
