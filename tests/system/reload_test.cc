// SIGHUP: a new config takes effect, and nobody loses a connection.
#include <doctest/doctest.h>

#include "tests/system/scene.h"

namespace outboxd {
namespace {

std::string CodeOf(const JsonValue& reply) {
  return reply["error"]["code"].String();
}

TEST_CASE("reload: SIGHUP takes new credentials, and a producer's connection goes on") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"connections.default.probe_interval", "1h"}});
  LineClient producer = daemon.Producer();
  CHECK(Parsed(producer.Ask(Event("1", 1)))["ok"].Bool());
  daemon.AwaitDrained();
  sim.SetCredentials("site", "new-key");
  CHECK(Parsed(producer.Ask(Event("1", 2)))["ok"].Bool());
  daemon.AwaitConnection("default", "paused");
  daemon.SetConfig("connections.default.api_key", "new-key");
  daemon.Reload();
  daemon.AwaitDrained();  // the changed credentials are tried at once, not only after the interval
  CHECK(Parsed(producer.Ask(Event("1", 3)))["ok"].Bool());
  daemon.AwaitDrained();
  CheckNumbered(sim, "1", 3);
}

TEST_CASE("reload: SIGHUP adds and removes connections, and keeps the jobs of a removed one") {
  SimUnderTest sim;
  SimUnderTest other;
  DaemonUnderTest daemon(sim);
  LineClient producer = daemon.Producer();
  const std::string line = R"({"type":"track","id":"1","name":"x","connection":"other"})";
  CHECK(CodeOf(Parsed(producer.Ask(line))) == "unknown_connection");

  const ConfigValues added = ConnectionConfigOf("other", other);
  for (const auto& [key, value] : added) daemon.SetConfig(key, value);
  daemon.Reload();
  daemon.AwaitConnection("other", "open");
  CHECK(Await([&] {
    return Parsed(producer.Ask(line))["ok"].Bool();
  }));  // the producers' thread learns of it by itself
  other.AwaitEffects(1);
  daemon.AwaitDrained();

  daemon.Ctl({"pause", "other"});
  CHECK(Parsed(producer.Ask(line))["ok"].Bool());
  for (const auto& [key, value] : added) daemon.SetConfig(key, "");
  daemon.Reload();
  CHECK(Await([&] { return CodeOf(Parsed(producer.Ask(line))) == "unknown_connection"; }));
  const std::int64_t kept = daemon.Status()["outbox"]["jobs"].Int();
  CHECK(kept >= 1);  // those asked for while the config was being read are accepted as well
  CHECK(ConnectionOf(daemon.Status(), "other")["jobs"].Int() == kept);
  CHECK(Parsed(producer.Ask(Event("1", 1)))["ok"].Bool());
  sim.AwaitEffects(1);

  for (const auto& [key, value] : added) daemon.SetConfig(key, value);
  daemon.Reload();
  daemon.AwaitStatus([](const JsonValue& status) { return ConnectionOf(status, "other").Has("base_url"); });
  daemon.Ctl({"resume", "other"});
  daemon.AwaitDrained();
  CHECK(other.Report().effects == static_cast<std::uint64_t>(kept) + 1);
}

TEST_CASE("reload: SIGHUP takes new limits") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  LineClient producer = daemon.Producer();
  daemon.Ctl({"pause", "default"});
  CHECK(Parsed(producer.Ask(Event("1", 1)))["ok"].Bool());
  daemon.SetConfig("outbox.max_jobs", "1");
  daemon.SetConfig("connections.default.max_in_flight", "7");
  daemon.SetConfig("connections.default.rate_limit", "123");
  daemon.SetConfig("limits.line_bytes", "300");
  daemon.Reload();
  daemon.AwaitStatus([](const JsonValue& status) {
    return status["outbox"]["max_jobs"].Int() == 1 &&
           ConnectionOf(status, "default")["max_in_flight"].Int() == 7 &&
           ConnectionOf(status, "default")["rate_limit"].Int() == 123;
  });
  CHECK(CodeOf(Parsed(producer.Ask(Event("1", 2)))) == "busy");
  CHECK(CodeOf(Parsed(producer.Ask(std::string(301, 'x')))) == "too_large");
  daemon.Ctl({"resume", "default"});
  daemon.AwaitDrained();
}

TEST_CASE(
    "reload: a key that has another name now is obeyed, and told at the start, at a reload and by check") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"connections.default.batch", "{enabled: true}"}});
  const auto is_told = [&](const std::string& key) {
    return Await([&] { return daemon.Log().find(key) != std::string::npos; });
  };
  CHECK(is_told("connections.default.batch.enabled: write mode: on instead"));
  CHECK(ConnectionOf(daemon.Status(), "default")["batch"]["mode"].String() == "on");
  daemon.SetConfig("connections.default.batch", "{enabled: false}");
  daemon.Reload();
  const std::string key = "connections.default.batch.enabled: write mode: off instead";
  CHECK(is_told(key));
  CHECK(daemon.Ctl({"check", daemon.ConfigFile()}).out.find("warning: " + key) != std::string::npos);
  daemon.AwaitStatus([](const JsonValue& status) {
    return ConnectionOf(status, "default")["batch"]["mode"].String() == "off";
  });
}

TEST_CASE("reload: a bad config is refused with its reason, and the old one stays in force") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  LineClient producer = daemon.Producer();
  const std::string good = ReadFile(daemon.ConfigFile());
  std::size_t refusals = 0;
  for (const std::string& bad :
       {std::string("nonsense: true\n"), std::string("{"), good + "workers: many\n"}) {
    daemon.WriteConfigText(bad);
    daemon.Reload();
    ++refusals;
    const auto is_refused = [&] {
      const std::string log = daemon.Log();
      std::size_t count = 0;
      for (std::size_t at = log.find("config not reloaded"); at != std::string::npos;
           at = log.find("config not reloaded", at + 1))
        ++count;
      return count == refusals;
    };
    CHECK(Await(is_refused));
    CHECK(Parsed(producer.Ask(Event("1", static_cast<std::int64_t>(refusals))))["ok"].Bool());
  }
  daemon.AwaitDrained();
  CheckNumbered(sim, "1", 3);
  CHECK(daemon.Log().find("outboxd.yaml:1: ") != std::string::npos);
}

TEST_CASE("reload: under load nothing is lost, doubled or out of order") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  sim.Script(R"([{"match":{"probability":0.02},"action":{"reset_after_effect":true}}])");
  LineClient producer = daemon.Producer();
  constexpr std::size_t kRounds = 10;
  constexpr std::size_t kEvents = 200;
  const std::vector<std::string> lines = ManyEvents(kRounds * kEvents, 20);
  for (std::size_t round = 0; round < kRounds; ++round) {
    daemon.SetConfig("connections.default.max_in_flight", std::to_string(1 + round * 10));
    daemon.SetConfig("limits.window_jobs", std::to_string(10 + round * 50));
    daemon.Reload();
    const auto first = lines.begin() + static_cast<std::ptrdiff_t>(round * kEvents);
    for (const JsonValue& reply : SubmitAll(producer, {first, first + kEvents})) REQUIRE(reply["ok"].Bool());
  }
  daemon.AwaitDrained(kLongPatience);
  CHECK(sim.Report().effects == kRounds * kEvents);
  CheckFlawless(sim.Report());
}

}  // namespace
}  // namespace outboxd
