#include "config/config.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <tuple>

#include "config/credentials.h"
#include "tests/config/example_file.h"

using namespace outboxd;
using namespace std::chrono_literals;

namespace {

// An environment variable for the length of a test.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    value == nullptr ? ::unsetenv(name) : ::setenv(name, value, 1);
  }
  ~Environment() { old_ ? ::setenv(name_, old_->c_str(), 1) : ::unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "config_test.XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::filesystem::path Write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Structured bindings name every member: a new one does not compile until it is compared here too.
auto All(const RetryPolicy& value) {
  const auto& [base, cap, max_attempts, max_age, retry_after_cap] = value;
  return std::tuple(base, cap, max_attempts, max_age, retry_after_cap);
}
auto All(const OutboxConfig& value) {
  const auto& [path, max_jobs, max_bytes, min_free_bytes, allow_network_fs] = value;
  return std::tuple(path, max_jobs, max_bytes, min_free_bytes, allow_network_fs);
}
auto All(const SocketConfig& value) {
  const auto& [path, mode, group, users] = value;
  return std::tuple(path, mode, group, users);
}
auto All(const BatchConfig& value) {
  const auto& [mode, enabled, max_items, max_bytes, linger, same_lane] = value;
  return std::tuple(mode, enabled, max_items, max_bytes, linger, same_lane);
}
auto All(const PerUserLimits& value) {
  const auto& [connections, jobs, bytes] = value;
  return std::tuple(connections, jobs, bytes);
}
auto All(const LimitsConfig& value) {
  const auto& [line, clients, unread, unread_timeout, intake, producers, endpoint, window_bytes, window_jobs,
               lane, deferred, per_uid] = value;
  return std::tuple(line, clients, unread, unread_timeout, intake, producers, endpoint, window_bytes,
                    window_jobs, lane, deferred, All(per_uid));
}
auto All(const ConnectionConfig& value) {
  const auto& [name, region, base_url, order, site_id, api_key, rate, in_flight, connect, timeout, probe,
               lifetime, strict, ca_file, retry, batch] = value;
  return std::tuple(region, base_url, order, rate, in_flight, connect, timeout, probe, lifetime, strict,
                    ca_file, All(retry), All(batch));
}
auto All(const Config& value) {
  const auto& [file, outbox, producer, admin, track, connections, retry, limits, history, metrics, workers,
               drain, level] = value;
  return std::tuple(All(outbox), All(producer), All(admin), All(retry), All(limits), history.keep,
                    history.max_rows, metrics.tcp, metrics.allow_remote, metrics.allowed_hosts, workers,
                    drain, level);
}

// `text` with one good connection behind it.
std::string WithConnection(const std::string& text) {
  return text + "\nconnections: {default: {site_id: s, api_key: k}}\n";
}
std::string InConnection(const std::string& text) {
  return "connections:\n  main:\n    site_id: s\n    api_key: k\n" + text;
}

Config Good(const std::string& text) {
  Result<Config> config = ParseConfig(text, "test.yaml");
  REQUIRE_MESSAGE(config, (config ? "" : config.error().message));
  return *config;
}

std::string Refused(const std::string& text) {
  const Result<Config> config = ParseConfig(text, "test.yaml");
  if (config) return "(accepted)";
  CHECK(config.error().kind == ErrorKind::kInvalid);
  return config.error().message;
}

struct Wrong {
  std::string text;
  std::string expected;  // a part of the message
};

void CheckRefused(const std::vector<Wrong>& rows) {
  for (const Wrong& row : rows) {
    CAPTURE(row.text);
    const std::string message = Refused(row.text) + "\n";
    CHECK_MESSAGE(message.find(row.expected) != std::string::npos, message);
  }
}

}  // namespace

TEST_CASE("config: the example file holds exactly the defaults, and the producers' group") {
  const Environment credentials("CREDENTIALS_DIRECTORY", "/run/credentials/outboxd.service");
  const Result<Config> config = LoadConfig(SourceFile("etc/outboxd.yaml"));
  REQUIRE_MESSAGE(config, (config ? "" : config.error().message));
  Config expected;
  expected.producer.group = "outboxd";  // of systemd/outboxd.sysusers
  CHECK(All(*config) == All(expected));
  REQUIRE(config->connections.size() == 1);
  const ConnectionConfig& connection = config->connections.at("default");
  CHECK(All(connection) == All(ConnectionConfig()));
  CHECK(connection.name == "default");
  CHECK(connection.site_id.file == "/run/credentials/outboxd.service/site_id");
  CHECK(connection.api_key.file == "/run/credentials/outboxd.service/api_key");
  CHECK(config->file == SourceFile("etc/outboxd.yaml"));
}

TEST_CASE("config: what the example file has commented out is right as well") {
  const Environment credentials("CREDENTIALS_DIRECTORY", "/run/credentials/outboxd.service");
  std::string text;
  for (const ExampleLine& line : ReadExample()) {
    if (line.key != "site_id" && line.key != "api_key") text += line.text + "\n";
  }
  const Config config = Good(text);
  CHECK(config.metrics.tcp == "127.0.0.1:9480");
  REQUIRE(config.track.size() == 4);
  CHECK(config.track[0] ==
        TrackListenerConfig{"127.0.0.1:8480", {}, false, {}, {}, {"outbox.internal"}, false});
  CHECK(config.track[1].tls);
  CHECK(config.track[2].key == "/etc/outboxd/key.pem");
  CHECK(config.track[3].socket.path == "/run/outboxd/track.sock");
  CHECK(config.admin.group == "outboxd-admin");
  CHECK(config.connections.at("default").base_url == "https://proxy.example.com");
}

TEST_CASE("config: the example file explains each key in a line") {
  std::istringstream stream(ReadText(SourceFile("etc/outboxd.yaml")));
  for (std::string line; std::getline(stream, line);) {
    if (line.find(": ") != std::string::npos) CHECK_MESSAGE(line.find('#') != std::string::npos, line);
  }
}

TEST_CASE("config: one connection with its credentials is enough") {
  const Config config = Good("connections: {default: {site_id: s, api_key: k}}");
  CHECK(All(config) == All(Config()));
  CHECK(config.connections.at("default").site_id.value == "s");
  CHECK(config.connections.at("default").api_key.value == "k");
}

TEST_CASE("config: every kind of value is read") {
  const Config config = Good(R"(
outbox: {path: /a/b.db, max_jobs: 5, max_bytes: 300000, min_free_bytes: 65MiB, allow_network_fs: true}
listen:
  producer: {path: /r/p.sock, mode: 0600, group: wheel, users: [root, 1002]}
  admin: {path: /r/a.sock, mode: "666", users: 7}
connections:
  eu-1:
    region: eu
    order: none
    site_id: s
    api_key_file: /k
    rate_limit: 0.5
    max_in_flight: 7
    connect_timeout: 250ms
    timeout: 2min
    probe_interval: 1h
    connection_lifetime: 90s
    strict_answers: false
    ca_file: /ca.pem
    retry: {base: 2s, max_attempts: 3}
    batch: {mode: on, max_items: 2, max_bytes: 64KiB, linger: 0ms, same_lane: true}
retry: {base: 3s, cap: 4min, max_age: 1d}
limits: {line_bytes: 1KiB}
history: {keep: 0s, max_rows: 0}
metrics: {tcp: "[::]:9480", allow_remote: true}
workers: 4
drain_timeout: 0s
log: {level: debug}
)");
  CHECK(All(config.outbox) == std::tuple("/a/b.db", 5U, 300000U, 65U << 20, true));
  CHECK(All(config.producer) == std::tuple("/r/p.sock", 0600U, "wheel", std::vector{0U, 1002U}));
  CHECK(config.admin.mode == 0666);
  CHECK(config.admin.users == std::vector{7U});
  const ConnectionConfig& connection = config.connections.at("eu-1");
  CHECK(connection.name == "eu-1");
  CHECK(connection.region == Region::kEu);
  CHECK(connection.order == LaneOrder::kNone);
  CHECK(connection.api_key.file == "/k");
  CHECK(connection.rate_limit == 0.5);
  CHECK(connection.max_in_flight == 7);
  CHECK(connection.connect_timeout == 250ms);
  CHECK(connection.timeout == 2min);
  CHECK(connection.probe_interval == 1h);
  CHECK(connection.connection_lifetime == 90s);
  CHECK_FALSE(connection.strict_answers);
  CHECK(connection.ca_file == "/ca.pem");
  CHECK(All(connection.batch) == std::tuple(BatchMode::kOn, std::optional<bool>(), 2U, 65536U, 0ms, true));
  CHECK(config.history.keep == 0s);
  CHECK(config.metrics.tcp == "[::]:9480");
  CHECK(config.workers == 4);
  CHECK(config.drain_timeout == 0ms);
  CHECK(config.log_level == LogLevel::kDebug);
}

TEST_CASE("config: a connection's retry overrides the global one key by key, wherever that stands") {
  const Config config = Good(InConnection("    retry: {base: 2s}\n") + "retry: {base: 3s, cap: 4min}\n");
  CHECK(config.retry.base == 3s);
  CHECK(config.connections.at("main").retry.base == 2s);
  CHECK(config.connections.at("main").retry.cap == 4min);
}

TEST_CASE("config: batch.enabled, as an earlier release wrote it, says on or off") {
  const auto mode = [](const std::string& batch) {
    return Good(InConnection("    batch: {" + batch + "}\n")).connections.at("main").batch.mode;
  };
  CHECK(mode("max_items: 2") == BatchMode::kAuto);
  CHECK(mode("enabled: true") == BatchMode::kOn);
  CHECK(mode("enabled: false") == BatchMode::kOff);
  CHECK(mode("enabled: true, mode: on") == BatchMode::kOn);
  const char* told =
      "connections.main.batch.enabled: is the old name of mode and says otherwise; leave it out";
  CheckRefused({
      {InConnection("    batch: {enabled: true, mode: off}\n"), told},
      {InConnection("    batch: {mode: auto, enabled: false}\n"), told},
  });
}

TEST_CASE("config: an empty section means its defaults") {
  CHECK(All(Good(WithConnection("outbox:\nlisten:\n  producer:\nretry: ~\nlimits: {}")).outbox) ==
        All(OutboxConfig()));
}

TEST_CASE("config: sizes and durations know their units") {
  const auto size = [](const std::string& text) {
    return Good(WithConnection("outbox: {max_bytes: " + text + "}")).outbox.max_bytes;
  };
  CHECK(size("500kB") == 500'000);
  CHECK(size("500KiB") == 512'000);
  CHECK(size("3MB") == 3'000'000);
  CHECK(size("3MiB") == 3 << 20);
  CHECK(size("3GB") == 3'000'000'000);
  CHECK(size("20GiB") == 20ULL << 30);
  CHECK(size("1TB") == 1'000'000'000'000);
  CHECK(size("1TiB") == 1ULL << 40);
  CHECK(size("123456") == 123'456);
  const auto duration = [](const std::string& text) {
    return Good(WithConnection("retry: {cap: " + text + "}")).retry.cap;
  };
  CHECK(duration("1500ms") == 1500ms);
  CHECK(duration("90s") == 90s);
  CHECK(duration("10min") == 10min);
  CHECK(duration("72h") == 72h);
  CHECK(duration("7d") == 168h);
}

TEST_CASE("config: a base URL loses the slashes at its end, keeps a path, and stands before any region") {
  const auto base_url = [](const std::string& text) {
    return Good(InConnection("    base_url: " + text)).connections.at("main").base_url;
  };
  CHECK(base_url("http://127.0.0.1:9000/") == "http://127.0.0.1:9000");
  CHECK(base_url("https://gateway.example.com/customer-io//") == "https://gateway.example.com/customer-io");
  CHECK(base_url("https://[::1]:8443") == "https://[::1]:8443");
  const Config config = Good(InConnection("    base_url: http://h"));
  CHECK(config.connections.at("main").BaseUrl(Region::kEu) == "http://h");
}

TEST_CASE("config: without a base URL a job's region stands before its connection's") {
  ConnectionConfig connection;
  CHECK(connection.BaseUrl(std::nullopt) == "https://track.customer.io");
  CHECK(connection.BaseUrl(Region::kEu) == "https://track-eu.customer.io");
  connection.region = Region::kEu;
  CHECK(connection.BaseUrl(std::nullopt) == "https://track-eu.customer.io");
  CHECK(connection.BaseUrl(Region::kUs) == "https://track.customer.io");
}

TEST_CASE("config: variables of the environment are put into values, and $${ is left as ${") {
  const Environment set("OUTBOXD_TEST", "abc");
  const auto api_key = [](const std::string& text) {
    return Good("connections: {d: {site_id: s, api_key: '" + text + "'}}").connections.at("d").api_key.value;
  };
  CHECK(api_key("${OUTBOXD_TEST}") == "abc");
  CHECK(api_key("x${OUTBOXD_TEST}y${OUTBOXD_TEST}") == "xabcyabc");
  CHECK(api_key("$${OUTBOXD_TEST}") == "${OUTBOXD_TEST}");
  CHECK(api_key("a$b$") == "a$b$");
  const Environment nested("OUTBOXD_TEST", "${HOME}");
  CHECK(api_key("${OUTBOXD_TEST}") == "${HOME}");
}

TEST_CASE("config: what is not a mapping is told once, and nothing is missed in it") {
  const std::string message = "must be a mapping: keys with their values, one a line and indented";
  CHECK(Refused("connections: [a]\n") == "test.yaml:1: connections: " + message);
  CHECK(Refused("connections: [a, b]\n") == "test.yaml:1: connections: " + message);
  CHECK(Refused("connections: a\n") == "test.yaml:1: connections: " + message);
  CHECK(Refused(WithConnection("limits: [a, b]")) == "test.yaml:1: limits: " + message);
}

TEST_CASE("config: a file that is not a config as a whole is refused") {
  CheckRefused({
      {"", "test.yaml:1: connections: at least one connection is needed"},
      {"# nothing\n", "test.yaml:1: connections: at least one connection is needed"},
      {"connections:\n", "test.yaml:1: connections: at least one connection is needed"},
      {"connections: []\n", "test.yaml:1: connections: must be a mapping"},
      {"- a\n- b\n", "test.yaml:1: must be a mapping"},
      {"hello\n", "test.yaml:1: must be a mapping"},
      {"workers: 2\n  retry: 3\n", "test.yaml:2: not valid YAML"},
      {"workers: [1\n", "not valid YAML"},
      {"retry:\n\tbase: 1s\n", "test.yaml:2: not valid YAML"},
      {WithConnection("workers: 1\n---\nworkers: 2"), "a second document begins here"},
      {", workers: 1\n", "test.yaml:1: a second document begins here"},
      {WithConnection("? [a, b]\n: 1"), "test.yaml:1: a key must be a plain word"},
      {WithConnection("outbox: &a\n  path: *a"), "not valid YAML"},
  });
}

TEST_CASE(
    "config: an unknown key is refused with the nearest known one, and a key given twice with both lines") {
  CheckRefused({
      {WithConnection("\nworker: 2"), "test.yaml:2: worker: is not a known key; did you mean \"workers\"?"},
      {WithConnection("conections: 2"),
       "test.yaml:1: conections: is not a known key; did you mean \"connections\"?"},
      {WithConnection("outbox:\n  max_job: 2"),
       "test.yaml:2: outbox.max_job: is not a known key; did you mean \"max_jobs\"?"},
      {WithConnection("listen:\n  producer:\n    Mode: 1"),
       "test.yaml:3: listen.producer.Mode: is not a known key; did you mean \"mode\"?"},
      {WithConnection("xyzzy: 2"), "test.yaml:1: xyzzy: is not a known key\n"},
      {WithConnection("\"a\\e[2Jb\": 2"), "test.yaml:1: a\\x1b[2Jb: is not a known key"},
      {InConnection("    ratelimit: 5\n"),
       "test.yaml:5: connections.main.ratelimit: is not a known key; did you mean \"rate_limit\"?"},
      {InConnection("    retry:\n      bas: 5s\n"),
       "test.yaml:6: connections.main.retry.bas: is not a known key; did you mean \"base\"?"},
      {WithConnection("<<: {workers: 3}"), "test.yaml:1: <<: is not a known key"},
      {WithConnection("workers: 1\nworkers: 1"), "test.yaml:2: workers: is given twice, first in line 1"},
      {WithConnection("retry:\n  base: 1s\n  cap: 2s\n  base: 1s"),
       "test.yaml:4: retry.base: is given twice, first in line 2"},
      {InConnection("  main: {site_id: s, api_key: k}\n"),
       "test.yaml:5: connections.main: is given twice, first in line 2"},
  });
}

TEST_CASE("config: a value of the wrong shape is refused") {
  CheckRefused({
      {WithConnection("outbox: 5"), "test.yaml:1: outbox: must be a mapping"},
      {WithConnection("workers: [1, 2]"), "test.yaml:1: workers: must be a single value, not a list"},
      {WithConnection("workers: {a: 1}"), "test.yaml:1: workers: must be a single value, not a mapping"},
      {WithConnection("workers:"), "test.yaml:1: workers: has no value"},
      {"connections: {default: 5}", "test.yaml:1: connections.default: must be a mapping"},
  });
}

TEST_CASE("config: a number is refused unless whole and in range") {
  CheckRefused({
      {WithConnection("workers: two"), "test.yaml:1: workers: must be a whole number, not \"two\""},
      {WithConnection("workers: 1.5"), "workers: must be a whole number, not \"1.5\""},
      {WithConnection("workers: -1"), "workers: must be a whole number, not \"-1\""},
      {WithConnection("workers: 0x2"), "workers: must be a whole number"},
      {WithConnection("workers: ''"), "workers: must be a whole number, not \"\""},
      {WithConnection("workers: 0"), "workers: must be from 1 to 64, not \"0\""},
      {WithConnection("workers: 65"), "workers: must be from 1 to 64, not \"65\""},
      {WithConnection("workers: 99999999999999999999"), "workers: must be a whole number"},
      {WithConnection("outbox: {max_jobs: 0}"), "outbox.max_jobs: must be from 1 to 1000000000"},
      {InConnection("    rate_limit: -1\n"), "connections.main.rate_limit: must be from 0 to 1000000"},
      {InConnection("    rate_limit: nan\n"), "rate_limit: must be from 0 to 1000000"},
      {InConnection("    rate_limit: fast\n"), "rate_limit: must be a number, not \"fast\""},
      {InConnection("    max_in_flight: 0\n"), "connections.main.max_in_flight: must be from 1 to 10000"},
  });
}

TEST_CASE("config: durations and sizes are refused without a unit or out of range") {
  CheckRefused({
      {WithConnection("retry: {base: 5}"),
       "retry.base: must be a duration: a whole number and its unit, like 50ms"},
      {WithConnection("retry: {base: 1.5s}"), "retry.base: must be a duration"},
      {WithConnection("retry: {base: 5M}"), "retry.base: must be a duration"},
      {WithConnection("retry: {base: 1 s}"), "retry.base: must be a duration"},
      {WithConnection("retry: {base: -1s}"), "retry.base: must be a duration"},
      {WithConnection("retry: {base: s}"), "retry.base: must be a duration"},
      {WithConnection("retry: {base: 9223372036854775807d}"), "retry.base: must be a duration"},
      {WithConnection("retry: {base: 0s}"), "retry.base: must be from 1ms to 1h, not \"0s\""},
      {WithConnection("retry: {base: 2h}"), "retry.base: must be from 1ms to 1h, not \"2h\""},
      {WithConnection("retry: {max_age: 1500ms}"), "retry.max_age: must be whole seconds, not \"1500ms\""},
      {WithConnection("retry: {max_age: 3651d}"), "retry.max_age: must be from 1s to 3650d"},
      {WithConnection("retry:\n  base: 1min\n  cap: 1s"),
       "test.yaml:3: retry.cap: the cap (1s) must not be less than the base (1min)"},
      {InConnection("    retry: {cap: 10ms}\n"),
       "test.yaml:5: connections.main.retry.cap: the cap (10ms) must not be less"},
      {WithConnection("outbox: {max_bytes: 5kb}"), "outbox.max_bytes: must be a size"},
      {WithConnection("outbox: {max_bytes: 1.5GiB}"), "outbox.max_bytes: must be a size"},
      {WithConnection("outbox: {max_bytes: 99999999TiB}"), "outbox.max_bytes: must be a size"},
      {WithConnection("outbox: {max_bytes: 1kB}"),
       "outbox.max_bytes: must be from 100kB to 100TB, not \"1kB\""},
      {WithConnection("outbox: {min_free_bytes: 16MiB}"),
       "outbox.min_free_bytes: must be from 64MiB to 100TB, not \"16MiB\""},
      {WithConnection("limits: {line_bytes: 17MiB}"), "limits.line_bytes: must be from 256 to 16MiB"},
      {WithConnection("limits: {line_bytes: 1MiB, intake_bytes: 64kB}"),
       "limits.intake_bytes: intake_bytes must not be less than line_bytes"},
      {WithConnection("limits: {line_bytes: 1MiB, producer_bytes: 64kB}"),
       "limits.producer_bytes: producer_bytes must not be less than line_bytes"},
      {WithConnection("limits: {line_bytes: 1MiB, endpoint_bytes: 64kB}"),
       "limits.endpoint_bytes: endpoint_bytes must not be less than line_bytes"},
      {WithConnection("drain_timeout: 2h"), "drain_timeout: must be from 0s to 1h"},
  });
}

TEST_CASE("config: choices and flags are refused with what is allowed") {
  CheckRefused({
      {WithConnection("log: {level: trace}"), "log.level: must be debug, info, warn or error, not \"trace\""},
      {InConnection("    region: US\n"), "connections.main.region: must be us or eu, not \"US\""},
      {InConnection("    order: strict\n"),
       "connections.main.order: must be per_customer or none, not \"strict\""},
      {InConnection("    batch: {same_lane: yes}\n"),
       "connections.main.batch.same_lane: must be true or false, not \"yes\""},
      {InConnection("    batch: {mode: true}\n"),
       "connections.main.batch.mode: must be off, on or auto, not \"true\""},
      {InConnection("    batch: {enabled: auto}\n"),
       "connections.main.batch.enabled: must be true or false, not \"auto\""},
  });
}

TEST_CASE("config: paths, modes, groups and addresses that cannot be meant are refused") {
  CheckRefused({
      {WithConnection("outbox: {path: outbox.db}"),
       "outbox.path: must be the absolute path of a file, not \"outbox.db\""},
      {WithConnection("outbox: {path: /var/lib/}"), "outbox.path: must be the absolute path of a file"},
      {WithConnection("outbox: {path: \"/a\\0b\"}"),
       "outbox.path: must be the absolute path of a file, not \"/a\\x00b\""},
      {WithConnection("listen: {admin: {path: /" + std::string(107, 'x') + "}}"),
       "listen.admin.path: must be at most 107 bytes long"},
      {WithConnection("listen: {producer: {mode: 660x}}"),
       "listen.producer.mode: must be an octal file mode"},
      {WithConnection("listen: {producer: {mode: 0999}}"),
       "listen.producer.mode: must be an octal file mode"},
      {WithConnection("listen: {producer: {mode: \"0460\"}}"), "lets the owner read and write"},
      {WithConnection("listen: {producer: {mode: \"1777\"}}"),
       "listen.producer.mode: must be an octal file mode"},
      {WithConnection("listen: {producer: {group: a b}}"),
       "listen.producer.group: must be the name or number of a group"},
      {WithConnection("listen: {producer: {users: [root, no-such-user]}}"),
       "listen.producer.users: must be the name or number of a user, not \"no-such-user\""},
      {WithConnection("listen: {producer: {users: []}}"), "listen.producer.users: is an empty list"},
      {WithConnection("listen: {producer: {users: [[root]]}}"), "a list holds single values only"},
      {WithConnection("listen: {producer: {users: {root: 1}}}"),
       "listen.producer.users: must be a single value, not a mapping"},
      {WithConnection("listen: {producer: {path: /s}, admin: {path: /s}}"),
       "listen.admin: must have another path than the producer socket"},
      {WithConnection("listen:\n  track: [{tcp: 10.0.0.1:8480}]"),
       "test.yaml:2: listen.track[0].tcp: must be a loopback address and a port"},
      {WithConnection("listen:\n  track: [{tcp: 127.0.0.1:8480}, {}]"),
       "test.yaml:2: listen.track[1]: give either tcp or unix"},
      {WithConnection("listen:\n  track: [{tcp: 127.0.0.1:8480, mode: \"0660\"}]"),
       "listen.track[0].tcp: mode, group and users belong to Unix sockets"},
      {WithConnection("listen:\n  track: [{unix: /run/t.sock, allowed_hosts: [a]}]"),
       "listen.track[0].allowed_hosts: belongs to tcp"},
      {WithConnection("listen:\n  track: [{tcp: 127.0.0.1:8480, allowed_hosts: [\"a:80\"]}]"),
       "listen.track[0].allowed_hosts: must be the name of a host, without a port"},
      {WithConnection("metrics: {tcp: 127.0.0.1:9480, allowed_hosts: [\"\"]}"),
       "metrics.allowed_hosts: must be the name of a host, without a port"},
      {WithConnection("listen:\n  track: [{unix: /run/t.sock, key: /k.pem}]"),
       "listen.track[0]: certificate and key go together"},
      {WithConnection("listen:\n  track: {tcp: 127.0.0.1:8480}"),
       "test.yaml:2: listen.track: must be a list of mappings"},
      {WithConnection("metrics: {tcp: 0.0.0.0:9480}"), "metrics.tcp: must be a loopback address and a port"},
      {WithConnection("metrics: {tcp: 127.0.0.1}"), "metrics.tcp: must be an address and a port"},
      {WithConnection("metrics: {tcp: 0.0.0.0:9480, allow_remote: false}"),
       "metrics.tcp: must be a loopback address and a port"},
      {WithConnection("metrics: {tcp: \"example.com:9480\", allow_remote: true}"),
       "metrics.tcp: must be an address and a port"},
      {WithConnection("metrics: {tcp: 127.0.0.1.5:80}"), "metrics.tcp: must be an address and a port"},
      {WithConnection("metrics: {tcp: 127.0.0.1:0}"), "metrics.tcp: the port must be 1 to 65535"},
      {WithConnection("metrics: {tcp: 127.0.0.1:65536}"), "metrics.tcp: the port must be 1 to 65535"},
  });
}

TEST_CASE("config: connections need a name, credentials and a base URL that can be meant") {
  CheckRefused({
      {"connections: {a b: {site_id: s, api_key: k}}",
       "test.yaml:1: connections.a b: a connection's name must be 1 to 64 of the characters"},
      {"connections: {'': {site_id: s, api_key: k}}", "a connection's name must be 1 to 64"},
      {"connections: {" + std::string(65, 'n') + ": {site_id: s, api_key: k}}",
       "a connection's name must be 1 to 64"},
      {"connections:\n  a:\n    api_key: k\n",
       "test.yaml:2: connections.a.site_id: is missing; give it or site_id_file"},
      {"connections:\n  a:\n    site_id: s\n",
       "test.yaml:2: connections.a.api_key: is missing; give it or api_key_file"},
      {InConnection("    site_id_file: /f\n"),
       "test.yaml:5: connections.main.site_id_file: must not be given together with site_id"},
      {InConnection("    api_key_file: /f\n"),
       "test.yaml:5: connections.main.api_key_file: must not be given together with api_key"},
      {InConnection("    base_url: ftp://h\n"),
       "test.yaml:5: connections.main.base_url: must begin with http:// or https://"},
      {InConnection("    base_url: https://\n"), "base_url: a host is missing"},
      {InConnection("    base_url: https://u:p@h\n"), "base_url: a user or password does not belong here"},
      {InConnection("    base_url: https://h:0\n"), "base_url: the port must be 1 to 65535"},
      {InConnection("    base_url: https://h:80:80\n"), "base_url: the port must be 1 to 65535"},
      {InConnection("    base_url: https://h/?a=b\n"), "base_url: must not have a query or a fragment"},
      {InConnection("    base_url: https://h h\n"), "base_url: has a character that is not allowed in a URL"},
      {InConnection("    base_url: https://h<h\n"), "base_url: the host has a character that is not allowed"},
      {InConnection("    base_url: https://h/api/v1/\n"),
       "base_url: must end before /api/v1 and /api/v2, which are appended"},
  });
}

TEST_CASE("config: a variable that is unset or not a variable is refused with line and key") {
  const Environment unset("OUTBOXD_UNSET", nullptr);
  CheckRefused({
      {"connections:\n  a:\n    site_id: s\n    api_key_file: ${OUTBOXD_UNSET}/key",
       "test.yaml:4: connections.a.api_key_file: the environment variable OUTBOXD_UNSET is not set"},
      {WithConnection("outbox: {path: '${OUTBOXD_UNSET'}"),
       "outbox.path: has a \"${\" that is not followed by a variable's name and \"}\""},
      {WithConnection("outbox: {path: '/${}'}"),
       "outbox.path: has a \"${\" that is not followed by a variable's name and \"}\""},
      {WithConnection("outbox: {path: '/${a-b}'}"),
       "outbox.path: has a \"${\" that is not followed by a variable's name and \"}\""},
  });
}

TEST_CASE("config: a wrong value never shows a secret") {
  const Environment secret("OUTBOXD_SECRET", "hunter2");
  const std::vector<std::string> rows = {
      "connections: {d: {site_id: 'hunter2:x', api_key: k}}",
      "connections: {d: {site_id: s, api_key: \"hunter2\\n\"}}",
      "connections: {d: {site_id: s, api_key: 'hunter2${'}}",
      "connections: {d: {site_id: s, api_key: [hunter2]}}",
      "connections: {d: {site_id: s, api_key_file: hunter2}}",
      "connections: {d: {site_id: s, api_key: k, base_url: 'https://me:hunter2@h'}}",
      "connections: {d: {site_id: s, api_key: k, timeout: '${OUTBOXD_SECRET}'}}",
  };
  for (const std::string& row : rows) {
    const std::string message = Refused(row);
    CHECK(message.find("test.yaml:1: connections.d.") == 0);
    CHECK_MESSAGE(message.find("hunter2") == std::string::npos, message);
  }
  CHECK(
      Refused(WithConnection("listen: {producer: {users: [root, '${OUTBOXD_SECRET}']}}")) ==
      "test.yaml:1: listen.producer.users: must be the name or number of a user, not \"${OUTBOXD_SECRET}\"");
}

TEST_CASE("config: a secret under the wrong key is not shown either, whatever key that is") {
  const std::string secret = "5f2e8d7c6b5a49382716";  // as long as an API key
  for (const std::string key : {"region", "order", "rate_limit", "max_in_flight", "timeout", "strict_answers",
                                "ca_file", "api_key_files", "token", "site_id_file", "retry", "batch"}) {
    for (const std::string& value :
         {secret, std::string("hunter2hunter"), "[" + secret + "]", "{a: " + secret + "}"}) {
      const std::string message = Refused(InConnection("    " + key + ": " + value + "\n"));
      CHECK_MESSAGE(message.find("test.yaml:5: connections.main." + key) == 0, message);
      CHECK_MESSAGE(message.find(value) == std::string::npos, message);
      CHECK_MESSAGE(message.find(secret) == std::string::npos, message);
    }
  }
  for (const std::string& text :
       {"log: {level: " + secret + "}", "workers: " + secret, "metrics: {tcp: " + secret + "}",
        "outbox: {path: " + secret + "}", "listen: {track: [{tcp: " + secret + "}]}",
        "listen: {admin: {mode: " + secret + "}}", "outbox: {path: *" + secret + "}"}) {
    const std::string message = Refused(WithConnection(text));
    CHECK_MESSAGE(message.find(secret) == std::string::npos, message);
  }
}

TEST_CASE("config: problems are reported together, in the order of their lines, ten at most") {
  CHECK(Refused("workers: 0\nretry: {base: x}\nnonsense: 1\n") ==
        "test.yaml:1: connections: at least one connection is needed\n"
        "test.yaml:1: workers: must be from 1 to 64, not \"0\"\n"
        "test.yaml:2: retry.base: must be a duration: a whole number and its unit, like 50ms, 1s, 10min, 72h "
        "or 7d, not \"x\"\n"
        "test.yaml:3: nonsense: is not a known key");
  std::string many;
  for (int i = 0; i < 14; ++i) many += "nonsense_" + std::to_string(i) + ": 1\n";
  const std::string message = Refused(WithConnection(many));
  CHECK(std::count(message.begin(), message.end(), '\n') == 10);
  CHECK(message.ends_with("\nand 4 more"));
}

TEST_CASE("config: the error names the key at fault") {
  const Result<Config> config = ParseConfig(WithConnection("retry: {base: x}"), "test.yaml");
  REQUIRE_FALSE(config);
  CHECK(config.error().field == "retry.base");
}

TEST_CASE("config: aliases of aliases cannot blow up") {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " {k: " + last + ", l: " + last +
            ", m: " + last + "}\n";
  }
  CHECK(Refused(text).find("nested too deeply or too large") != std::string::npos);
}

TEST_CASE("config: a file that cannot be read is named with the reason") {
  const TemporaryDirectory directory;
  const Result<Config> missing = LoadConfig(directory.path() / "none.yaml");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().kind == ErrorKind::kIo);
  CHECK(missing.error().message ==
        "cannot read " + (directory.path() / "none.yaml").string() + ": No such file or directory");
  CHECK(LoadConfig(directory.path()).error().message.find("it is not a regular file") != std::string::npos);
  const std::filesystem::path large = directory.Write("large.yaml", std::string((1 << 20) + 1, ' '));
  CHECK(LoadConfig(large).error().message.find("it is longer than 1048576 bytes") != std::string::npos);
}

TEST_CASE("credentials: values and files are read, and newlines at the end are cut") {
  const TemporaryDirectory directory;
  ConnectionConfig connection;
  connection.site_id.value = "site";
  connection.api_key.file = directory.Write("key", "\xEF\xBB\xBFk e:y\r\n\n");
  const Result<Credentials> credentials = ReadCredentials(connection);
  REQUIRE(credentials);
  CHECK(*credentials == Credentials{"site", "k e:y"});
}

TEST_CASE("credentials: a wrong one is refused with its key and file, never its value") {
  const TemporaryDirectory directory;
  const auto refused = [&](const std::string& content) {
    ConnectionConfig connection;
    connection.name = "main";
    connection.site_id.file = directory.Write("site", content);
    connection.api_key.value = "k";
    const Result<Credentials> credentials = ReadCredentials(connection);
    REQUIRE_FALSE(credentials);
    CHECK(credentials.error().field == "connections.main.site_id_file");
    CHECK(credentials.error().message.find("hunter2") == std::string::npos);
    return credentials.error().message;
  };
  const std::string where = "connections.main.site_id_file: " + (directory.path() / "site").string() + " ";
  CHECK(refused("") == where + "is empty");
  CHECK(refused("\n") == where + "is empty");
  CHECK(refused("hunter2\nmore\n") == where + "has a control character or more than one line");
  CHECK(refused(std::string("hunter2\0", 8)) == where + "has a control character or more than one line");
  CHECK(refused("hunter2:") == where + "has a colon, which a site id cannot have");
  CHECK(refused("\xFF\xFEh").find("is text in UTF-16: write it in UTF-8") != std::string::npos);
  CHECK(refused("\xEF\xBB\xBF\n") == where + "is empty");
  CHECK(refused(std::string(4097, 'a')).find("it is longer than 4096 bytes") != std::string::npos);
}

TEST_CASE("credentials: a pipe in the file's place is refused instead of waited for") {
  const TemporaryDirectory directory;
  ConnectionConfig connection;
  connection.site_id.file = directory.path() / "pipe";
  REQUIRE(::mkfifo(connection.site_id.file.c_str(), 0600) == 0);
  const Result<Credentials> credentials = ReadCredentials(connection);
  REQUIRE_FALSE(credentials);
  CHECK(credentials.error().message.find("it is not a regular file") != std::string::npos);
}

TEST_CASE("credentials: a ca_file that cannot be read or holds no certificate is refused with its key") {
  const TemporaryDirectory directory;
  ConnectionConfig connection;
  connection.name = "main";
  CHECK(CheckCaFile(connection));  // the system's store
  connection.ca_file = directory.path() / "absent.pem";
  const Result<void> absent = CheckCaFile(connection);
  REQUIRE_FALSE(absent);
  CHECK(absent.error().message == "connections.main.ca_file: cannot read " + connection.ca_file.string() +
                                      ": No such file or directory");
  connection.ca_file = directory.Write("key.der", "0123");
  const Result<void> garbage = CheckCaFile(connection);
  REQUIRE_FALSE(garbage);
  CHECK(garbage.error().field == "connections.main.ca_file");
  CHECK(garbage.error().message.find("holds no certificate in PEM") != std::string::npos);
  connection.ca_file =
      directory.Write("ca.pem", "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n");
  CHECK(CheckCaFile(connection));
}
