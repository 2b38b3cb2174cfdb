// The host's clock as the real daemon meets it: never set at boot, a year ahead, set while jobs wait. A
// library preloaded into outboxd moves the wall clock and leaves the boot clock alone.
#include <doctest/doctest.h>

#include <ctime>
#include <string>
#include <vector>

#include "tests/system/machine.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

constexpr std::int64_t kHour = 3600;
constexpr std::int64_t kYear = 365 * 24 * kHour;

// How far ahead a clock is that began in 1970 a minute ago.
std::int64_t NeverSet() {
  return 60 - static_cast<std::int64_t>(std::time(nullptr));
}

// A host without an outage, whose clock nothing has synchronised.
struct Host {
  explicit Host(std::int64_t ahead) : machine(sim, {}, Launch::kLater) {
    machine.faults->clock_is_synchronised = 0;
    machine.faults->clock_seconds = ahead;
    machine.daemon.Start();
    started = std::time(nullptr);
  }

  void Accept(std::int64_t n) { jobs.push_back(machine.daemon.Accept(Event("42", n))); }
  void SetClock(std::int64_t ahead) { machine.faults->clock_seconds = ahead; }
  void Pause() { REQUIRE(machine.daemon.Ctl({"pause", "default"}).status.code == 0); }
  void Resume() { REQUIRE(machine.daemon.Ctl({"resume", "default"}).status.code == 0); }

  // All are delivered, in order, none twice, none died, and each with the time at which it was accepted in
  // truth, `ahead` seconds on.
  void CheckDelivered(std::int64_t ahead = 0) {
    const JsonValue status = machine.daemon.AwaitDrained();
    CHECK(status["states"]["dead"].Int(-1) == 0);
    CheckNumbered(sim, "42", static_cast<std::int64_t>(jobs.size()));
    CheckFlawless(sim.Report());
    const std::int64_t now = std::time(nullptr);
    for (const SimRequestSeen& request : JobRequests(sim)) {
      CAPTURE(request.body);
      const std::int64_t sent = Parsed(request.body)["timestamp"].Int() - ahead;
      CHECK(sent >= started - 1);
      CHECK(sent <= now + 1);
    }
  }

  bool Logged(std::string_view text) { return machine.daemon.Log().find(text) != std::string::npos; }

  SimUnderTest sim;
  Machine machine;
  std::int64_t started = 0;
  std::vector<std::string> jobs;
};

TEST_CASE("clock: jobs accepted in 1970 wait, over a restart too, and go out with their true times" *
          doctest::skip(kSanitized)) {
  Host host(NeverSet());
  DaemonUnderTest& daemon = host.machine.daemon;
  host.Accept(1);
  daemon.AwaitStatus(
      [](const JsonValue& status) { return ConnectionOf(status, "default")["pause"].String() == "clock"; });
  const std::string detail = ConnectionOf(daemon.Status(), "default")["detail"].String();
  CHECK(detail.starts_with("the clock of this host says 1970-01-01T00:0"));
  const Finished explained = daemon.Ctl({"explain", host.jobs[0]});
  CHECK_MESSAGE(explained.out.find("the clock of this host was never set") != std::string::npos,
                explained.out);
  const Finished probed = daemon.Ctl({"probe"});
  CHECK(probed.status.code == 1);
  daemon.Restart();
  host.Accept(2);
  CHECK(daemon.Ctl({"resume", "default"}).status.code == 1);
  daemon.AwaitConnection("default", "paused");
  CHECK(JobRequests(host.sim).empty());
  host.SetClock(0);
  host.CheckDelivered();
  CHECK(host.Logged("state=paused pause=clock"));
}

TEST_CASE("clock: a year ahead, then corrected while jobs wait, expires none and sends true times" *
          doctest::skip(kSanitized)) {
  Host host(kYear);
  host.Pause();
  host.Accept(1);
  SUBCASE("under way") {}
  SUBCASE("and outboxd was restarted before") {
    host.machine.daemon.Restart();
  }
  SUBCASE("and outboxd was stopped meanwhile") {
    host.machine.daemon.Terminate();
    host.SetClock(0);
    host.machine.daemon.Start();
  }
  host.Accept(2);
  host.SetClock(0);
  host.Accept(3);
  host.Resume();
  host.CheckDelivered();
  // A year of milliseconds, more or less.
  CHECK(Await([&] { return host.Logged("the clock was set") && host.Logged("by_ms=-3153"); }));
}

TEST_CASE("clock: a year ahead while jobs wait, and back, expires none and sends true times" *
          doctest::skip(kSanitized)) {
  Host host(0);
  host.Pause();
  host.Accept(1);
  host.SetClock(kYear);
  host.Accept(2);
  host.SetClock(0);
  host.Accept(3);
  host.SetClock(-kHour);
  host.Accept(4);
  host.SetClock(0);
  host.Resume();
  host.CheckDelivered();
}

TEST_CASE("clock: what was accepted by a synchronised clock keeps its time when the clock steps" *
          doctest::skip(kSanitized)) {
  Host host(kHour);
  host.machine.faults->clock_is_synchronised = 1;
  host.Pause();
  host.Accept(1);
  host.SetClock(0);
  CHECK(Await([&] { return host.Logged("the clock was set"); }));
  host.Resume();
  host.CheckDelivered(kHour);
}

}  // namespace
}  // namespace outboxd
