// The admin socket and the metrics' port, as clients of each find them.
#include "daemon/admin/admin_servers.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/daemon/admin/admin_rig.h"
#include "tests/daemon/base/http_peer.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using testing::Client;
using testing::StartsWith;

class AdminDoors {
 public:
  explicit AdminDoors(std::uint16_t port = 0) : port_(port) {
    if (port_ == 0) {
      const testing::Listening unused = testing::ListenOnLoopback();
      close(unused.descriptor);
      port_ = unused.port;
    }
    Config config;
    config.admin.path = folder_ / "admin.sock";
    config.metrics.tcp = "127.0.0.1:" + std::to_string(port_);
    config.metrics.allowed_hosts = {"metrics.internal"};
    PassedSockets passed;
    auto opened = AdminServers::Open(config, passed, api_.api, states);
    REQUIRE(opened);
    servers = std::move(*opened);
  }

  std::string AskMetrics(const std::string& headers) const {
    return testing::Ask(port_, "GET /metrics HTTP/1.1\r\nConnection: close\r\n" + headers + "\r\n");
  }
  std::filesystem::path AdminSocket() const { return folder_ / "admin.sock"; }
  std::uint16_t port() const { return port_; }

  ListenerStates states;
  std::unique_ptr<AdminServers> servers;

 private:
  TempDir folder_;
  test::Api api_;
  std::uint16_t port_;
};

TEST_CASE(
    "admin servers: the metrics' port is open to other machines where the config says so, and only there") {
  const TempDir folder;
  test::Api api;
  PassedSockets passed;
  ListenerStates states;
  Config config;
  config.admin.path = folder / "admin.sock";
  config.metrics.tcp = "0.0.0.0:0";
  const auto refused = AdminServers::Open(config, passed, api.api, states);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::kInvalid);
  config.metrics.allow_remote = true;
  CHECK(AdminServers::Open(config, passed, api.api, states));
}

TEST_CASE("admin servers: the metrics' port answers no web page, and this host's own names alone") {
  const AdminDoors doors;
  CHECK(StartsWith(doors.AskMetrics("Host: 127.0.0.1:9480\r\n"), "HTTP/1.1 200 "));
  CHECK(StartsWith(doors.AskMetrics("Host: localhost\r\nSec-Fetch-Site: none\r\n"), "HTTP/1.1 200 "));
  CHECK(StartsWith(doors.AskMetrics("Host: metrics.internal\r\n"), "HTTP/1.1 200 "));
  for (const char* headers : {"Host: rebound.example\r\n", "Host: rebound.example:9480\r\n"}) {
    const std::string answer = doors.AskMetrics(headers);
    CHECK(StartsWith(answer, "HTTP/1.1 421 "));
    CHECK(answer.find("outboxd_") == std::string::npos);
  }
  for (const char* headers :
       {"Host: localhost\r\nOrigin: http://evil.example\r\n", "Host: localhost\r\nOrigin: null\r\n",
        "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n"})
    CHECK(StartsWith(doors.AskMetrics(headers), "HTTP/1.1 403 "));
}

TEST_CASE(
    "admin servers: three hundred connections that say nothing keep nobody from the metrics or the admin "
    "socket") {
  const AdminDoors doors;
  std::vector<std::unique_ptr<Client>> crowd;
  for (int i = 0; i < 300; ++i) {
    crowd.push_back(std::make_unique<Client>(doors.port()));
    crowd.push_back(std::make_unique<Client>(doors.AdminSocket()));
    crowd.back()->Say("GET /v1/status HTTP/1.1\r\n");
  }
  CHECK(StartsWith(doors.AskMetrics("Host: localhost\r\n"), "HTTP/1.1 200 "));
  Client operators(doors.AdminSocket());
  REQUIRE(operators.Say("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  CHECK(StartsWith(operators.Listen(), "HTTP/1.1 200 "));
}

TEST_CASE(
    "admin servers: a metrics' port that is taken is told and tried again, and the admin socket is there") {
  const testing::Listening other = testing::ListenOnLoopback();
  const AdminDoors doors(other.port);
  Client operators(doors.AdminSocket());
  REQUIRE(operators.Say("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  CHECK(StartsWith(operators.Listen(), "HTTP/1.1 200 "));
  REQUIRE(doors.states.All().size() == 1);
  CHECK_FALSE(doors.states.All()[0].problem.empty());
  close(other.descriptor);
  doors.servers->Tick(std::chrono::steady_clock::now() + std::chrono::seconds(1));
  CHECK(doors.states.All()[0].problem.empty());
  CHECK(StartsWith(doors.AskMetrics("Host: localhost\r\n"), "HTTP/1.1 200 "));
}

}  // namespace
}  // namespace outboxd
