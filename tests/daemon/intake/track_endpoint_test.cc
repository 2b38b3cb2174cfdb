// Who is answered by the Track-compatible endpoint, through its real listeners. What it does with a request
// that it takes is in tests/system/endpoint_test.cc.
#include "daemon/intake/track_endpoint.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/encoding.h"
#include "core/user_shares.h"
#include "daemon/base/wall_clock.h"
#include "daemon/intake/track_listeners.h"
#include "tests/daemon/base/http_peer.h"
#include "tests/support/await.h"
#include "tests/support/stderr_capture.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

Endpoints OneEndpoint() {
  ConnectionConfig connection;
  connection.name = "default";
  return {{"default", std::make_shared<const Endpoint>(Endpoint{connection, {"site", "key"}})}};
}

std::uint16_t UnusedPort() {
  const testing::Listening listening = testing::ListenOnLoopback();
  close(listening.descriptor);
  return listening.port;
}

// An endpoint on a TCP port whose jobs are all stored at once.
class Door {
 public:
  explicit Door(TrackListenerConfig config = {}, bool is_unix = false,
                const LimitsConfig& limits = LimitsConfig())
      : port_(UnusedPort()) {
    if (is_unix) {
      config.socket.path = folder_ / "track.sock";
    } else {
      config.tcp = "127.0.0.1:" + std::to_string(port_);
    }
    auto opened = TrackListeners::Open({std::move(config)}, passed_, limits, folder_.Path(), endpoint_,
                                       states_, WallClockNow());
    REQUIRE(opened);
    listeners_ = std::make_unique<TrackListeners>(std::move(*opened));
  }

  std::string Ask(std::string_view request_line, const std::string& headers, std::string_view body = {}) {
    testing::Client client = Connect();
    REQUIRE(client.IsConnected());
    client.Say(std::string(request_line) + " HTTP/1.1\r\nConnection: close\r\nContent-Length: " +
               std::to_string(body.size()) + "\r\n" + headers + "\r\n" + std::string(body));
    return client.Listen();
  }
  testing::Client Connect() const {
    return listeners_ && std::filesystem::exists(folder_ / "track.sock")
               ? testing::Client(folder_ / "track.sock")
               : testing::Client(port_);
  }
  std::uint16_t port() const { return port_; }
  std::string MetricsText() const { return metrics_.Render(DaemonStatus()); }
  void Tick(LogLimit::Time now) { endpoint_.Tick(now); }
  void Configure(const Endpoints& endpoints) { endpoint_.Configure(endpoints, LimitsConfig().line_bytes); }
  // The lines of the jobs that were handed over, and their users.
  std::vector<std::string> lines;
  std::vector<User> users;
  std::optional<Error> refuses;  // to store what it holds
  Environments environments;
  // The next job is stored, and its answer waits for Release().
  std::atomic<bool> holds{false}, is_held{false};
  void Release() {
    holds = false;
    is_held = false;
    Confirm(std::move(held_));
  }

 private:
  void Store(std::unique_ptr<Submission> submission) {
    for (const auto& job : submission->jobs) {
      lines.push_back(job->job.line);
      users.push_back(job->uid);
    }
    if (holds && refuses) submission->refused = std::exchange(refuses, std::nullopt);
    submission->ids.resize(submission->jobs.size());
    if (holds) {
      held_ = std::move(submission);
      is_held = true;
      return;
    }
    Confirm(std::move(submission));
  }
  static void Confirm(std::unique_ptr<Submission> submission) {
    SubmissionOrigin& origin = submission->origin;
    std::vector<std::unique_ptr<Submission>> answered;
    answered.push_back(std::move(submission));
    origin.OnAnswered(std::move(answered));
  }

  std::unique_ptr<Submission> held_;
  TempDir folder_;
  std::uint16_t port_;
  Metrics metrics_;
  PassedSockets passed_;
  ListenerStates states_;
  TrackEndpoint endpoint_{OneEndpoint(), environments, LimitsConfig().line_bytes, metrics_,
                          [this](std::unique_ptr<Submission> submission) { Store(std::move(submission)); }};
  std::unique_ptr<TrackListeners> listeners_;
};

constexpr std::string_view kMetric = R"({"delivery_id":"d","metric":"opened"})";
const std::string kHost = "Host: 127.0.0.1:8480\r\n";
const std::string kOurs = "Authorization: Basic " + Base64Encode("site:key") + "\r\n";
const std::string kWrong = "Authorization: Basic " + Base64Encode("site:guess") + "\r\n";

unsigned StatusOf(const std::string& answer) {
  return answer.starts_with("HTTP/1.1 ") ? static_cast<unsigned>(std::stoi(answer.substr(9, 3))) : 0;
}

TEST_CASE("track endpoint: no web page is answered by TCP, whatever it sends and whoever is logged in") {
  Door door;
  for (const std::string& page :
       {std::string("Origin: http://evil.example\r\n"), std::string("Origin: null\r\n"),
        std::string("Sec-Fetch-Site: cross-site\r\n"), std::string("Sec-Fetch-Site: same-site\r\n"),
        std::string("Origin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\n")}) {
    CAPTURE(page);
    CHECK(StatusOf(door.Ask("POST /api/v1/metrics", kHost + page + "Content-Type: text/plain\r\n",
                            kMetric)) == 403);
    CHECK(StatusOf(door.Ask("POST /unsubscribe/x", kHost + page)) == 403);
    CHECK(StatusOf(door.Ask("POST /push/events", kHost + page + kOurs, kMetric)) == 403);
    CHECK(StatusOf(door.Ask("OPTIONS /api/v1/metrics", kHost + page)) == 403);
    CHECK(StatusOf(door.Ask("GET /", kHost + page)) == 403);
  }
  CHECK(door.lines.empty());
  CHECK(StatusOf(door.Ask("POST /api/v1/metrics", kHost + kOurs + "Origin: http://127.0.0.1:8480\r\n",
                          kMetric)) == 200);
  CHECK(door.lines.size() == 1);
}

TEST_CASE("track endpoint: a large upload from a web page is refused by its head") {
  Door door;
  const std::string body(100'000, ' ');
  CHECK(StatusOf(door.Ask("POST /api/v1/metrics", kHost + "Origin: null\r\n", body)) == 403);
  CHECK(StatusOf(door.Ask("POST /api/v1/metrics", "Host: evil.example\r\n", body)) == 421);
}

TEST_CASE("track endpoint: without valid credentials only this host's own names are answered") {
  TrackListenerConfig config;
  config.allowed_hosts = {"outbox.internal"};
  Door door(config);
  for (const std::string& who : {std::string(), kWrong}) {
    CHECK(StatusOf(door.Ask("GET /", "Host: evil.example\r\n" + who)) == 421);
    CHECK(StatusOf(door.Ask("GET /api/v1/nothing", "Host: evil.example:8480\r\n" + who)) == 421);
    CHECK(StatusOf(door.Ask("POST /api/v1/metrics", "Host: evil.example\r\n" + who, kMetric)) == 421);
    CHECK(StatusOf(door.Ask("GET /", "Host: outbox.internal:8480\r\n" + who)) == 200);
    CHECK(StatusOf(door.Ask("GET /", "Host: localhost\r\n" + who)) == 200);
    CHECK(StatusOf(door.Ask("GET /", "Host: [::1]:8480\r\n" + who)) == 200);
  }
  CHECK(StatusOf(door.Ask("POST /api/v1/metrics", "Host: track.customer.io\r\n" + kOurs, kMetric)) == 200);
  CHECK(door.lines.size() == 1);
}

TEST_CASE("track endpoint: what the API takes without credentials asks for them here") {
  const std::vector<std::pair<std::string, std::string>> open = {
      {"POST /api/v1/metrics", std::string(kMetric)},
      {"POST /api/v1/push/events", R"({"delivery_id":"d","event":"opened"})"},
      {"POST /push/events", R"({"delivery_id":"d","event":"opened"})"},
      {"POST /api/v1/cio_deliveries/events", R"({"type":"in_app","payload":{"delivery_id":"d"}})"},
      {"POST /unsubscribe/x", R"({"unsubscribe":true})"},
  };
  for (const bool is_unix : {false, true}) {
    CAPTURE(is_unix);
    Door door({}, is_unix);
    for (const auto& [request_line, body] : open) {
      CAPTURE(request_line);
      CHECK(StatusOf(door.Ask(request_line, kHost, body)) == 401);
      CHECK(StatusOf(door.Ask(request_line, kHost + kWrong, body)) == 401);
      CHECK(StatusOf(door.Ask(request_line, kHost + "Authorization: Bearer x\r\n", body)) == 401);
    }
    CHECK(door.lines.empty());
    for (const auto& [request_line, body] : open)
      CHECK(StatusOf(door.Ask(request_line, kHost + kOurs, body)) == 200);
    CHECK(door.lines.size() == open.size());
    for (const std::string& line : door.lines) CHECK(line.find("credentials") == std::string::npos);
  }
}

TEST_CASE(
    "track endpoint: open paths are taken where the config opens them, and sent without the connection's "
    "credentials") {
  TrackListenerConfig config;
  config.open_paths = true;
  Door door(config);
  CHECK(StatusOf(door.Ask("POST /api/v1/metrics", kHost, kMetric)) == 200);
  CHECK(StatusOf(door.Ask("POST /api/v1/metrics", kHost + kOurs, kMetric)) == 200);
  REQUIRE(door.lines.size() == 2);
  CHECK(door.lines[0].find(R"("credentials":false)") != std::string::npos);
  CHECK(door.lines[1].find("credentials") == std::string::npos);
  CHECK(StatusOf(door.Ask("POST /api/v1/metrics", kHost, std::string(20'000, ' '))) == 413);
  CHECK(StatusOf(door.Ask("POST /api/v1/metrics", kHost + kWrong, kMetric)) == 401);
  CHECK(StatusOf(door.Ask("POST /api/v1/events", kHost, R"({"name":"e"})")) == 401);
  CHECK(StatusOf(door.Ask("POST /api/v1/metrics", kHost + "Origin: null\r\n", kMetric)) == 403);
  CHECK(StatusOf(door.Ask("POST /api/v1/metrics", "Host: evil.example\r\n", kMetric)) == 421);
  CHECK(door.lines.size() == 2);
}

TEST_CASE("track endpoint: a body over the limit is refused in the shape of its version, and counted") {
  Door door;
  const std::string body(600'000, ' ');
  const std::string why = "the request is larger than this outbox takes (limits.line_bytes)";
  const std::string v1 = door.Ask("PUT /api/v1/customers/1", kHost + kOurs, body);
  CHECK(StatusOf(v1) == 413);
  CHECK(testing::BodyOf(v1) == R"({"meta":{"error":")" + why + R"("}})");
  for (const char* path : {"POST /api/v2/batch", "POST /api/v2/entity"}) {
    const std::string v2 = door.Ask(path, kHost + kOurs, body);
    CHECK(StatusOf(v2) == 413);
    CHECK(testing::BodyOf(v2) ==
          R"({"errors":[{"reason":"invalid","field":"","message":")" + why + R"("}]})");
  }
  const std::string batch = door.Ask("POST /api/v2/batch", kHost + kOurs, std::string(510'000, ' '));
  CHECK(StatusOf(batch) == 413);
  CHECK(batch.find("is larger than 500000 bytes") != std::string::npos);
  CHECK(StatusOf(door.Ask("PUT /api/v1/customers/1", kHost + kWrong, body)) == 401);
  CHECK(StatusOf(door.Ask("PUT /api/v1/nothing", kHost + kOurs, body)) == 404);
  CHECK(door.MetricsText().find(R"(outboxd_jobs_refused_total{code="too_large"} 4)") != std::string::npos);
}

TEST_CASE("track endpoint: fifty batches as large as the API takes them come in at once") {
  Door door;
  const std::string item = R"({"type":"person","action":"delete","identifiers":{"id":"1"}})";
  const std::string body = "{\"batch\":[" + item + std::string(499'900 - item.size(), ' ') + "]}";
  const std::string head = "POST /api/v2/batch HTTP/1.1\r\n" + kHost + kOurs +
                           "Connection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  std::vector<std::unique_ptr<testing::Client>> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(std::make_unique<testing::Client>(door.port()));
    REQUIRE(clients.back()->Say(head + body.substr(0, body.size() - 1)));
  }
  for (const auto& client : clients) {
    REQUIRE(client->Say("}"));
    CHECK(StatusOf(client->Listen()) == 200);
  }
  CHECK(door.lines.size() == 50);
}

TEST_CASE("track endpoint: a connection is kept for five minutes, and each answer says so") {
  const Door door;
  testing::Client client = door.Connect();
  const std::string ask = "GET /api/v1/accounts/region HTTP/1.1\r\n" + kHost + kOurs;
  REQUIRE(client.Say(ask + "\r\n" + ask + "Connection: close\r\n\r\n"));
  const std::string answers = client.Listen();
  const std::size_t last = answers.rfind("HTTP/1.1 200 ");
  CHECK(last > 0);
  CHECK(answers.find("\r\nKeep-Alive: timeout=300\r\n") < last);
  CHECK(answers.find("Keep-Alive", last) == std::string::npos);
}

TEST_CASE("track endpoint: requests that are no jobs are counted, and told once, then by their number") {
  Door door;
  const test::StderrCapture log;
  CHECK(StatusOf(door.Ask("POST /v1/send/email?to=somebody", kHost + kOurs, "{}")) == 404);
  for (int i = 0; i < 3; ++i) CHECK(StatusOf(door.Ask("PATCH /api/v1/customers/1", kHost + kOurs)) == 405);
  CHECK(StatusOf(door.Ask("POST /api/v2/batch", kHost + kOurs, std::string(600'000, ' '))) == 413);
  CHECK(log.Count(R"(requests refused times=1 last="404 POST /v1/send/email")") == 1);
  CHECK(log.Count("requests refused") == 1);
  door.Tick(std::chrono::steady_clock::now() + std::chrono::minutes(2));
  CHECK(log.Count(R"(requests refused times=4 last="413 POST /api/v2/batch")") == 1);
  CHECK(log.Count("somebody") == 0);
  CHECK(door.MetricsText().find(R"(outboxd_jobs_refused_total{code="invalid_job"} 4)") != std::string::npos);
  CHECK(door.MetricsText().find(R"(outboxd_jobs_refused_total{code="too_large"} 1)") != std::string::npos);
}

TEST_CASE("track endpoint: questions about the credentials are answered at once, and forms without a body") {
  Door door;
  const std::string nice = door.Ask("GET /auth", kHost + kOurs);
  CHECK(StatusOf(nice) == 200);
  CHECK(testing::BodyOf(nice) == R"({"meta":{"message":"nice credentials."}})");
  CHECK(StatusOf(door.Ask("GET /auth", kHost + kWrong)) == 401);
  const auto region = [&] { return testing::BodyOf(door.Ask("GET /api/v1/accounts/region", kHost + kOurs)); };
  CHECK(region() == R"({"url":"https://track.customer.io","region":"us"})");
  door.environments.Saw("default", 123);
  door.environments.Saw("other", 7);
  CHECK(region() == R"({"url":"https://track.customer.io","region":"us","environment_id":123})");
  CHECK(door.lines.empty());
  const std::string form =
      door.Ask("POST /api/v1/forms/f/submit", kHost + kOurs, R"({"data":{"email":"a@example.com"}})");
  CHECK(StatusOf(form) == 204);
  CHECK(testing::BodyOf(form).empty());
  CHECK(form.find("X-Outbox-Job: ") != std::string::npos);
  CHECK(form.find("Content-Type") == std::string::npos);
  CHECK(door.lines.size() == 1);
}

TEST_CASE("track endpoint: an encoded body is refused with what to do") {
  Door door;
  const std::string gzip = "Content-Encoding: gzip\r\n";
  const std::string v1 = door.Ask("PUT /api/v1/customers/1", kHost + kOurs + gzip, std::string(10, '\0'));
  CHECK(StatusOf(v1) == 415);
  CHECK(testing::BodyOf(v1) ==
        R"({"meta":{"error":"the request has a Content-Encoding; send its body as it is"}})");
  CHECK(StatusOf(door.Ask("PUT /api/v1/customers/1", kHost + kOurs + gzip, std::string(9'000, '\0'))) == 415);
  CHECK(testing::BodyOf(door.Ask("POST /api/v2/batch", kHost + kOurs + gzip, "x"))
            .starts_with(R"({"errors":[)"));
  CHECK(StatusOf(door.Ask("PUT /api/v1/customers/1", kHost + kOurs + "Content-Encoding: identity\r\n",
                          "{}")) == 200);
  CHECK(door.lines.size() == 1);
}

TEST_CASE("track endpoint: a request without a body keeps its content type") {
  Door door;
  const std::string form = "Content-Type: application/x-www-form-urlencoded\r\n";
  CHECK(StatusOf(door.Ask("POST /api/v1/customers/1/suppress", kHost + kOurs + form)) == 200);
  CHECK(StatusOf(door.Ask("DELETE /api/v1/customers/1",
                          kHost + kOurs + "Content-Type: application/json\r\n")) == 200);
  CHECK(StatusOf(door.Ask("DELETE /api/v1/customers/1", kHost + kOurs)) == 200);
  REQUIRE(door.lines.size() == 3);
  CHECK(door.lines[0].find(R"("content_type":"application/x-www-form-urlencoded")") != std::string::npos);
  CHECK(door.lines[1].find(R"("content_type":"application/json")") != std::string::npos);
  CHECK(door.lines[2].find("content_type") == std::string::npos);
}

// Long enough for a client to lose its patience.
void LetTimePass() {
  const auto start = std::chrono::steady_clock::now();
  CHECK(Await([&] { return std::chrono::steady_clock::now() - start > std::chrono::milliseconds(150); }));
}

TEST_CASE(
    "track endpoint: a repeat gets the answer whose client had gone, once; an answered request is new "
    "again") {
  const std::string body = R"({"name":"e"})";
  const std::string first = "POST /api/v1/customers/1/events HTTP/1.1\r\n" + kHost + kOurs +
                            "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  const std::string repeats = kHost + kOurs + "X-Retry-Count: 1\r\n";
  constexpr const char* kEvents = "POST /api/v1/customers/1/events";
  for (const bool is_unix : {false, true}) {
    CAPTURE(is_unix);
    Door door({}, is_unix);
    const auto send = [&](testing::Client& client) {
      door.holds = true;
      REQUIRE(client.Say(first));
      REQUIRE(Await([&] { return door.is_held.load(); }));
      LetTimePass();
    };
    {
      testing::Client gone = door.Connect();
      send(gone);
    }
    door.Release();
    CHECK(StatusOf(door.Ask("GET /auth", kHost + kOurs)) == 200);
    CHECK(StatusOf(door.Ask(kEvents, kHost + kOurs, body)) == 200);  // no repeat
    CHECK(door.lines.size() == 2);
    CHECK(StatusOf(door.Ask(kEvents, repeats, R"({"name":"f"})")) == 200);  // of another one
    CHECK(door.lines.size() == 3);
    const std::string missed = door.Ask(kEvents, repeats, body);
    CHECK(StatusOf(missed) == 200);
    CHECK(missed.find("X-Outbox-Job: ") != std::string::npos);
    CHECK(door.lines.size() == 3);
    CHECK(StatusOf(door.Ask(kEvents, repeats, body)) == 200);
    CHECK(door.lines.size() == 4);
    {
      testing::Client answered = door.Connect();
      send(answered);
      door.Release();
      REQUIRE(Await([&] { return !answered.HasEnded() && answered.HasAnswer(); }));
    }
    CHECK(StatusOf(door.Ask("GET /auth", kHost + kOurs)) == 200);
    CHECK(StatusOf(door.Ask(kEvents, repeats, body)) == 200);
    CHECK(door.lines.size() == 6);
  }
}

TEST_CASE("track endpoint: a refusal that its client did not hear is nobody's answer, the repeat is taken") {
  const std::string first = "DELETE /api/v1/customers/1 HTTP/1.1\r\n" + kHost + kOurs + "\r\n";
  Door door;
  {
    testing::Client gone = door.Connect();
    door.holds = true;
    door.refuses = Error{ErrorKind::kBusy, "no room", {}};
    REQUIRE(gone.Say(first));
    REQUIRE(Await([&] { return door.is_held.load(); }));
    LetTimePass();
  }
  door.Release();
  CHECK(StatusOf(door.Ask("GET /auth", kHost + kOurs)) == 200);
  CHECK(StatusOf(door.Ask("DELETE /api/v1/customers/1", kHost + kOurs + "X-Retry-Count: 1\r\n")) == 200);
  CHECK(door.lines.size() == 2);
}

TEST_CASE("track endpoint: each job is its sender's, those of a batch too") {
  Door door({}, true);
  const std::string item = R"({"type":"person","action":"delete","identifiers":{"id":"1"}})";
  CHECK(StatusOf(door.Ask("POST /api/v2/batch", kHost + kOurs, R"({"batch":[)" + item + "," + item + "]}")) ==
        200);
  CHECK(StatusOf(door.Ask("DELETE /api/v1/customers/1", kHost + kOurs)) == 200);
  CHECK(door.users == std::vector<User>(3, User(getuid())));
}

TEST_CASE("track endpoint: bytes that no request line may hold are kept encoded") {
  Door door;
  CHECK(StatusOf(door.Ask("DELETE /api/v1/customers/caf\xC3\xA9%2F", kHost + kOurs)) == 200);
  REQUIRE(door.lines.size() == 1);
  CHECK(door.lines[0].find("/api/v1/customers/caf%C3%A9%2F") != std::string::npos);
}

TEST_CASE("track endpoint: where a place is wanted, who has shown credentials keeps his") {
  LimitsConfig limits;
  limits.clients = 10;
  limits.per_uid.connections = 2;
  Door door({}, false, limits);
  const std::string form = R"({"data":{"email":"a@example.com"}})";
  const auto submit = [&](testing::Client& client) {
    REQUIRE(client.Say("POST /api/v1/forms/f/submit HTTP/1.1\r\n" + kHost + kOurs +
                       "Content-Length: " + std::to_string(form.size()) + "\r\n\r\n" + form));
    return StatusOf(client.ListenToHead());
  };
  testing::Client known = door.Connect();
  REQUIRE(submit(known) == 204);
  testing::Client guest = door.Connect();
  REQUIRE(guest.Say("GET /auth HTTP/1.1\r\n" + kHost));
  testing::Client newcomer = door.Connect();
  CHECK(submit(newcomer) == 204);
  CHECK(Await([&] { return guest.HasEnded(); }));
  CHECK(submit(known) == 204);
}

TEST_CASE("track endpoint: while a connection's credentials are awaited, those of nobody may come again") {
  Door door;
  ConnectionConfig connection;
  connection.name = "default";
  const Endpoints awaiting{
      {"default", std::make_shared<const Endpoint>(Endpoint{connection, {"", "", {"site_id", "api_key"}}})}};
  door.Configure(awaiting);
  const test::StderrCapture log;
  const std::string none = "Authorization: Basic " + Base64Encode(":") + "\r\n";
  for (const std::string& given : {kOurs, none}) {
    const std::string answer = door.Ask("POST /api/v1/metrics", kHost + given, kMetric);
    CHECK(StatusOf(answer) == 503);
    CHECK(answer.find("Retry-After: ") != std::string::npos);
    CHECK(answer.find("the credentials of a connection are not there yet") != std::string::npos);
  }
  CHECK(StatusOf(door.Ask("POST /api/v1/metrics", kHost, kMetric)) == 401);
  CHECK(log.Count("wrong credentials") == 0);
  CHECK(door.MetricsText().find("outboxd_credentials_refused_total 0") != std::string::npos);
  CHECK(door.lines.empty());
  door.Configure(OneEndpoint());
  CHECK(StatusOf(door.Ask("POST /api/v1/metrics", kHost + kOurs, kMetric)) == 200);
  CHECK(StatusOf(door.Ask("POST /api/v1/metrics", kHost + kWrong, kMetric)) == 401);
}

TEST_CASE("track endpoint: guessed credentials are told once, then by their number, and all are counted") {
  Door door;
  const test::StderrCapture log;
  for (int i = 0; i < 20; ++i)
    CHECK(StatusOf(door.Ask("GET /api/v1/accounts/region", kHost + kWrong)) == 401);
  CHECK(log.Count("wrong credentials times=1 last_from=127.0.0.1:") == 1);
  CHECK(log.Count("wrong credentials") == 1);
  door.Tick(std::chrono::steady_clock::now() + std::chrono::minutes(2));
  CHECK(log.Count("wrong credentials times=19 last_from=127.0.0.1:") == 1);
  CHECK(log.Count("guess") == 0);
  CHECK(StatusOf(door.Ask("GET /api/v1/accounts/region", kHost)) == 401);  // none given, none guessed
  CHECK(StatusOf(door.Ask("GET /api/v1/accounts/region", kHost + kOurs)) == 200);
  CHECK(door.MetricsText().find("outboxd_credentials_refused_total 20") != std::string::npos);
}

}  // namespace
}  // namespace outboxd
