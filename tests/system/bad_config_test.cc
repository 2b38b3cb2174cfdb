// A config that is wrong keeps the daemon from starting, and its message leads to the place.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/system/scene.h"

namespace outboxd {
namespace {

constexpr int kExitConfig = 78;  // EX_CONFIG: a unit does not restart the daemon for it

struct Bad {
  const char* key;
  const char* value;
  const char* told;  // part of the message; its key, when empty
};

const Bad kBad[] = {
    {"colour", "red", ""},
    {"outbox.colour", "red", ""},
    {"connections.default.colour", "red", ""},
    {"workers", "0", ""},
    {"workers", "many", ""},
    {"workers", "[1, 2]", ""},
    {"workers", "65", ""},
    {"outbox.max_jobs", "-1", ""},
    {"outbox.max_jobs", "1.5", ""},
    {"outbox.max_bytes", "20 parsecs", ""},
    {"outbox.max_bytes", "1kB", ""},
    {"listen.producer.mode", "\"0999\"", ""},
    {"listen.producer.path", "\"\"", ""},
    {"listen.track", "[{tcp: 10.0.0.1:1}]", ""},
    {"connections.default.region", "mars", "us"},
    {"connections.default.order", "chaos", "per_customer"},
    {"connections.default.base_url", "ftp://x.example", ""},
    {"connections.default.base_url", "\"http://user:s3cret@x.example\"", ""},
    {"connections.default.rate_limit", "-1", ""},
    {"connections.default.max_in_flight", "0", ""},
    {"connections.default.timeout", "soon", ""},
    {"connections.default.timeout", "0s", ""},
    {"connections.default.site_id", "\"a:b\"", ""},
    {"connections.default.site_id_file", "/somewhere", "site_id"},
    {"connections.default.api_key", "${OUTBOXD_TEST_UNSET}", "OUTBOXD_TEST_UNSET"},
    {"connections.bad name.site_id", "x", "connections.bad name: "},
    {"retry.base", "10", ""},
    {"retry.cap", "1ms", ""},
    {"retry.max_attempts", "0", ""},
    {"retry.max_age", "1500ms", ""},
    {"limits.line_bytes", "1", ""},
    {"limits.clients", "0", ""},
    {"history.keep", "for ever", ""},
    {"metrics.tcp", "0.0.0.0:9480", ""},
    {"log.level", "loud", "debug"},
    {"drain_timeout", "2h", ""},
};

TEST_CASE("config: every wrong value keeps the daemon from starting, naming file, line and key") {
  SimUnderTest sim;
  for (const Bad& bad : kBad) {
    INFO("key ", std::string(bad.key), " value ", std::string(bad.value));
    DaemonUnderTest daemon(sim, {{bad.key, bad.value}}, Launch::kLater);
    const Finished finished = daemon.RunToEnd();
    INFO("stderr ", finished.err);
    CHECK(finished.status.code == kExitConfig);
    const std::string file = daemon.ConfigFile().string() + ":";
    const std::size_t at = finished.err.find(file);
    REQUIRE(at != std::string::npos);
    CHECK(std::stoi(finished.err.substr(at + file.size())) >= 1);
    CHECK(finished.err.find(*bad.told == '\0' ? bad.key : bad.told, at) != std::string::npos);
    CHECK(finished.err.find("s3cret") == std::string::npos);
    CHECK_FALSE(std::filesystem::exists(daemon.OutboxFile()));
    CHECK(daemon.RunToEnd({"--check"}).status.code == kExitConfig);
  }
}

TEST_CASE("config: a group that does not exist is a wrong config, for --check too") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"listen.producer.group", "no-such-group"}}, Launch::kLater);
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{}, {"--check"}}) {
    const Finished finished = daemon.RunToEnd(arguments);
    CHECK(finished.status.code == kExitConfig);
    CHECK(finished.err.find("listen.producer.group: no group \"no-such-group\"") != std::string::npos);
  }
}

TEST_CASE("config: a text that is not a config keeps the daemon from starting") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  for (const char* text : {"", "{", "- a\n- b\n", "just words", "workers: 1\nworkers: 2\n",
                           "connections: {}\n", "a: &x [*x]\n", "\x01\x02", "\t- :\n"}) {
    INFO("text ", std::string(text));
    daemon.WriteConfigText(text);
    const Finished finished = daemon.RunToEnd();
    INFO("stderr ", finished.err);
    CHECK(finished.status.code == kExitConfig);
    CHECK(finished.err.find(daemon.ConfigFile().string() + ":") != std::string::npos);
  }
  std::filesystem::remove(daemon.ConfigFile());
  const Finished missing = daemon.RunToEnd();
  CHECK(missing.status.code == kExitConfig);
  CHECK(missing.err.find(daemon.ConfigFile().string()) != std::string::npos);
}

TEST_CASE(
    "config: a file it names that is missing or wrong keeps the daemon from starting, as a wrong value "
    "does") {
  SimUnderTest sim;
  for (const char* key : {"api_key_file", "ca_file"}) {
    INFO("key ", std::string(key));
    DaemonUnderTest daemon(sim, {}, Launch::kLater);
    const std::filesystem::path file = daemon.Dir() / "no-such-file";
    if (std::string_view(key) == "api_key_file") daemon.SetConfig("connections.default.api_key", "");
    daemon.SetConfig("connections.default." + std::string(key), Quoted(file.string()));
    const Finished finished = daemon.RunToEnd();
    INFO("stderr ", finished.err);
    CHECK(finished.status.code == kExitConfig);
    CHECK(finished.err.find("connections.default." + std::string(key) + ": cannot read " + file.string()) !=
          std::string::npos);
    CHECK(daemon.RunToEnd({"--check"}).status.code == kExitConfig);
  }
}

TEST_CASE("config: several problems are told at once") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"workers", "0"}, {"retry.base", "never"}, {"log.level", "loud"}},
                         Launch::kLater);
  const Finished finished = daemon.RunToEnd();
  for (const char* key : {"workers: ", "retry.base: ", "log.level: "})
    CHECK(finished.err.find(key) != std::string::npos);
}

TEST_CASE("config: an unknown key is told with the line it stands in") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  const std::string good = ReadFile(daemon.ConfigFile());
  const auto lines = std::to_string(std::count(good.begin(), good.end(), '\n') + 1);
  daemon.WriteConfigText(good + "wrokers: 2\n");
  CHECK(daemon.RunToEnd().err.find(daemon.ConfigFile().string() + ":" + lines + ": wrokers: ") !=
        std::string::npos);
}

}  // namespace
}  // namespace outboxd
