// Starting, stopping and starting again.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fake_manager.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

std::vector<std::string> Lines(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool Holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("lifecycle: --version and --help answer without a config") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  daemon.WriteConfigText("");
  const Finished version = daemon.RunToEnd({"--version"});
  CHECK(version.status.code == 0);
  CHECK(version.out == "outboxd 0.1.0\n");
  CHECK(daemon.RunToEnd({"--help"}).status.code == 0);
  CHECK(daemon.RunToEnd({"--colour"}).status.code == 2);
}

TEST_CASE("lifecycle: --check says whether config and credentials are good, and touches nothing") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  const Finished good = daemon.RunToEnd({"--check"});
  CHECK(good.status.code == 0);
  CHECK(Holds(good.out, "outboxd.yaml: ok"));
  CHECK_FALSE(std::filesystem::exists(daemon.OutboxFile()));
  daemon.SetConfig("connections.default.api_key", "");
  daemon.SetConfig("connections.default.api_key_file", Quoted((daemon.Dir() / "missing").string()));
  const Finished bad = daemon.RunToEnd({"--check"});
  CHECK(bad.status.code == 78);  // EX_CONFIG: a unit does not restart the daemon for it
  CHECK(Holds(bad.err, (daemon.Dir() / "missing").string()));
}

TEST_CASE("lifecycle: a second daemon on one outbox says whose it is and ends, the first goes on") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  DaemonUnderTest second(sim, {{"outbox.path", Quoted(daemon.OutboxFile().string())}}, Launch::kLater);
  const Finished finished = second.RunToEnd();
  CHECK(finished.status.code == 1);
  CHECK(Holds(finished.err, daemon.OutboxFile().string() + " is in use by another outboxd (pid " +
                                std::to_string(daemon.Pid()) + ")"));
  daemon.Accept(Event("1", 1));
  daemon.AwaitDrained();
}

TEST_CASE("lifecycle: a second daemon on the same sockets ends without taking them away") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  DaemonUnderTest second(sim, {{"listen.producer.path", Quoted(daemon.ProducerSocket().string())}},
                         Launch::kLater);
  const Finished finished = second.RunToEnd();
  CHECK(finished.status.code == 1);
  CHECK(Holds(finished.err, "is served by another process"));
  daemon.Accept(Event("1", 1));
  daemon.AwaitDrained();
}

TEST_CASE("lifecycle: a file that is not an outbox is refused and left as it is") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  const std::string precious(5000, 'x');
  WriteFile(daemon.OutboxFile(), precious);
  const Finished finished = daemon.RunToEnd();
  CHECK(finished.status.code == 1);
  CHECK(Holds(finished.err, daemon.OutboxFile().string()));
  CHECK(ReadFile(daemon.OutboxFile()) == precious);
}

TEST_CASE("lifecycle: SIGTERM finishes the requests in flight and exits 0") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  sim.Always(R"({"delay_ms":700})");
  const std::vector<std::string> jobs = AcceptAll(daemon, ManyEvents(5, 5));
  sim.AwaitReport([](const SimReport& report) { return report.concurrent > 0; });
  CHECK(daemon.Terminate().code == 0);
  const std::uint64_t sent = sim.Report().requests;
  CHECK(sim.Report().concurrent == 0);
  sim.ClearScript();
  daemon.Start();
  daemon.AwaitDrained();
  CHECK(sim.Report().effects == 5);
  // What was answered before the end is not sent again.
  CHECK(sim.Report().requests == 5);
  CHECK(sent >= 1);
  for (const std::string& job : jobs) CHECK(AttemptsOf(daemon, job).size() == 1);
}

TEST_CASE(
    "lifecycle: SIGTERM with an API that never answers ends within the drain timeout, and the job is sent "
    "again later") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"drain_timeout", "300ms"}});
  sim.Always(R"({"never_answer":true,"effect":true})");
  const std::string job = daemon.Accept(Event("1", 1));
  sim.AwaitReport([](const SimReport& report) { return report.concurrent == 1; });
  CHECK(daemon.Terminate().code == 0);
  CHECK(Holds(daemon.Log(), "stopping with requests in flight"));
  sim.ClearScript();
  daemon.Start();
  daemon.AwaitDrained();
  CHECK(sim.Effects("1").size() == 1);
  CHECK(sim.Report().repeated_ulids == 1);
  CHECK(AttemptsOf(daemon, job).back()["result"].String() == "delivered");
}

TEST_CASE(
    "lifecycle: a stop answers what it read, and a producer that keeps its connection open does not hold it "
    "up") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  LineClient producer = daemon.Producer();
  CHECK(Parsed(producer.Ask(Event("1", 1)))["ok"].Bool());
  CHECK(daemon.Terminate().code == 0);
  CHECK(producer.ReadToEnd().empty());
  CHECK(producer.Ended());
}

TEST_CASE("lifecycle: the service manager is told what waits, and when jobs are refused") {
  test::FakeManager manager;
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"outbox.max_jobs", "2"}});
  CHECK(manager.Hears("READY=1\nSTATUS=accepting jobs; 0 wait, 0 dead letters"));
  daemon.Ctl({"pause", "default"});
  daemon.Accept(Event("1", 1));
  CHECK(manager.Hears("STATUS=accepting jobs; 1 wait, 0 dead letters"));
  daemon.Accept(Event("1", 2));
  CHECK(
      manager.Hears("STATUS=refusing jobs, the outbox holds its limit of 2 jobs (outbox.max_jobs); 2 wait, 0 "
                    "dead letters"));
}

TEST_CASE("lifecycle: jobs are accepted while a stop waits for a request, and the sockets go at its end") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"drain_timeout", "2s"}}, Launch::kLater);
  const std::filesystem::path endpoint = daemon.Dir() / "t.sock";
  daemon.SetConfig("listen.track", "[{unix: " + Quoted(endpoint.string()) + "}]");
  daemon.Start();
  sim.Always(R"({"never_answer":true})");
  daemon.Accept(Event("1", 1));
  sim.AwaitReport([](const SimReport& report) { return report.concurrent == 1; });
  daemon.Signal(SIGTERM);
  REQUIRE(Await([&] { return daemon.Log().find("stopping") != std::string::npos; }));
  daemon.Accept(Event("2", 1));
  CHECK(IsListening(endpoint));
  REQUIRE(Await([&] { return !daemon.Running(); }));
  for (const std::filesystem::path& socket : {daemon.ProducerSocket(), endpoint, daemon.AdminSocket()}) {
    CAPTURE(socket.string());
    CHECK_FALSE(std::filesystem::exists(socket));
  }
  sim.ClearScript();
  daemon.Start();
  daemon.AwaitDrained();
  CHECK(sim.Effects("2").size() == 1);
}

TEST_CASE(
    "lifecycle: whoever waits for a probe, or asks for one, is told of a stop and does not hold it up") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"connections.default.timeout", "60s"}, {"drain_timeout", "2s"}});
  sim.Always(R"({"never_answer":true})");
  daemon.Accept(Event("1", 1));
  HttpAnswer waiting;
  std::thread waits(
      [&] { waiting = HttpClient(daemon.AdminSocket()).Post("/v1/connections/default/probe"); });
  sim.AwaitReport([](const SimReport& report) { return report.concurrent == 2; });
  daemon.Signal(SIGTERM);
  waits.join();
  CHECK(waiting.status == 503);
  CHECK(daemon.Admin().Post("/v1/connections/default/probe").status == 503);
  CHECK(daemon.Terminate(std::chrono::seconds(10)).code == 0);
}

TEST_CASE("lifecycle: a restart with a backlog of 20,000 jobs keeps their order") {
  constexpr std::size_t kJobs = 20'000;
  constexpr std::size_t kCustomers = 200;
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  daemon.Ctl({"pause", "default"});
  AcceptAll(daemon, ManyEvents(kJobs, kCustomers));
  daemon.Restart();
  const JsonValue status = daemon.Status();
  CHECK(status["outbox"]["jobs"].Int() == kJobs);
  CHECK(ConnectionOf(status, "default")["pause"].String() == "operator");
  CHECK(sim.Report().requests == 0);
  daemon.Ctl({"resume", "default"});
  sim.AwaitEffects(kJobs / 4, kLongPatience);
  daemon.Restart();  // on the way
  daemon.AwaitDrained(kLongPatience);
  CHECK(sim.Report().effects == kJobs);
  CheckFlawless(sim.Report());
  CheckNumbered(sim, "c0", kJobs / kCustomers);
}

TEST_CASE("lifecycle: a restart inside a Retry-After sends nothing before it is over") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  sim.Script(R"([{"match":{"count":1},"action":{"status":503,"retry_after":"3"}}])");
  const std::string job = daemon.Accept(Event("1", 1));
  AwaitAttempts(daemon, job, 1);
  daemon.AwaitConnection("default", "throttled");
  daemon.Restart();
  daemon.Accept(Event("2", 1));
  daemon.Kill9();
  daemon.Start();
  daemon.AwaitDrained();
  const std::vector<SimRequestSeen> requests = sim.Requests();
  REQUIRE(requests.size() == 3);
  CHECK(requests[1].at_ms - requests[0].at_ms >= 3000);
  CHECK(sim.Report().effects == 2);
}

TEST_CASE("lifecycle: deferred jobs keep their attempts, their time and their followers over a restart") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"retry.base", "1h"}, {"retry.cap", "1h"}});
  sim.Script(R"([{"match":{"count":1},"action":{"status":408,"retry_after":"3600"}}])");
  const std::vector<std::string> jobs = AcceptAll(daemon, ManyEvents(200, 1));
  AwaitAttempts(daemon, jobs[0], 1);
  const auto is_deferred = [](const JsonValue& status) { return status["states"]["deferred"].Int() == 1; };
  daemon.AwaitStatus(is_deferred);
  const JsonValue before = Get(daemon, "/v1/jobs/" + jobs[0])["job"];
  daemon.Restart();
  daemon.AwaitStatus(is_deferred);
  const JsonValue after = Get(daemon, "/v1/jobs/" + jobs[0])["job"];
  CHECK(after["attempts"].Int() == 1);
  CHECK(after["due_ms"].Int() == before["due_ms"].Int());
  CHECK(Get(daemon, "/v1/jobs/" + jobs[199] + "/explain")["state"].String() == "blocked");
  // An operator gives the head up: the next one is ready for the time when the connection opens.
  CHECK(daemon.Ctl({"cancel", jobs[0]}).status.code == 0);
  CHECK(Await([&] { return Get(daemon, "/v1/jobs/" + jobs[1] + "/explain")["state"].String() == "ready"; }));
  CHECK(daemon.Status()["outbox"]["jobs"].Int() == 199);
  CHECK(sim.Report().requests == 1);
}

TEST_CASE("lifecycle: a job can be followed by its id at debug level, and leaves no trace at info level") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  const std::string quiet = daemon.Accept(Event("1", 1));
  daemon.AwaitDrained();
  daemon.SetConfig("log.level", "debug");
  REQUIRE(daemon.Ctl({"reload"}).status.code == 0);
  sim.Script(R"([{"match":{"count":1},"action":{"status":503}}])");
  const std::string followed = daemon.Accept(Event("1", 2));
  daemon.AwaitDrained();
  daemon.Terminate();
  const std::string log = daemon.Log();
  CHECK_FALSE(Holds(log, quiet));
  std::vector<std::string> life;
  for (std::size_t start = 0; start < log.size();) {
    const std::size_t end = std::min(log.find('\n', start), log.size());
    const std::string line = log.substr(start, end - start);
    if (Holds(line, "job=" + followed)) life.push_back(line);
    start = end + 1;
  }
  INFO(log);
  REQUIRE(life.size() >= 4);  // accepted, sent, deferred, sent, delivered
  CHECK(Holds(log, "job=" + followed));
  CHECK(std::count_if(life.begin(), life.end(), [](const std::string& line) { return Holds(line, "503"); }) ==
        1);
}

void Crash(DaemonUnderTest& daemon, int times) {
  for (int i = 0; i < times; ++i) {
    CHECK(daemon.Abort().signal == SIGABRT);
    daemon.Start();
  }
}

TEST_CASE("lifecycle: after three crashes jobs are accepted, none is sent, and everyone who asks is told") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  Crash(daemon, 2);
  CHECK(daemon.Status()["delivering"].Bool());
  test::FakeManager manager;
  Crash(daemon, 1);
  const std::string job = daemon.Accept(Event("1", 1));
  const JsonValue status = daemon.Status();
  CHECK_FALSE(status["delivering"].Bool());
  CHECK(Holds(status["delivering_reason"].String(), "outboxd crashed 3 times within 10 minutes"));
  CHECK(ConnectionOf(status, "default")["state"].String() == "paused");
  CHECK(ConnectionOf(status, "default")["pause"].String() == "crashes");
  CHECK(daemon.Admin().Get("/healthz").status == 503);
  CHECK(daemon.Admin().Get("/readyz").status == 200);
  CHECK(Holds(daemon.Log(), "accepting without delivering"));
  CHECK(manager.Hears("not delivering: outboxd crashed 3 times"));
  CHECK(Holds(daemon.Ctl({"status"}).out, "not delivering: outboxd crashed 3 times"));
  CHECK(Holds(daemon.Ctl({"explain", job}).out, "`outboxctl resume default` lets it go on"));
  CHECK(JobRequests(sim).empty());

  CHECK(daemon.Ctl({"resume", "default"}).status.code == 0);
  daemon.AwaitDrained();
  CHECK(daemon.Status()["delivering"].Bool());
  CHECK(daemon.Admin().Get("/healthz").status == 200);
  CheckNumbered(sim, "1", 1);
}

TEST_CASE("lifecycle: only a restart ten minutes after the last crash sends again by itself") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  Crash(daemon, 3);
  daemon.Accept(Event("1", 1));
  daemon.Restart();
  CHECK_FALSE(daemon.Status()["delivering"].Bool());
  daemon.Terminate();
  const auto record = daemon.OutboxFile().string() + ".crashes";
  std::string earlier;
  for (const std::string& line : Lines(ReadFile(record)))
    earlier += line.front() == '0' ? line + '\n' : std::to_string(std::stoll(line) - 600'000) + '\n';
  WriteFile(record, earlier);
  daemon.Start();
  CHECK(daemon.Status()["delivering"].Bool());
  daemon.AwaitDrained();
}

TEST_CASE("lifecycle: kill -9 and clean stops are no crashes, however many there are") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  for (int i = 0; i < 4; ++i) {
    daemon.Kill9();
    daemon.Start();
    daemon.Restart();
  }
  CHECK(daemon.Status()["delivering"].Bool());
  daemon.Accept(Event("1", 1));
  daemon.AwaitDrained();
}

}  // namespace
}  // namespace outboxd
