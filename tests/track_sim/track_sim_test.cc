// The simulated Track API as its own process, over real sockets.

#include <doctest/doctest.h>

#include <chrono>

#include "tests/support/line_client.h"
#include "tests/support/sim_under_test.h"

namespace outboxd {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

const HttpClient::Headers kHeaders = {{"Authorization", "Basic c2l0ZTprZXk="},
                                      {"Content-Type", "application/json"}};

std::string Raw(const std::string& method, const std::string& target, const std::string& body) {
  return method + " " + target +
         " HTTP/1.1\r\nHost: a\r\nAuthorization: Basic c2l0ZTprZXk=\r\nContent-Type: "
         "application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string Track(const std::string& customer, int n) {
  return Raw("POST", "/api/v1/customers/" + customer + "/events",
             R"({"name":"purchase","data":{"n":)" + std::to_string(n) + "}}");
}

std::size_t CountOf(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

milliseconds Since(steady_clock::time_point start) {
  return std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
}

// Sends and waits for the end of the connection.
std::string SendAndDrain(SimUnderTest& sim, const std::string& bytes) {
  LineClient client = LineClient::OverTcp(sim.Port());
  REQUIRE(client.Send(bytes));
  return client.ReadToEnd();
}

TEST_CASE("track_sim process: effects are recorded per customer, in order, with number, id and request") {
  SimUnderTest sim;
  HttpClient client(sim.Port());
  CHECK(client.Send("PUT", "/api/v1/customers/a%2Fb", R"({"n":1})", kHeaders).status == 200);
  const std::string event = R"({"name":"purchase","id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","data":{"n":2}})";
  const HttpAnswer answer = client.Send("POST", "/api/v1/customers/a%2Fb/events", event, kHeaders);
  CHECK(answer.status == 200);
  CHECK(answer.headers.at("content-type") == "application/json; charset=utf-8");

  const std::vector<SimEffect> effects = sim.Effects("a/b");
  REQUIRE(effects.size() == 2);
  CHECK(effects[0].type == "identify");
  CHECK(effects[0].n == 1);
  CHECK(effects[1].type == "track");
  CHECK(effects[1].name == "purchase");
  CHECK(effects[1].id == "01JDB3T0C5W7X8Y9Z0ABCDEFGH");
  CHECK(effects[1].n == 2);
  CHECK(sim.AllEffects().size() == 2);
  CHECK(sim.Effects("b").empty());

  const std::vector<SimRequestSeen> requests = sim.Requests(1);
  REQUIRE(requests.size() == 1);
  CHECK(requests[0].target == "/api/v1/customers/a%2Fb/events");
  CHECK(requests[0].body == event);
  CHECK(requests[0].auth_ok);
  CHECK_FALSE(requests[0].headers.contains("Authorization"));

  SimReport report = sim.Report();
  CHECK(report.requests == 2);
  CHECK(report.connections == 1);
  CHECK(report.Status("200") == 2);
  CHECK(report.invalid.empty());
  sim.Reset();
  report = sim.Report();
  CHECK(report.requests == 0);
  CHECK(report.effects == 0);
  CHECK(sim.AllEffects().empty());
}

TEST_CASE(
    "track_sim process: an answer lost after the effect, then repeated with the same ULID, is one effect") {
  SimUnderTest sim;
  sim.Script(R"([{"match":{"event":"purchase","count":1},"action":{"reset_after_effect":true}}])");
  HttpClient client(sim.Port());
  const std::string event = R"({"name":"purchase","id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","data":{"n":2}})";
  CHECK(client.Send("POST", "/api/v1/customers/42/events", event, kHeaders).status == 0);
  CHECK(sim.Report().effects == 1);
  CHECK(client.Send("POST", "/api/v1/customers/42/events", event, kHeaders).status == 200);
  const SimReport report = sim.Report();
  CHECK(report.effects == 1);
  CHECK(report.repeated_ulids == 1);
  CHECK(report.doubled == 0);
  CHECK(report.order_violations == 0);
  CHECK(report.Status("none") == 1);
}

TEST_CASE("track_sim process: a reset leaves no effect and is a reset on the wire") {
  SimUnderTest sim;
  sim.Always(R"({"reset":true})");
  LineClient client = LineClient::OverTcp(sim.Port());
  REQUIRE(client.Send(Track("42", 1)));
  CHECK(client.ReadToEnd().empty());
  CHECK(client.WasReset());
  CHECK(sim.Report().effects == 0);
}

TEST_CASE("track_sim process: half an answer breaks off inside its body, after the effect") {
  SimUnderTest sim;
  sim.Always(R"({"half_answer":true})");
  const std::string bytes = SendAndDrain(sim, Track("42", 1));
  CHECK(bytes.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(bytes.ends_with("\r\n\r\n{}"));
  CHECK(bytes.find("content-length: 3\r\n") != std::string::npos);
  CHECK(sim.Report().effects == 1);
}

TEST_CASE("track_sim process: a scripted status carries its headers and body, and has no effect") {
  SimUnderTest sim;
  sim.Script(R"([{"match":{"customer":"42","method":"PUT","path_prefix":"/api/v1","count":1},
                  "action":{"status":503,"retry_after":"2","location":"https://elsewhere/","body":"later"}}])");
  HttpClient client(sim.Port());
  CHECK(client.Send("PUT", "/api/v1/customers/7", "{}", kHeaders).status == 200);
  const HttpAnswer answer = client.Send("PUT", "/api/v1/customers/42", "{}", kHeaders);
  CHECK(answer.status == 503);
  CHECK(answer.headers.at("retry-after") == "2");
  CHECK(answer.headers.at("location") == "https://elsewhere/");
  CHECK(answer.body == "later");
  CHECK(client.Send("PUT", "/api/v1/customers/42", "{}", kHeaders).status == 200);
  const SimReport report = sim.Report();
  CHECK(report.effects == 2);
  CHECK(report.Status("503") == 1);
}

TEST_CASE("track_sim process: delayed answers of many connections wait at the same time") {
  constexpr int kClients = 300;
  constexpr milliseconds kDelay(200);
  SimUnderTest sim;
  sim.Always(R"({"delay_ms":200})");
  std::vector<LineClient> clients;
  const auto start = steady_clock::now();
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(LineClient::OverTcp(sim.Port()));
    REQUIRE(clients.back().Send(Track(std::to_string(i), 1)));
  }
  for (LineClient& client : clients) CHECK(client.ReadLine() == "HTTP/1.1 200 OK\r");
  CHECK(Since(start) >= kDelay);
  const SimReport report = sim.Report();
  CHECK(report.max_concurrent > 1);
  CHECK(report.overlaps == 0);
}

TEST_CASE("track_sim process: pipelined requests are answered in their order, whatever their delays") {
  SimUnderTest sim;
  sim.Script(
      R"([{"match":{"customer":"1"},"action":{"delay_ms":50,"status":201}},{"match":{"customer":"2"},"action":{"status":202}}])");
  std::string requests;
  for (int i = 0; i < 500; ++i) requests += Track("1", 2 * i) + Track("2", 2 * i) + Track("3", 2 * i);
  LineClient client = LineClient::OverTcp(sim.Port());
  REQUIRE(client.Send(requests));
  std::string statuses;
  while (statuses.size() < 1500) {
    const std::optional<std::string> line = client.ReadLine();
    REQUIRE(line);
    if (line->starts_with("HTTP/1.1 ")) statuses.push_back((*line)[11]);
  }
  std::string expected;
  for (int i = 0; i < 500; ++i) expected += "120";
  CHECK(statuses == expected);
}

TEST_CASE(
    "track_sim process: two requests of one customer at the same time overlap, of two customers they do "
    "not") {
  SimUnderTest sim;
  sim.Script(R"([{"match":{"count":3},"action":{"delay_ms":100}}])");
  LineClient first = LineClient::OverTcp(sim.Port());
  LineClient second = LineClient::OverTcp(sim.Port());
  LineClient third = LineClient::OverTcp(sim.Port());
  REQUIRE(first.Send(Track("42", 1)));
  sim.AwaitReport([](const SimReport& report) { return report.requests == 1; });
  REQUIRE(second.Send(Track("7", 1)));
  sim.AwaitReport([](const SimReport& report) { return report.requests == 2; });
  CHECK(sim.Report().overlaps == 0);
  REQUIRE(third.Send(Track("42", 2)));
  sim.AwaitReport([](const SimReport& report) { return report.requests == 3; });
  CHECK(sim.Report().overlaps == 1);
  for (LineClient* client : {&first, &second, &third}) CHECK(client->ReadLine() == "HTTP/1.1 200 OK\r");
  // One after the other is not an overlap.
  REQUIRE(first.Send(Track("42", 3)));
  CHECK(sim.AwaitReport([](const SimReport& report) { return report.requests == 4; }).overlaps == 1);
}

TEST_CASE(
    "track_sim process: a sender that gave up on an answer and asks again does not overlap with itself") {
  SimUnderTest sim;
  sim.Script(R"([{"match":{"count":20},"action":{"never_answer":true}}])");
  for (int i = 0; i < 20; ++i) {
    LineClient client = LineClient::OverTcp(sim.Port());
    REQUIRE(client.Send(Track("42", i)));
    sim.AwaitReport(
        [i](const SimReport& report) { return report.requests == static_cast<std::uint64_t>(i) + 1; });
  }
  LineClient client = LineClient::OverTcp(sim.Port());
  REQUIRE(client.Send(Track("42", 100)));
  CHECK(client.ReadLine() == "HTTP/1.1 200 OK\r");
  const SimReport report = sim.Report();
  CHECK(report.overlaps == 0);
  CHECK(report.concurrent == 0);
}

TEST_CASE(
    "track_sim process: a sender that gave up is seen as gone even when its next request is noticed before "
    "its end") {
  SimUnderTest sim;
  sim.Script(R"([{"match":{"count":1},"action":{"never_answer":true}}])");
  LineClient first = LineClient::OverTcp(sim.Port());
  LineClient second = LineClient::OverTcp(sim.Port());
  REQUIRE(second.Send(Track("7", 1).substr(0, 10)));
  REQUIRE(first.Send(Track("42", 1)));
  sim.AwaitReport([](const SimReport& report) { return report.requests == 1; });
  REQUIRE(second.Send(Track("7", 1).substr(10)));
  CHECK(second.ReadLine() == "HTTP/1.1 200 OK\r");
  // Frozen, so that the kernel lists the second connection before the first, and has all bytes of it when
  // asked.
  sim.Freeze();
  REQUIRE(second.Send(Track("42", 1).substr(0, 10)));
  first.Close();
  REQUIRE(second.Send(Track("42", 1).substr(10)));
  sim.Thaw();
  CHECK(sim.AwaitReport([](const SimReport& report) { return report.requests == 3; }).overlaps == 0);
}

TEST_CASE("track_sim process: a merge overlaps with a request of either of its customers") {
  SimUnderTest sim;
  sim.Script(R"([{"match":{"count":1},"action":{"never_answer":true}}])");
  LineClient merge = LineClient::OverTcp(sim.Port());
  REQUIRE(
      merge.Send(Raw("POST", "/api/v1/merge_customers", R"({"primary":{"id":"1"},"secondary":{"id":"2"}})")));
  sim.AwaitReport([](const SimReport& report) { return report.requests == 1; });
  HttpClient client(sim.Port());
  CHECK(client.Send("PUT", "/api/v1/customers/2", "{}", kHeaders).status == 200);
  CHECK(client.Send("PUT", "/api/v1/customers/1", "{}", kHeaders).status == 200);
  CHECK(client.Send("PUT", "/api/v1/customers/3", "{}", kHeaders).status == 200);
  CHECK(sim.Report().overlaps == 2);
}

TEST_CASE("track_sim process: probability follows the seed") {
  const auto failures = [](std::uint64_t seed) {
    SimOptions options;
    options.seed = seed;
    SimUnderTest sim(options);
    sim.Script(R"([{"match":{"probability":0.3},"action":{"status":500}}])");
    HttpClient client(sim.Port());
    std::string statuses;
    for (int i = 0; i < 200; ++i)
      statuses.push_back(client.Send("PUT", "/api/v1/customers/42", "{}", kHeaders).status == 500 ? 'x'
                                                                                                  : '.');
    return statuses;
  };
  const std::string first = failures(7);
  CHECK(first == failures(7));
  CHECK(first != failures(8));
  CHECK(CountOf(first, "x") > 30);
  CHECK(CountOf(first, "x") < 90);
}

TEST_CASE("track_sim process: a body over the limit is refused with 413 that the sender can read") {
  SimUnderTest sim;
  const std::string bytes =
      SendAndDrain(sim, Raw("PUT", "/api/v1/customers/42", std::string(1024 * 1024 + 1, ' ')));
  CHECK(bytes.starts_with("HTTP/1.1 413 "));
  CHECK(bytes.find("retry-after") == std::string::npos);
}

TEST_CASE("track_sim process: stopped, nobody listens; started again, it is back on its port") {
  SimUnderTest sim;
  const std::uint16_t port = sim.Port();
  sim.Stop();
  HttpClient client(port);
  CHECK(client.Get("/api/v1/accounts/region").status == 0);
  sim.Start();
  CHECK(sim.Port() == port);
  CHECK(client.Send("GET", "/api/v1/accounts/region", {}, kHeaders).status == 200);
}

}  // namespace
}  // namespace outboxd
