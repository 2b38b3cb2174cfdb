// The producers of docs/producers/ keep what the document promises: what they hand over arrives once and in
// order, whatever happens to outboxd meanwhile.
#include <doctest/doctest.h>

#include <csignal>
#include <sstream>
#include <string>

#include "core/ulid.h"
#include "tests/producers/language.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

using Environment = std::vector<std::pair<std::string, std::string>>;

const Environment kHasty = {{"OUTBOXD_REPLY_TIMEOUT", "2"}};

std::uint64_t RefusedLines(DaemonUnderTest& daemon, const std::string& code) {
  const std::string row = "outboxd_jobs_refused_total{code=\"" + code + "\"} ";
  std::istringstream metrics(daemon.Admin().Get("/metrics").body);
  for (std::string line; std::getline(metrics, line);) {
    if (line.starts_with(row)) return std::stoull(line.substr(row.size()));
  }
  return 0;
}

// "7 01JDB3T0C5W7X8Y9Z0ABCDEFGH": each number in its order with a job id.
void CheckPrinted(const std::string& out, int last) {
  std::istringstream lines(out);
  int expected = 0;
  int number = 0;
  for (std::string job; lines >> number >> job;) {
    CHECK(number == ++expected);
    CHECK_MESSAGE(Ulid::Parse(job), job);
  }
  CHECK(expected == last);
}

bool IsStopped(const DaemonUnderTest& daemon) {
  return ReadFile("/proc/" + std::to_string(daemon.Pid()) + "/stat").find(") T ") != std::string::npos;
}

void CheckStopsAndStarts(std::string_view name) {
  const Language& language = LanguageOf(name);
  RequireRuntime(language);
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"outbox.max_jobs", "30"}}, Launch::kLater);
  Producer producer(language, daemon.ProducerSocket(), "42", kHasty);

  producer.Feed(1, 20);  // nobody listens yet
  producer.AwaitRepeats(1);
  daemon.Start();
  producer.AwaitAccepted(20);

  producer.Feed(21, 45);  // a stop somewhere among them
  CHECK(daemon.Terminate().code == 0);
  daemon.Start();
  producer.AwaitAccepted(45);

  producer.Feed(46, 65);  // and a crash
  daemon.Kill9();
  producer.Feed(66, 70);
  producer.AwaitRepeats(producer.Repeats() + 1);
  daemon.Start();
  producer.AwaitAccepted(70);

  sim.Always(R"({"status":503})");  // the outbox fills up
  producer.Feed(71, 120);
  REQUIRE(Await([&] { return RefusedLines(daemon, "busy") > 0; }, kLongPatience));
  sim.ClearScript();
  producer.AwaitAccepted(120);

  daemon.Signal(SIGSTOP);  // replies that come too late
  REQUIRE(Await([&] { return IsStopped(daemon); }));
  producer.Feed(121, 125);
  producer.AwaitRepeats(producer.Repeats() + 1);
  daemon.Signal(SIGCONT);
  producer.AwaitAccepted(125);

  INFO("it says ", producer.Err());
  CHECK(producer.Finish().code == 0);
  CheckPrinted(producer.Out(), 125);
  daemon.AwaitDrained();
  CheckNumbered(sim, "42", 125);
  const SimReport report = sim.Report();
  CheckFlawless(report);
  CHECK_MESSAGE(report.repeated_ulids > 0, "the line without a reply was sent again");
}

void CheckRefusals(std::string_view name) {
  const Language& language = LanguageOf(name);
  RequireRuntime(language);
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  Producer refused(language, daemon.ProducerSocket(), ".", {});
  refused.Feed(1, 3);
  CHECK(refused.Finish().code == 1);
  INFO("it says ", refused.Err());
  CHECK(refused.Accepted() == 0);
  CHECK(refused.Repeats() == 0);
  CHECK(RefusedLines(daemon, "invalid_job") == 3);
}

void CheckGivingUp(std::string_view name) {
  const Language& language = LanguageOf(name);
  RequireRuntime(language);
  const TempDir dir;
  Producer alone(language, dir / "nobody.sock", "42", {{"OUTBOXD_PATIENCE", "1"}});
  alone.Feed(1, 3);
  CHECK(alone.Finish().code == 75);
  INFO("it says ", alone.Err());
  CHECK(alone.Accepted() == 0);
}

// clang-format off
#define OUTBOXD_PRODUCER_CASES(name)                                                                        \
  TEST_CASE("producers: what the " name " one hands over while outboxd stops, crashes, is full and hangs "  \
            "arrives once and in order") { CheckStopsAndStarts(name); }                                     \
  TEST_CASE("producers: the " name " one does not repeat what was refused for good") { CheckRefusals(name); } \
  TEST_CASE("producers: the " name " one gives up where nobody answers") { CheckGivingUp(name); }
// clang-format on

OUTBOXD_PRODUCER_CASES("Shell")
OUTBOXD_PRODUCER_CASES("Python")
OUTBOXD_PRODUCER_CASES("Node")
OUTBOXD_PRODUCER_CASES("Ruby")
OUTBOXD_PRODUCER_CASES("Go")
OUTBOXD_PRODUCER_CASES("PHP")
OUTBOXD_PRODUCER_CASES("C++")
OUTBOXD_PRODUCER_CASES("Java")

}  // namespace
}  // namespace outboxd
