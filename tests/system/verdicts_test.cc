// What becomes of a job and of its connection after each kind of answer.
#include <doctest/doctest.h>

#include "tests/system/scene.h"

namespace outboxd {
namespace {

std::string Once(std::string_view customer, std::string_view action) {
  return R"([{"match":{"customer":)" + Quoted(customer) + R"(,"count":1},"action":)" + std::string(action) +
         "}]";
}

// The first attempt was deferred, the last one delivered, and the effect took place once.
void CheckDeferredThenDelivered(SimUnderTest& sim, DaemonUnderTest& daemon, const std::string& customer,
                                const std::string& job) {
  const std::vector<JsonValue> attempts = AttemptsOf(daemon, job);
  REQUIRE(attempts.size() >= 2);
  for (std::size_t i = 0; i + 1 < attempts.size(); ++i) CHECK(attempts[i]["result"].String() == "deferred");
  CHECK(attempts.back()["result"].String() == "delivered");
  CHECK(attempts.back()["status"].Int() == 200);
  CHECK(sim.Effects(customer).size() == 1);
}

TEST_CASE(
    "delivery: 408, 421, 423, 425, 429 and 5xx defer a job, which is delivered later with every attempt on "
    "record") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  for (const int status : {408, 421, 423, 425, 429, 500, 501, 502, 503, 504, 599}) {
    INFO("status ", status);
    const std::string customer = "c" + std::to_string(status);
    sim.Script(Once(customer, R"({"status":)" + std::to_string(status) + R"(,"body":"not now"})"));
    const std::string job = daemon.Accept(Event(customer, 1));
    daemon.AwaitDrained();
    CheckDeferredThenDelivered(sim, daemon, customer, job);
    const JsonValue first = AttemptsOf(daemon, job).front();
    CHECK(first["status"].Int() == status);
    CHECK(first["answer"].String() == "not now");
  }
  CHECK(daemon.Status()["states"]["dead"].Int() == 0);
  CheckFlawless(sim.Report());
}

TEST_CASE("delivery: a reset, a half answer and no answer in time defer a job") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"connections.default.timeout", "1s"}});
  for (const char* action : {R"({"reset":true})", R"({"half_answer":true})", R"({"never_answer":true})",
                             R"({"never_answer":true,"effect":false})"}) {
    INFO("action ", std::string(action));
    const std::string customer = std::string("c") + action;
    sim.Script(Once(customer, action));
    const std::string job = daemon.Accept(Event(customer, 1));
    daemon.AwaitDrained();
    CheckDeferredThenDelivered(sim, daemon, customer, job);
    const JsonValue first = AttemptsOf(daemon, job).front();
    CHECK_FALSE(first.Has("status"));
    CHECK_FALSE(first["error"].String().empty());
  }
  CheckFlawless(sim.Report());
}

TEST_CASE("delivery: a refused connection defers a job until somebody listens again") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  sim.Stop();
  const std::string job = daemon.Accept(Event("42", 1));
  AwaitAttempts(daemon, job, 2);
  CHECK(AttemptsOf(daemon, job).front()["error"].String().find("refused") != std::string::npos);
  sim.Start();
  daemon.AwaitDrained();
  CheckDeferredThenDelivered(sim, daemon, "42", job);
}

// Every request, the region probe's too, gets `action`.
void CheckNobodyBelieves(const std::string& action) {
  INFO("every answer is ", action);
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  sim.Always(action);
  const std::vector<std::string> jobs = AcceptAll(daemon, ManyEvents(40, 40));
  const JsonValue paused = daemon.AwaitConnection("default", "paused");
  CHECK(paused["pause"].String() == "not_track_api");
  CHECK_FALSE(paused["detail"].String().empty());
  for (const std::string& job : jobs) {
    for (const JsonValue& attempt : AttemptsOf(daemon, job))
      CHECK(attempt["result"].String() == "not_track_api");
  }
  const JsonValue status = daemon.Status();
  CHECK(status["outbox"]["jobs"].Int() == 40);
  CHECK(status["states"]["dead"].Int() == 0);
  sim.ClearScript();
  daemon.AwaitDrained();
  CHECK(daemon.Status()["states"]["dead"].Int() == 0);
  CHECK(sim.Report().effects == 40);
  CheckFlawless(sim.Report());
}

TEST_CASE("delivery: a load balancer without a backend kills no job, and a login page delivers none") {
  CheckNobodyBelieves(R"({"status":404,"body":"<html><title>404 Not Found</title></html>"})");
  CheckNobodyBelieves(R"({"status":405,"body":"","effect":false})");
  CheckNobodyBelieves(
      R"({"status":200,"effect":false,"body":"<!DOCTYPE html>\n<html><title>Log in</title></html>"})");
}

TEST_CASE("delivery: other 4xx make dead letters with status and answer, and nothing else waits for them") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  for (const int status : {400, 404, 405, 409, 410, 413, 418, 422}) {
    INFO("status ", status);
    const std::string customer = "c" + std::to_string(status);
    sim.Script(Once(customer, R"({"status":)" + std::to_string(status) +
                                  R"(,"body":"{\"meta\":{\"error\":\"bad thing\"}}"})"));
    const std::string job = daemon.Accept(Event(customer, 1));
    const std::string next = daemon.Accept(Event(customer, 2));
    const JsonValue dead = AwaitDead(daemon, job);
    CHECK(dead["death"].String() == "rejected");
    CHECK(dead["status"].Int() == status);
    CHECK(dead["attempts"].Int() == 1);
    CHECK(dead["answer"].String().find("bad thing") != std::string::npos);
    CHECK(dead["line"].ToText() == Event(customer, 1));
    daemon.AwaitDrained();
    CHECK(AttemptsOf(daemon, job).front()["result"].String() == "rejected");
    CHECK(AttemptsOf(daemon, next).back()["result"].String() == "delivered");
  }
  const JsonValue status = daemon.Status();
  CHECK(status["states"]["dead"].Int() == 8);
  CHECK(ConnectionOf(status, "default")["state"].String() == "open");
}

// Jobs are accepted and kept while the connection is paused, and all arrive once `heal` was done.
void CheckPauseHeals(SimUnderTest& sim, DaemonUnderTest& daemon, std::string_view reason,
                     const std::function<void()>& heal) {
  std::vector<std::string> jobs = AcceptAll(daemon, ManyEvents(20, 4, "before"));
  const JsonValue paused = daemon.AwaitConnection("default", "paused");
  CHECK(paused["pause"].String() == reason);
  CHECK_FALSE(paused["detail"].String().empty());
  for (const std::string& job : AcceptAll(daemon, ManyEvents(20, 4, "during"))) jobs.push_back(job);
  const JsonValue status = daemon.Status();
  CHECK(status["outbox"]["jobs"].Int() == 40);
  CHECK(status["states"]["dead"].Int() == 0);
  // Only what was under way when the pause began had left: one job a lane at most.
  CHECK(JobRequests(sim).size() <= 4);
  for (const std::string& job : jobs) {
    for (const JsonValue& attempt : AttemptsOf(daemon, job))
      CHECK(attempt["result"].String() == "paused_" + std::string(reason));
  }

  heal();
  daemon.AwaitDrained();
  daemon.AwaitConnection("default", "open");
  CHECK(daemon.Status()["states"]["dead"].Int() == 0);
  CHECK(sim.Report().effects == 40);
  CheckFlawless(sim.Report());
}

TEST_CASE(
    "delivery: refused credentials pause the connection, which heals by itself once they are accepted") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  sim.SetCredentials("site", "changed");
  CheckPauseHeals(sim, daemon, "auth", [&] { sim.SetCredentials("site", "key"); });
}

TEST_CASE("delivery: 403 pauses the connection as 401 does") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  sim.Always(R"({"status":403})");
  CheckPauseHeals(sim, daemon, "auth", [&] { sim.ClearScript(); });
}

TEST_CASE("delivery: a paused connection takes up the credentials of a changed file by itself") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  daemon.SetConfig("connections.default.site_id", "");
  daemon.SetConfig("connections.default.api_key", "");
  daemon.SetConfig("connections.default.site_id_file", Quoted((daemon.Dir() / "site").string()));
  daemon.SetConfig("connections.default.api_key_file", Quoted((daemon.Dir() / "key").string()));
  WriteFile(daemon.Dir() / "site", "site\n");
  WriteFile(daemon.Dir() / "key", "wrong\n");
  daemon.Start();
  CheckPauseHeals(sim, daemon, "auth", [&] { WriteFile(daemon.Dir() / "key", "key\n"); });
}

TEST_CASE("delivery: a redirect pauses the connection with its location, and is not followed") {
  for (const int status : {301, 302, 307, 308}) {
    INFO("status ", status);
    SimUnderTest sim;
    DaemonUnderTest daemon(sim);
    const std::string elsewhere = sim.BaseUrl() + "/elsewhere";
    sim.Always(R"({"status":)" + std::to_string(status) + R"(,"location":)" + Quoted(elsewhere) + "}");
    CheckPauseHeals(sim, daemon, "region", [&] {
      CHECK(ConnectionOf(daemon.Status(), "default")["detail"].String().find(elsewhere) != std::string::npos);
      sim.ClearScript();
    });
    for (const SimRequestSeen& request : sim.Requests()) CHECK(request.target != "/elsewhere");
  }
}

TEST_CASE("delivery: an operator's pause keeps everything, and resume lets it go") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  CHECK(daemon.Ctl({"pause", "default"}).status.code == 0);
  AcceptAll(daemon, ManyEvents(30, 3));
  const JsonValue status = daemon.Status();
  CHECK(ConnectionOf(status, "default")["pause"].String() == "operator");
  CHECK(status["outbox"]["jobs"].Int() == 30);
  CHECK(sim.Report().requests == 0);
  CHECK(daemon.Ctl({"resume", "default"}).status.code == 0);
  daemon.AwaitDrained();
  CHECK(sim.Report().effects == 30);
  CheckFlawless(sim.Report());
}

}  // namespace
}  // namespace outboxd
