// The Track-compatible endpoint of the running daemon: its answers, its limits, and what it does when it
// cannot take anything. That the libraries themselves are content is the business of tests/sdk.
#include <doctest/doctest.h>

#include <array>
#include <thread>

#include "core/encoding.h"
#include "tests/daemon/base/http_peer.h"
#include "tests/support/many_descriptors.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

class Endpoint {
 public:
  explicit Endpoint(ConfigValues overrides = {}) {
    std::string listeners;
    for (const char* name : {"t.sock", "other.sock"})
      listeners += "{unix: " + Quoted((daemon_.Dir() / name).string()) + ", mode: \"0600\"}, ";
    overrides.emplace("listen.track", "[" + listeners + "]");
    for (const auto& [key, value] : overrides) daemon_.SetConfig(key, value);
    daemon_.Start();
    client_ = std::make_unique<HttpClient>(daemon_.Dir() / "t.sock");
  }

  HttpAnswer Send(const std::string& method, std::string_view target, std::string_view body = {},
                  const std::string& credentials = "site:key") {
    return client_->Send(
        method, target, body,
        {{"Authorization", "Basic " + Base64Encode(credentials)}, {"Content-Type", "application/json"}});
  }

  SimUnderTest sim_;
  DaemonUnderTest daemon_{sim_, {}, Launch::kLater};
  std::unique_ptr<HttpClient> client_;
};

std::string MetaError(const HttpAnswer& answer) {
  return answer.Json()["meta"]["error"].String();
}

TEST_CASE(
    "endpoint: a request is answered as the API answers, is a job of its type, and arrives as it was sent") {
  Endpoint endpoint;
  const std::string body = R"({"name" : "paid","data":{"n":1,"price":1e400}})";
  const HttpAnswer answer = endpoint.Send("POST", "/api/v1/customers/a%2Fb+c/events", body);
  CHECK(answer.status == 200);
  CHECK(answer.body == "{}");
  CHECK(answer.headers.at("content-type") == "application/json");
  const std::string job = answer.headers.at("x-outbox-job");
  endpoint.daemon_.AwaitDrained();
  const SimRequestSeen seen = OnlyRequest(endpoint.sim_);
  CHECK(seen.target == "/api/v1/customers/a%2Fb+c/events");
  CHECK(seen.body.starts_with(R"({"id":")" + job + R"(","timestamp":)"));
  CHECK(seen.body.ends_with(body.substr(1)));
  const std::vector<JsonValue> attempts = AttemptsOf(endpoint.daemon_, job);
  REQUIRE(attempts.size() == 1);
  CheckFlawless(endpoint.sim_.Report());
}

TEST_CASE("endpoint: what is wrong is told in the API's own shapes") {
  Endpoint endpoint;
  CHECK(endpoint.Send("GET", "/").body.starts_with("outboxd: "));
  const HttpAnswer stranger = endpoint.Send("PUT", "/api/v1/customers/1", "{}", "site:other");
  CHECK(stranger.status == 401);
  CHECK(MetaError(stranger) == "Unauthorized");
  CHECK(endpoint.client_->Send("PUT", "/api/v1/customers/1", "{}").status == 401);
  CHECK(endpoint.Send("GET", "/api/v1/nothing").status == 404);
  CHECK_FALSE(MetaError(endpoint.Send("GET", "/api/v1/nothing")).empty());
  const HttpAnswer method = endpoint.Send("PATCH", "/api/v1/customers/1");
  CHECK(method.status == 405);
  CHECK(method.headers.at("allow") == "DELETE, PUT");
  CHECK(MetaError(endpoint.Send("POST", "/api/v1/customers/1/events", "{}")) == "name is required");
  CHECK(endpoint.Send("PUT", "/api/v1/customers/1", R"({"a":1}},"max_age":{"b":2})").status == 400);
  const HttpAnswer entity = endpoint.Send("POST", "/api/v2/entity", R"({"type":"person","action":"delete"})");
  CHECK(entity.status == 400);
  CHECK(entity.Json()["errors"].Items().front()["field"].String() == "identifiers");
  const HttpAnswer large =
      endpoint.Send("PUT", "/api/v1/customers/1", R"({"a":")" + std::string(600'000, 'x') + R"("})");
  CHECK(large.status == 413);
  CHECK_FALSE(large.headers.contains("retry-after"));
  CHECK(endpoint.Send("GET", "/api/v1/accounts/region").Json()["region"].String() == "us");
  CHECK(endpoint.daemon_.Ctl({"probe"}).status.code == 0);
  CHECK(endpoint.Send("GET", "/api/v1/accounts/region").Json()["environment_id"].Int() == 3);
  const std::string metric = R"({"delivery_id":"d","metric":"opened"})";
  CHECK(endpoint.client_->Send("POST", "/api/v1/metrics", metric).status == 401);
  CHECK(endpoint.Send("POST", "/api/v1/metrics", metric).status == 200);
  CHECK(endpoint.daemon_.AwaitDrained()["totals"]["accepted"].Int() == 1);
}

TEST_CASE(
    "endpoint: credentials whose files changed are taken without a reload, and the old ones no longer") {
  Endpoint endpoint;
  DaemonUnderTest& daemon = endpoint.daemon_;
  daemon.Terminate();
  WriteFile(daemon.Dir() / "api_key", "key");
  daemon.SetConfig("connections.default.api_key", "");
  daemon.SetConfig("connections.default.api_key_file", Quoted((daemon.Dir() / "api_key").string()));
  daemon.Start();
  const auto post = [&](const std::string& credentials) {
    return endpoint.Send("POST", "/api/v1/customers/1/events", R"({"name":"e"})", credentials).status;
  };
  CHECK(post("site:key") == 200);
  CHECK(post("site:new-key") == 401);
  endpoint.sim_.SetCredentials("site", "new-key");
  WriteFile(daemon.Dir() / "api_key", "new-key");
  CHECK(Await([&] { return post("site:new-key") == 200; }, std::chrono::seconds(5)));
  CHECK(post("site:key") == 401);
  CHECK(daemon.AwaitDrained()["totals"]["accepted"].Int() == 2);
}

TEST_CASE("endpoint: of a batch the good items are kept, the bad ones named, and all are delivered") {
  Endpoint endpoint(ConfigValues{{"connections.default.batch", "{mode: on}"}});
  const std::string event =
      R"({"type":"person","action":"event","identifiers":{"id":"7"},"name":"e","attributes":{"n":)";
  const HttpAnswer mixed = endpoint.Send(
      "POST", "/api/v2/batch", R"({"batch":[)" + event + "1}}," + R"({"type":"person"},)" + event + "2}}]}");
  CHECK(mixed.status == 207);
  const std::vector<JsonValue> errors = mixed.Json()["errors"].Items();
  REQUIRE(errors.size() == 1);
  CHECK(errors[0]["batch_index"].Int() == 1);
  CHECK(errors[0]["reason"].String() == "required");
  CHECK(errors[0]["field"].String() == "action");
  CHECK(mixed.headers.at("x-outbox-job").size() == 2 * 26 + 1);
  CHECK(endpoint.Send("POST", "/api/v2/batch", R"({"batch":[]})").status == 400);
  CHECK(endpoint.Send("POST", "/api/v2/batch", R"({"batch":[1,{}]})").status == 207);
  endpoint.daemon_.AwaitDrained();
  CheckNumbered(endpoint.sim_, "7", 2);
  CheckFlawless(endpoint.sim_.Report());
}

TEST_CASE("endpoint: without room it asks to come again, and a batch is taken whole or not at all") {
  Endpoint endpoint(ConfigValues{{"outbox.max_jobs", "3"}});
  REQUIRE(endpoint.daemon_.Admin().Post("/v1/connections/default/pause").status == 200);
  REQUIRE(endpoint.Send("DELETE", "/api/v1/customers/1").status == 200);
  const std::string item = R"({"type":"person","action":"delete","identifiers":{"id":"1"}})";
  const HttpAnswer batch =
      endpoint.Send("POST", "/api/v2/batch", R"({"batch":[)" + item + "," + item + "," + item + "]}");
  CHECK(batch.status == 503);
  CHECK(batch.headers.at("retry-after") == "1");
  CHECK(endpoint.daemon_.Status()["outbox"]["jobs"].Int() == 1);
  CHECK(endpoint.Send("POST", "/api/v2/batch", R"({"batch":[)" + item + "," + item + "]}").status == 200);
  CHECK(endpoint.Send("DELETE", "/api/v1/customers/1").status == 503);
  REQUIRE(endpoint.daemon_.Admin().Post("/v1/connections/default/resume").status == 200);
  endpoint.daemon_.AwaitDrained();
  CHECK(endpoint.Send("DELETE", "/api/v1/customers/1").status == 200);
}

TEST_CASE(
    "endpoint: pipelined requests are answered in their order, a slow client stops nobody, a cut one leaves "
    "nothing behind") {
  Endpoint endpoint;
  const std::string head =
      " HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + Base64Encode("site:key") + "\r\n";
  LineClient slow(endpoint.daemon_.Dir() / "t.sock");
  REQUIRE(slow.Send("PUT /api/v1/customers/slow" + head + "Content-Length: 10\r\n\r\n{"));
  {
    LineClient cut(endpoint.daemon_.Dir() / "t.sock");
    REQUIRE(cut.Send("PUT /api/v1/customers/cut" + head + "Content-Length: 10\r\n\r\n{\"a\""));
  }
  LineClient pipelined(endpoint.daemon_.Dir() / "t.sock");
  std::string requests;
  for (int i = 0; i < 3; ++i) requests += "DELETE /api/v1/customers/" + std::to_string(i) + head + "\r\n";
  requests += "GET /api/v1/nothing" + head + "\r\n";
  REQUIRE(pipelined.Send(requests));
  std::vector<std::string> statuses;
  while (statuses.size() < 4) {
    const std::optional<std::string> line = pipelined.ReadLine();
    REQUIRE(line.has_value());
    if (line->find("HTTP/1.1 ") != std::string::npos)
      statuses.push_back(line->substr(line->find("HTTP/1.1 ") + 9, 3));
  }
  CHECK(statuses == std::vector<std::string>{"200", "200", "200", "404"});
  REQUIRE(slow.Send(R"("a":"b" })"));
  CHECK(slow.ReadLine().value_or("").starts_with("HTTP/1.1 200"));
  CHECK(endpoint.daemon_.AwaitDrained()["totals"]["accepted"].Int() == 4);
}

TEST_CASE("endpoint: slow uploads of strangers take nobody's room") {
  constexpr std::size_t kBytes = 520'000;
  Endpoint endpoint;
  const std::string rest = " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(kBytes) + "\r\n";
  struct Kind {
    std::string head, answer;
  };
  const std::array kinds = {
      Kind{"POST /api/v1/customers/1/events" + rest + "Authorization: Basic " + Base64Encode("site:other"),
           "HTTP/1.1 401 "},
      Kind{"POST /api/v1/nothing" + rest + "Authorization: Basic " + Base64Encode("site:key"),
           "HTTP/1.1 404 "},
      Kind{"POST /api/v1/metrics" + rest + "X-Nothing: else", "HTTP/1.1 401 "},
  };
  std::vector<LineClient> strangers;
  for (std::size_t i = 0; i < 9; ++i) {
    strangers.emplace_back(endpoint.daemon_.Dir() / "t.sock");
    REQUIRE(strangers.back().Send(kinds[i % kinds.size()].head + "\r\n\r\n" + std::string(kBytes - 1, ' ')));
  }
  const std::string large = R"({"name":"e","data":{"a":")" + std::string(90'000, 'x') + R"("}})";
  CHECK(endpoint.Send("POST", "/api/v1/customers/1/events", large).status == 200);
  CHECK(endpoint.Send("POST", "/api/v1/customers/1/events", large, "site:other").status == 401);
  for (std::size_t i = 0; i < strangers.size(); ++i) {
    REQUIRE(strangers[i].Send(" "));
    CHECK(strangers[i].ReadLine().value_or("").starts_with(kinds[i % kinds.size()].answer));
  }
}

TEST_CASE(
    "endpoint: many keep-alive clients of two listeners at once, and a stop in the middle of them, lose "
    "nothing that was answered") {
  constexpr int kClients = kSanitized ? 8 : 16;
  constexpr std::int64_t kEach = kSanitized ? 20 : 100;
  Endpoint endpoint;
  std::vector<std::int64_t> acknowledged(kClients, 0);
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&endpoint, &acknowledged, i] {
      HttpClient client(endpoint.daemon_.Dir() / (i % 2 == 0 ? "t.sock" : "other.sock"));
      const HttpClient::Headers headers = {{"Authorization", "Basic " + Base64Encode("site:key")}};
      for (std::int64_t n = 1; n <= kEach; ++n) {
        const std::string body = R"({"name":"e","data":{"n":)" + std::to_string(n) + "}}";
        if (client.Send("POST", "/api/v1/customers/c" + std::to_string(i) + "/events", body, headers)
                .status != 200)
          return;
        acknowledged[static_cast<std::size_t>(i)] = n;
      }
    });
  }
  REQUIRE(
      Await([&] { return endpoint.daemon_.Status()["totals"]["accepted"].Int() >= kClients * kEach / 4; }));
  CHECK(endpoint.daemon_.Terminate().code == 0);
  for (std::thread& client : clients) client.join();
  endpoint.daemon_.Start();
  endpoint.daemon_.AwaitDrained();
  for (int i = 0; i < kClients; ++i) {
    const auto arrived = static_cast<std::int64_t>(endpoint.sim_.Effects("c" + std::to_string(i)).size());
    CHECK(arrived >= acknowledged[static_cast<std::size_t>(i)]);
    CHECK(arrived <= acknowledged[static_cast<std::size_t>(i)] + 1);  // whose answer was cut off
  }
  CheckFlawless(endpoint.sim_.Report());
}

TEST_CASE("endpoint: ports that somebody else has keep only their listeners away, until they are free") {
  const testing::Listening for_track = testing::ListenOnLoopback();
  const testing::Listening for_metrics = testing::ListenOnLoopback();
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  daemon.SetConfig("listen.track", "[{tcp: \"127.0.0.1:" + std::to_string(for_track.port) + "\"}]");
  daemon.SetConfig("metrics.tcp", "\"127.0.0.1:" + std::to_string(for_metrics.port) + "\"");
  daemon.Start();
  daemon.Accept(Event("1", 1));
  const std::vector<JsonValue> listeners = daemon.AwaitDrained()["listeners"].Items();
  REQUIRE(listeners.size() == 2);
  for (const JsonValue& listener : listeners) {
    CHECK_FALSE(listener["listening"].Bool());
    CHECK(listener["problem"].String().find("Address already in use") != std::string::npos);
  }
  CHECK(daemon.Ctl({"status"}).out.find("not listening: listen.track: 127.0.0.1:") != std::string::npos);
  CHECK(daemon.Admin().Get("/metrics").body.find("outboxd_listening{") != std::string::npos);
  close(for_track.descriptor);
  close(for_metrics.descriptor);
  daemon.AwaitStatus([](const JsonValue& status) {
    const std::vector<JsonValue> now = status["listeners"].Items();
    return now[0]["listening"].Bool() && now[1]["listening"].Bool();
  });
  CHECK(HttpClient(for_track.port).Get("/").status == 200);
  CHECK(HttpClient(for_metrics.port).Get("/metrics").status == 200);
}

TEST_CASE("endpoint: a thousand heads that drip in over TCP keep no library out") {
  constexpr int kDripping = kSanitized ? 200 : 1030;
  constexpr int kOthers = 100;
  if (!testing::MayOpenDescriptors(kDripping + kOthers)) {
    MESSAGE("skipped: this system does not let a process have so many descriptors");
    return;
  }
  const testing::Listening unused = testing::ListenOnLoopback();
  close(unused.descriptor);
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  daemon.SetConfig("listen.track", "[{tcp: \"127.0.0.1:" + std::to_string(unused.port) + "\"}]");
  if (kSanitized) daemon.SetConfig("limits.clients", "200");
  daemon.Start();
  std::vector<LineClient> dripping;
  for (int i = 0; i < kDripping; ++i) {
    dripping.push_back(LineClient::OverTcp(unused.port));
    dripping.back().Send("GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
  }
  const HttpClient::Headers ours = {{"Authorization", "Basic " + Base64Encode("site:key")}};
  for (int i = 0; i < 5; ++i) {
    HttpClient library(unused.port);
    CHECK(library.Send("DELETE", "/api/v1/customers/1", {}, ours).status == 200);
  }
  CHECK(dripping.back().ReadToEnd(std::chrono::seconds(15)).empty());
  CHECK(dripping.back().Ended());
  daemon.AwaitDrained();
}

TEST_CASE("endpoint: listeners that cannot be are told with what to do") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"listen.track", "[{tcp: 127.0.0.1:1, tls: true}]"}}, Launch::kLater);
  const Finished finished = daemon.RunToEnd();
  CHECK(finished.status.code == 78);
  CHECK(finished.err.find("run outboxctl tls-init") != std::string::npos);
}

}  // namespace
}  // namespace outboxd
