// outboxctl import: whole files, streams, and what happens when it is stopped on the way.
#include <doctest/doctest.h>

#include <csignal>

#include "tests/system/scene.h"

namespace outboxd {
namespace {

// Events of 30 customers with ids of their own, so that lines sent twice take effect once.
std::vector<std::string> OwnEvents(std::size_t count) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < count; ++i) {
    lines.push_back(
        EventWithId("i" + std::to_string(i % 30), static_cast<std::int64_t>(i / 30 + 1), EventId(i)));
  }
  return lines;
}

ProcessOptions Import(const DaemonUnderTest& daemon, const std::vector<std::string>& arguments) {
  ProcessOptions run;
  run.command = {
      OUTBOXCTL_BINARY, "--socket", daemon.AdminSocket(), "--producer", daemon.ProducerSocket(), "--json",
      "import",         "--quiet"};
  run.command.insert(run.command.end(), arguments.begin(), arguments.end());
  return run;
}

TEST_CASE("ctl: import takes a whole file in its order") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  const std::filesystem::path file = daemon.Dir() / "events.ndjson";
  WriteFile(file, Joined(ManyEvents(6000, 30)));
  const Finished finished = daemon.Ctl({"import", file}, {}, kLongPatience);
  INFO(finished.err);
  CHECK(finished.status.code == 0);
  CHECK(finished.out.starts_with("6,000 accepted, 0 refused"));
  CHECK_FALSE(std::filesystem::exists(file.string() + ".outboxd-import"));
  daemon.AwaitDrained(kLongPatience);
  CHECK(sim.Report().effects == 6000);
  CheckFlawless(sim.Report());
  CheckNumbered(sim, "c7", 200);
}

TEST_CASE("ctl: import reads standard input, keeps refused lines apart and says so by its exit code") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  const std::string rejects = daemon.Dir() / "rejects";
  const Finished finished = daemon.Ctl({"--json", "import", "--rejects", rejects, "-"},
                                       Joined({Event("1", 1), R"({"type":"dance"})", Event("1", 2)}));
  CHECK(finished.status.code == 1);
  const JsonValue summary = Parsed(finished.out);
  CHECK(summary["done"].Bool());
  CHECK(summary["accepted"].Int() == 2);
  CHECK(summary["refused"].Int() == 1);
  CHECK(ReadFile(rejects) == "{\"type\":\"dance\"}\n");
  CHECK(finished.err.find("line 2") != std::string::npos);
  daemon.AwaitDrained();
  CheckNumbered(sim, "1", 2);
}

TEST_CASE("ctl: import takes lines that end with CR LF, and keeps a refused one as it came") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  const std::filesystem::path file = daemon.Dir() / "windows.ndjson";
  const std::string rejects = daemon.Dir() / "rejects";
  const std::string refused = R"({"type":"dance"})"
                              "\r\n";
  WriteFile(file, "\xEF\xBB\xBF" + Event("1", 1) + "\r\n" + refused + "\r\n" + Event("1", 2) + "\r\n");
  const Finished finished = daemon.Ctl({"import", "--rejects", rejects, file});
  CHECK(finished.status.code == 1);
  CHECK(finished.out.starts_with("2 accepted, 1 refused"));
  CHECK(finished.err.find("line 2 refused: type") != std::string::npos);
  CHECK(ReadFile(rejects) == refused);
  daemon.AwaitDrained();
  CheckNumbered(sim, "1", 2);
}

TEST_CASE("ctl: an import that was told to stop goes on with --resume where it stopped") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"outbox.max_jobs", "500"}});
  daemon.Ctl({"pause", "default"});
  const std::filesystem::path file = daemon.Dir() / "events.ndjson";
  WriteFile(file, Joined(OwnEvents(3000)));
  {
    Process import(Import(daemon, {"--window", "50", file}));
    daemon.AwaitStatus([](const JsonValue& status) { return status["totals"]["refused"].Int() > 0; });
    import.Signal(SIGTERM);
    const std::optional<ExitStatus> status = import.Wait(std::chrono::seconds(60));
    REQUIRE(status);
    CHECK(status->code == 130);
    CHECK(import.Err().find("--resume") != std::string::npos);
  }
  CHECK(daemon.Ctl({"import", file}).status.code == 2);  // not anew by mistake
  daemon.Ctl({"resume", "default"});
  const Finished resumed = Run(Import(daemon, {"--resume", file}), kLongPatience);
  INFO(resumed.err);
  CHECK(resumed.status.code == 0);
  CHECK(Parsed(resumed.out)["accepted"].Int() == 3000);
  daemon.AwaitDrained(kLongPatience);
  CHECK(sim.Report().effects == 3000);
  CHECK(sim.Report().doubled == 0);
}

TEST_CASE(
    "ctl: an import that was killed goes on from its last saved state, and events with their own id take "
    "effect once") {
  SimUnderTest sim;
  // Slow enough to be killed on the way.
  DaemonUnderTest daemon(sim, {{"outbox.max_jobs", "100"}, {"connections.default.rate_limit", "300"}});
  const std::filesystem::path file = daemon.Dir() / "events.ndjson";
  const std::filesystem::path state = file.string() + ".outboxd-import";
  WriteFile(file, Joined(OwnEvents(3000)));
  {
    Process import(Import(daemon, {file}));
    REQUIRE(Await([&] { return std::filesystem::exists(state) || !import.Running(); }));
    REQUIRE(import.Running());
    import.Signal(SIGKILL);
    REQUIRE(import.Wait(std::chrono::seconds(10)));
  }
  daemon.SetConfig("connections.default.rate_limit", "0");
  daemon.SetConfig("outbox.max_jobs", "");
  REQUIRE(daemon.Ctl({"reload"}).status.code == 0);
  const Finished resumed = Run(Import(daemon, {"--resume", file}), kLongPatience);
  INFO(resumed.err);
  CHECK(resumed.status.code == 0);
  CHECK_FALSE(std::filesystem::exists(state));
  daemon.AwaitDrained(kLongPatience);
  CHECK(sim.Report().effects == 3000);
  CHECK(sim.Report().doubled == 0);
}

TEST_CASE("ctl: an import outlives a restart of the daemon") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"outbox.max_jobs", "200"}, {"connections.default.rate_limit", "1000"}});
  const std::filesystem::path file = daemon.Dir() / "events.ndjson";
  WriteFile(file, Joined(OwnEvents(2000)));
  Process import(Import(daemon, {file}));
  sim.AwaitEffects(200);
  daemon.Restart();
  sim.AwaitEffects(600);
  daemon.Kill9();
  daemon.Start();
  const std::optional<ExitStatus> status = import.Wait(kLongPatience);
  REQUIRE(status);
  INFO(import.Err());
  CHECK(status->code == 0);
  daemon.AwaitDrained(kLongPatience);
  CHECK(sim.Report().effects == 2000);
  CHECK(sim.Report().doubled == 0);
}

}  // namespace
}  // namespace outboxd
