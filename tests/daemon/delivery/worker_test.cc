#include "daemon/delivery/worker.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "daemon/base/mailbox.h"
#include "daemon/base/wall_clock.h"
#include "tests/daemon/delivery/stub_server.h"

namespace outboxd {
namespace {

using testing::Peer;
using testing::SeenRequest;
using testing::StubServer;
using testing::Then;

constexpr auto kPatience = std::chrono::seconds(20);
constexpr const char* kSecret = "c2l0ZTpzM2NyZXRrZXk=";  // base64 of site:s3cretkey

// A worker whose finished transfers and debug lines are kept.
class Bench {
 public:
  Bench()
      : worker_(
            "test-net", [this](std::vector<Finished> batch) { Keep(std::move(batch)); },
            [this](std::string line) { debug_ += line + "\n"; }) {}

  Worker& Get() { return worker_; }

  // Waits until `count` more have ended.
  std::vector<Finished> Await(std::size_t count) {
    std::vector<Finished> ended;
    std::vector<Finished> out;
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (ended.size() < count) {
      REQUIRE(std::chrono::steady_clock::now() < deadline);
      finished_.TakeAll(out, Milliseconds(100));
      std::move(out.begin(), out.end(), std::back_inserter(ended));
    }
    CHECK(ended.size() == count);
    return ended;
  }

  Finished Do(Transfer transfer) {
    std::vector<Transfer> transfers;
    transfers.push_back(std::move(transfer));
    worker_.Send(std::move(transfers));
    std::vector<Finished> ended = Await(1);
    return std::move(ended.front());
  }

  // Call after Stop(): the lines belong to the worker's thread until then.
  const std::string& Debug() const { return debug_; }

 private:
  void Keep(std::vector<Finished> batch) {
    for (Finished& finished : batch) finished_.Post(std::move(finished));
  }

  Mailbox<Finished> finished_{1};
  std::string debug_;
  Worker worker_;
};

std::shared_ptr<Endpoint> EndpointAt(std::string url) {
  auto endpoint = std::make_shared<Endpoint>();
  endpoint->config.name = "default";
  endpoint->config.base_url = std::move(url);
  endpoint->credentials = {.site_id = "site", .api_key = "s3cretkey"};
  return endpoint;
}

Transfer RawTo(std::shared_ptr<const Endpoint> endpoint, std::string method, std::string path,
               std::string body = {}) {
  Transfer transfer;
  transfer.connection = "default";
  transfer.endpoint = std::move(endpoint);
  transfer.job = std::make_unique<QueuedJob>();
  transfer.job->job.type = JobType::kRaw;
  transfer.job->job.raw = std::make_unique<RawCall>();
  transfer.job->job.raw->method = std::move(method);
  transfer.job->job.raw->path = std::move(path);
  if (!body.empty()) transfer.job->job.raw->text_body = std::move(body);
  return transfer;
}

Then Fine(const SeenRequest&, const Peer& peer) {
  peer.Answer(200);
  return Then::kKeep;
}

TEST_CASE("worker: every status comes back with its body") {
  const std::vector<int> statuses{200, 201, 204, 207, 301, 400, 401, 403,
                                  404, 408, 413, 422, 429, 500, 503, 522};
  StubServer server([](const SeenRequest& request, const Peer& peer) {
    const int status = std::stoi(request.Line().substr(request.Line().find("/v1/") + 4));
    if (status == 204) {
      peer.Write("HTTP/1.1 204 No Content\r\n\r\n");
    } else {
      peer.Answer(status, "body of " + std::to_string(status));
    }
    return Then::kKeep;
  });
  Bench bench;
  const auto endpoint = EndpointAt(server.Url());
  for (const int status : statuses) {
    CAPTURE(status);
    const Finished finished = bench.Do(RawTo(endpoint, "POST", "/v1/" + std::to_string(status), "{}"));
    CHECK(finished.answer.status == status);
    CHECK(finished.answer.error.empty());
    CHECK(finished.answer.body == (status == 204 ? "" : "body of " + std::to_string(status)));
  }
  CHECK(server.Connections() == 1);
}

TEST_CASE("worker: the request line, the body and the credentials arrive as they are meant to") {
  StubServer server(Fine);
  Bench bench;
  bench.Do(RawTo(EndpointAt(server.Url()), "PUT", "/v1/customers/a%2Fb/../x?y=%20", R"({"n":1e400})"));
  const SeenRequest seen = server.Requests().at(0);
  CHECK(seen.Line() == "PUT /api/v1/customers/a%2Fb/../x?y=%20 HTTP/1.1");
  CHECK(seen.body == R"({"n":1e400})");
  CHECK(seen.HasHeader(std::string("Authorization: Basic ") + kSecret));
  CHECK(seen.HasHeader("User-Agent: outboxd/" OUTBOXD_VERSION));
  CHECK(seen.HasHeader("Content-Type: application/json"));
  CHECK(seen.head.find("Expect:") == std::string::npos);
  CHECK(seen.head.find("Accept-Encoding:") == std::string::npos);
}

TEST_CASE("worker: each method has the length and type that belongs to it, also right after another method") {
  StubServer server(Fine);
  Bench bench;
  const auto endpoint = EndpointAt(server.Url());
  struct Row {
    std::string method, body, length;
  };
  const std::vector<Row> rows{
      {"POST", "abc", "3"}, {"GET", "", ""},       {"POST", "", "0"},  {"HEAD", "", ""},
      {"PUT", "", "0"},     {"DELETE", "", ""},    {"PATCH", "", "0"}, {"DELETE", "x", "1"},
      {"OPTIONS", "", ""},  {"POST", "abcd", "4"}, {"HEAD", "", ""},   {"PURGE", "", ""},
      {"GET", "q", "1"},    {"PATCH", "p", "1"},   {"HEAD", "", ""},   {"GET", "", ""}};
  for (const Row& row : rows) {
    CAPTURE(row.method);
    CAPTURE(row.body);
    Finished finished;
    if (row.method == "HEAD") {
      finished = bench.Do(RawTo(endpoint, row.method, "/v1/head"));
      CHECK(finished.answer.body.empty());
    } else {
      finished = bench.Do(RawTo(endpoint, row.method, "/v1/x", row.body));
    }
    const SeenRequest seen = server.Requests().back();
    CHECK(seen.Line().starts_with(row.method + " /api/v1/"));
    CHECK(seen.body == row.body);
    CHECK(seen.HasHeader("Content-Length: " + row.length) == !row.length.empty());
    CHECK((seen.head.find("Content-Length:") != std::string::npos) == !row.length.empty());
    CHECK((seen.head.find("Content-Type:") != std::string::npos) == !row.body.empty());
    CHECK(finished.answer.status == 200);
  }
}

TEST_CASE("worker: a large body leaves at once and does not ask for permission") {
  StubServer server(Fine);
  Bench bench;
  const std::string body(3 << 20, 'b');
  CHECK(bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", body)).answer.status == 200);
  CHECK(server.Requests().at(0).body == body);
  CHECK(server.Requests().at(0).head.find("Expect:") == std::string::npos);
}

TEST_CASE("worker: a credential probe asks for the account's region") {
  StubServer server(Fine);
  Bench bench;
  Transfer transfer;
  transfer.kind = TransferKind::kProbe;
  transfer.endpoint = EndpointAt(server.Url());
  const Finished finished = bench.Do(std::move(transfer));
  CHECK(finished.transfer.kind == TransferKind::kProbe);
  CHECK(finished.answer.status == 200);
  CHECK(server.Requests().at(0).Line() == "GET /api/v1/accounts/region HTTP/1.1");
}

TEST_CASE("worker: Retry-After comes back as received, and is absent when it was not sent") {
  StubServer server([](const SeenRequest& request, const Peer& peer) {
    const bool with = request.Line().find("with") != std::string::npos;
    peer.Answer(503, "busy", with ? "retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n" : "");
    return Then::kKeep;
  });
  Bench bench;
  const auto endpoint = EndpointAt(server.Url());
  CHECK(bench.Do(RawTo(endpoint, "POST", "/v1/with")).answer.retry_after == "Wed, 21 Oct 2026 07:28:00 GMT");
  CHECK_FALSE(bench.Do(RawTo(endpoint, "POST", "/v1/none")).answer.retry_after.has_value());
}

TEST_CASE("worker: a redirect is reported with its Location and never followed") {
  StubServer elsewhere(Fine);
  StubServer server([&](const SeenRequest&, const Peer& peer) {
    peer.Answer(307, "", "Location: " + elsewhere.Url() + "/there\r\n");
    return Then::kKeep;
  });
  Bench bench;
  const Finished finished = bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{}"));
  CHECK(finished.answer.status == 307);
  CHECK(finished.answer.location == elsewhere.Url() + "/there");
  CHECK(elsewhere.Connections() == 0);
}

TEST_CASE("worker: a carriage return inside a header does not reach what is logged and kept") {
  StubServer server([](const SeenRequest&, const Peer& peer) {
    peer.Answer(301, "", "Location: http://a/\rforged\r\nRetry-After: 1\r2\r\n");
    return Then::kKeep;
  });
  Bench bench;
  const Finished finished = bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{}"));
  CHECK(finished.answer.location.find('\r') == std::string::npos);
  CHECK(finished.answer.retry_after.value_or("").find('\r') == std::string::npos);
}

TEST_CASE("worker: an interim answer does not count") {
  StubServer server([](const SeenRequest&, const Peer& peer) {
    peer.Write("HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n");
    peer.Answer(500, "late");
    return Then::kKeep;
  });
  Bench bench;
  const Finished finished = bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{}"));
  CHECK(finished.answer.status == 500);
  CHECK(finished.answer.body == "late");
  CHECK_FALSE(finished.answer.retry_after.has_value());
}

TEST_CASE("worker: of a long answer the first bytes are kept, and the connection lives on") {
  StubServer server([](const SeenRequest&, const Peer& peer) {
    peer.Answer(400, std::string(limits::kAnswerBytes, 'a') + std::string(100'000, 'b'));
    return Then::kKeep;
  });
  Bench bench;
  const auto endpoint = EndpointAt(server.Url());
  for (int i = 0; i < 2; ++i) {
    const Finished finished = bench.Do(RawTo(endpoint, "POST", "/v1/x", "{}"));
    CHECK(finished.answer.status == 400);
    CHECK(finished.answer.body == std::string(limits::kAnswerBytes, 'a'));
  }
  CHECK(server.Connections() == 1);
}

TEST_CASE("worker: an endless answer is cut, and its status counts") {
  StubServer server([](const SeenRequest&, const Peer& peer) {
    peer.Write("HTTP/1.1 200 OK\r\n\r\n");
    const std::string block(64 * 1024, 'x');
    for (int i = 0; i < 256; ++i) peer.Write(block);
    peer.AwaitClose();
    return Then::kClose;
  });
  Bench bench;
  const Finished finished = bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{}"));
  CHECK(finished.answer.status == 200);
  CHECK(finished.answer.error.empty());
  CHECK(finished.answer.body.size() == limits::kAnswerBytes);
}

TEST_CASE(
    "worker: headers without end are cut, be they the answer's own, those of interim answers, or trailers") {
  const std::string header = "X-Padding: " + std::string(100, 'p') + "\r\n";
  const std::string interim = "HTTP/1.1 103 Early Hints\r\n" + header + "\r\n";
  const std::vector<std::pair<std::string, std::string>> rows{
      {"HTTP/1.1 200 OK\r\n", header},
      {"HTTP/1.1 100 Continue\r\n\r\n", interim},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", header},
  };
  for (const auto& [start, repeated] : rows) {
    CAPTURE(start);
    StubServer server([&first = start, &more = repeated](const SeenRequest&, const Peer& peer) {
      peer.Write(first);
      for (int i = 0; i < 10'000; ++i) peer.Write(more);
      peer.AwaitClose();
      return Then::kClose;
    });
    Bench bench;
    const Finished finished = bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{}"));
    CHECK(finished.answer.status == 0);
    CHECK(finished.answer.error == "transport: answer with more than 65536 bytes of headers");
  }
}

TEST_CASE("worker: a compressed answer is kept as it came, and what unpacks to gigabytes is cut") {
  const std::string gzip_start("\x1f\x8b\x08\0\0\0\0\0\0\x03\x63\x18", 12);
  const std::string two_thousand_zeros("\x05\xa3\x60\x14\x8c\x82\x51\x30\x0a\x46\xc1\x28\x18", 13);
  StubServer server([&](const SeenRequest& request, const Peer& peer) {
    if (request.Line().find("content") != std::string::npos) {
      peer.Answer(200, gzip_start, "Content-Encoding: gzip\r\n");
      return Then::kKeep;
    }
    peer.Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n" + gzip_start);
    std::string block;
    for (int i = 0; i < 5'000; ++i) block += two_thousand_zeros;
    for (int i = 0; i < 256; ++i) peer.Write(block);
    peer.AwaitClose();
    return Then::kClose;
  });
  Bench bench;
  const auto endpoint = EndpointAt(server.Url());
  CHECK(bench.Do(RawTo(endpoint, "POST", "/v1/content", "{}")).answer.body == gzip_start);
  const Finished finished = bench.Do(RawTo(endpoint, "POST", "/v1/transfer", "{}"));
  CHECK(finished.answer.status == 200);
  CHECK(finished.answer.body == std::string(limits::kAnswerBytes, '\0'));
}

TEST_CASE("worker: an answer that is not HTTP, or contradicts itself, is not an answer") {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"{}\n", "transport: Received HTTP/0.9 when not allowed"},
      {"HTTP/1.1 OK\r\n\r\n", "transport: Unsupported HTTP version in response"},
      {"HTTP/9.1 200 OK\r\n\r\n", "transport: Unsupported HTTP version (9.1) in response"},
      {"HTTP/1.1 099 Low\r\n\r\n", "transport: Unsupported response code in HTTP response"},
      {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
       "reset: connection closed before an answer"},
      {std::string("HTTP/1.1 200 OK\r\nX-Nul: \0\r\n\r\n", 29), "transport: Nul byte in header"},
      {"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", "transport: Invalid Content-Length: value"},
      {"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}", "transport: Invalid Content-Length: value"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
       "reset: answer cut short: transfer closed with 1 bytes remaining to read"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno\r\n",
       "reset: Illegal or missing hexadecimal sequence in chunked-encoding"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
       "reset: Too long hexadecimal number in chunked-encoding"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}broken",
       "reset: Malformed encoding found in chunked-encoding"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nnot packed",
       "transport: Error while processing content unencoding: incorrect header check"},
      {"HTTP/1.1 200 OK\r\nX-Long: " + std::string(200'000, 'l'),
       "transport: a header too long, or no memory left"},
  };
  for (const auto& [bytes, error] : rows) {
    CAPTURE(bytes);
    StubServer server([&sent = bytes](const SeenRequest&, const Peer& peer) {
      peer.Write(sent);
      return Then::kClose;
    });
    Bench bench;
    const Finished finished = bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{}"));
    CHECK(finished.answer.status == 0);
    CHECK(finished.answer.error == error);
  }
}

TEST_CASE("worker: what follows an answer is not taken for the answer to the next request") {
  StubServer server([count = std::make_shared<std::atomic<int>>(0)](const SeenRequest&, const Peer& peer) {
    if (++*count == 1) {
      peer.Write(
          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 400 Forged\r\nContent-Length: 0\r\n\r\n");
    } else {
      peer.Answer(200);
    }
    return Then::kKeep;
  });
  Bench bench;
  const auto endpoint = EndpointAt(server.Url());
  CHECK(bench.Do(RawTo(endpoint, "POST", "/v1/x", "{}")).answer.status == 200);
  CHECK(bench.Do(RawTo(endpoint, "POST", "/v1/x", "{}")).answer.status == 200);
  CHECK(server.Connections() == 2);
}

TEST_CASE("worker: an answer that comes byte by byte is understood") {
  StubServer server([](const SeenRequest&, const Peer& peer) {
    for (const char byte : std::string(
             "HTTP/1.1 422 Nope\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")) {
      peer.Write(std::string_view(&byte, 1));
    }
    return Then::kKeep;
  });
  Bench bench;
  const Finished finished = bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{}"));
  CHECK(finished.answer.status == 422);
  CHECK(finished.answer.body == "abcde");
}

TEST_CASE("worker: half an answer is not an answer") {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "reset: "},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "reset: "},
      {"HTTP/1.1 200 OK\r\nContent-Le", "reset: "},
      {"HTTP/1.1 2", "reset: connection closed before an answer"},
      {"HTTP/1.1 103 Early Hints\r\n\r\n", "reset: "},
      {"", "reset: connection closed before an answer"},
      {"SSH-2.0-OpenSSH_9.2\r\n", "transport: "},
  };
  for (const auto& [bytes, error] : rows) {
    CAPTURE(bytes);
    StubServer server([&sent = bytes](const SeenRequest&, const Peer& peer) {
      peer.Write(sent);
      return Then::kClose;
    });
    Bench bench;
    const Finished finished = bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{}"));
    CHECK(finished.answer.status == 0);
    CHECK(finished.answer.body.empty());
    CHECK_MESSAGE(finished.answer.error.starts_with(error), finished.answer.error);
    CHECK(server.Requests().size() == 1);
  }
}

TEST_CASE("worker: a request whose reused connection is reset is not repeated in silence") {
  StubServer server([count = std::make_shared<std::atomic<int>>(0)](const SeenRequest&, const Peer& peer) {
    if (++*count == 1) {
      peer.Answer(200);
      return Then::kKeep;
    }
    peer.ResetOnClose();
    return Then::kClose;
  });
  Bench bench;
  const auto endpoint = EndpointAt(server.Url());
  CHECK(bench.Do(RawTo(endpoint, "POST", "/v1/x", "{}")).answer.status == 200);
  const Finished finished = bench.Do(RawTo(endpoint, "POST", "/v1/x", "{}"));
  CHECK(finished.answer.status == 0);
  CHECK_MESSAGE(finished.answer.error.starts_with("reset: "), finished.answer.error);
  CHECK(server.Requests().size() == 2);
}

TEST_CASE("worker: a reset in the middle of an answer says so") {
  StubServer server([](const SeenRequest&, const Peer& peer) {
    peer.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    peer.ResetOnClose();
    return Then::kClose;
  });
  Bench bench;
  const Finished finished = bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{}"));
  CHECK(finished.answer.status == 0);
  CHECK_MESSAGE(finished.answer.error.starts_with("reset: "), finished.answer.error);
}

TEST_CASE("worker: the reason is that of the transfer itself, not of an earlier one") {
  StubServer server([count = std::make_shared<std::atomic<int>>(0)](const SeenRequest&, const Peer& peer) {
    if (++*count == 1) {
      peer.ResetOnClose();
    } else {
      peer.Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno\r\n");
    }
    return Then::kClose;
  });
  Bench bench;
  const auto endpoint = EndpointAt(server.Url());
  CHECK(bench.Do(RawTo(endpoint, "POST", "/v1/x", "{}")).answer.error == "reset: Connection reset by peer");
  CHECK(bench.Do(RawTo(endpoint, "POST", "/v1/x", "{}")).answer.error ==
        "reset: Illegal or missing hexadecimal sequence in chunked-encoding");
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  const Finished finished = bench.Do(RawTo(endpoint, "POST", "/v1/x", "{}"));
  setrlimit(RLIMIT_NOFILE, &before);
  CHECK(finished.answer.error == "connect: Too many open files");
}

TEST_CASE("worker: a connection that the server closed while it idled is replaced without trouble") {
  StubServer server([count = std::make_shared<std::atomic<int>>(0)](const SeenRequest&, const Peer& peer) {
    peer.Answer(200);
    return ++*count == 1 ? Then::kClose : Then::kKeep;
  });
  Bench bench;
  const auto endpoint = EndpointAt(server.Url());
  CHECK(bench.Do(RawTo(endpoint, "POST", "/v1/x", "{}")).answer.status == 200);
  server.AwaitClosed(1);
  CHECK(bench.Do(RawTo(endpoint, "POST", "/v1/x", "{}")).answer.status == 200);
  CHECK(server.Connections() == 2);
}

TEST_CASE("worker: nobody listening, a name that does not exist and a wrong protocol say what is wrong") {
  Bench bench;
  const std::string refused = "http://127.0.0.1:" + std::to_string(StubServer::RefusedPort());
  CHECK(bench.Do(RawTo(EndpointAt(refused), "POST", "/v1/x")).answer.error == "connect: Connection refused");
  CHECK(bench.Do(RawTo(EndpointAt("http://no..such.host"), "POST", "/v1/x")).answer.error ==
        "resolve: Could not resolve host: no..such.host");
  CHECK(bench.Do(RawTo(EndpointAt("file:///etc/passwd#"), "GET", "/v1/x")).answer.status == 0);
  StubServer not_tls(Fine, "220 a greeting that is not TLS\r\n");
  const auto tls = EndpointAt("https://127.0.0.1:" + std::to_string(not_tls.Port()));
  const std::string error = bench.Do(RawTo(tls, "POST", "/v1/x")).answer.error;
  CHECK_MESSAGE(error.starts_with("tls: "), error);
}

TEST_CASE("worker: a connection that is not ready in time says that it was connecting") {
  StubServer silent(Fine);
  Bench bench;
  auto tls = EndpointAt("https://127.0.0.1:" + std::to_string(silent.Port()));
  tls->config.connect_timeout = Milliseconds(40);
  CHECK(bench.Do(RawTo(tls, "POST", "/v1/x")).answer.error == "connect: timeout after 40 ms");
}

TEST_CASE(
    "worker: a server that does not answer in time is a timeout, by the connection's limit or the job's "
    "own") {
  StubServer server([](const SeenRequest& request, const Peer& peer) {
    if (request.Line().find("slow_header") != std::string::npos) peer.Write("HTTP/1.1 200 OK\r\nContent-Ty");
    if (request.Line().find("slow_body") != std::string::npos)
      peer.Write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{");
    peer.AwaitClose();
    return Then::kClose;
  });
  Bench bench;
  auto endpoint = EndpointAt(server.Url());
  endpoint->config.timeout = Milliseconds(60);
  for (const std::string path : {"/v1/silent", "/v1/slow_header", "/v1/slow_body"}) {
    CAPTURE(path);
    const Finished finished = bench.Do(RawTo(endpoint, "POST", path, "{}"));
    CHECK(finished.answer.status == 0);
    CHECK(finished.answer.error == "timeout after 60 ms");
    CHECK(finished.duration >= Milliseconds(55));
  }
  Transfer own = RawTo(endpoint, "POST", "/v1/silent");
  own.job->job.raw->timeout = Milliseconds(20);
  CHECK(bench.Do(std::move(own)).answer.error == "timeout after 20 ms");
}

TEST_CASE("worker: a hundred requests are in flight at once") {
  constexpr int kCount = 100;
  std::latch together(kCount);
  StubServer server([&](const SeenRequest&, const Peer& peer) {
    together.arrive_and_wait();
    peer.Answer(200);
    return Then::kKeep;
  });
  Bench bench;
  const auto endpoint = EndpointAt(server.Url());
  std::vector<Transfer> transfers;
  for (int i = 0; i < kCount; ++i)
    transfers.push_back(RawTo(endpoint, "POST", "/v1/" + std::to_string(i), "{}"));
  bench.Get().Send(std::move(transfers));
  for (const Finished& finished : bench.Await(kCount)) CHECK(finished.answer.status == 200);
  CHECK(server.Connections() == kCount);
}

TEST_CASE("worker: answers belong to their requests, over many rounds on reused connections") {
  constexpr int kCount = 64;
  StubServer server([](const SeenRequest& request, const Peer& peer) {
    peer.Answer(200, request.body);
    return Then::kKeep;
  });
  Bench bench;
  const auto endpoint = EndpointAt(server.Url());
  for (int round = 0; round < 20; ++round) {
    std::vector<Transfer> transfers;
    for (int i = 0; i < kCount; ++i)
      transfers.push_back(RawTo(endpoint, "POST", "/v1/x", std::to_string(round * kCount + i)));
    bench.Get().Send(std::move(transfers));
    for (const Finished& finished : bench.Await(kCount))
      CHECK(finished.answer.body == finished.transfer.job->job.raw->text_body);
  }
  CHECK(server.Connections() <= kCount);
}

TEST_CASE("worker: two endpoints in turn keep to their own credentials and servers") {
  StubServer first(Fine);
  StubServer second(Fine);
  Bench bench;
  auto one = EndpointAt(first.Url());
  auto two = EndpointAt(second.Url());
  two->credentials = {.site_id = "other", .api_key = "key"};
  for (int i = 0; i < 3; ++i) {
    bench.Do(RawTo(one, "POST", "/v1/one", "{}"));
    bench.Do(RawTo(two, "GET", "/v1/two"));
  }
  CHECK(first.Requests().size() == 3);
  for (const SeenRequest& seen : first.Requests())
    CHECK(seen.HasHeader(std::string("Authorization: Basic ") + kSecret));
  CHECK(second.Requests().size() == 3);
  for (const SeenRequest& seen : second.Requests())
    CHECK(seen.HasHeader("Authorization: Basic b3RoZXI6a2V5"));
  CHECK(first.Connections() == 1);
}

TEST_CASE(
    "worker: form and files leave as multipart/form-data, byte for byte, and the next request is plain "
    "again") {
  StubServer server(Fine);
  Bench bench;
  const auto endpoint = EndpointAt(server.Url());
  Transfer transfer = RawTo(endpoint, "PUT", "/v1/upload");
  const std::string bytes("\0\r\n--\xff", 6);
  transfer.job->job.raw->form = {{"kind", "avatar"}};
  transfer.job->job.raw->files = {{.name = "file", .filename = "a b\".png", .content = bytes},
                                  {.name = "note", .filename = "n.txt", .content = "hi"}};
  CHECK(bench.Do(std::move(transfer)).answer.status == 200);
  bench.Do(RawTo(endpoint, "POST", "/v1/empty"));
  bench.Do(RawTo(endpoint, "POST", "/v1/plain", "{}"));

  const SeenRequest seen = server.Requests().at(0);
  CHECK(seen.Line() == "PUT /api/v1/upload HTTP/1.1");
  const std::string type = "Content-Type: multipart/form-data; boundary=";
  const std::size_t at = seen.head.find(type);
  REQUIRE(at != std::string::npos);
  const std::string boundary =
      "--" + seen.head.substr(at + type.size(), seen.head.find("\r\n", at) - at - type.size());
  CHECK(seen.body == boundary + "\r\nContent-Disposition: form-data; name=\"kind\"\r\n\r\navatar\r\n" +
                         boundary +
                         "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a "
                         "b%22.png\"\r\nContent-Type: image/png\r\n\r\n" +
                         bytes + "\r\n" + boundary +
                         "\r\nContent-Disposition: form-data; name=\"note\"; "
                         "filename=\"n.txt\"\r\nContent-Type: text/plain\r\n\r\nhi\r\n" +
                         boundary + "--\r\n");
  CHECK(server.Requests().at(1).HasHeader("Content-Length: 0"));
  CHECK(server.Requests().at(1).head.find("Content-Type:") == std::string::npos);
  CHECK(server.Requests().at(2).body == "{}");
  CHECK(server.Requests().at(2).HasHeader("Content-Type: application/json"));
}

TEST_CASE("worker: stopping brings everything under way back as stopped") {
  std::latch arrived(3);
  StubServer server([&](const SeenRequest&, const Peer& peer) {
    arrived.count_down();
    peer.AwaitClose();
    return Then::kClose;
  });
  Bench bench;
  const auto endpoint = EndpointAt(server.Url());
  std::vector<Transfer> transfers;
  for (int i = 0; i < 3; ++i) transfers.push_back(RawTo(endpoint, "POST", "/v1/x", "{}"));
  bench.Get().Send(std::move(transfers));
  arrived.wait();
  std::vector<Transfer> late;
  late.push_back(RawTo(endpoint, "POST", "/v1/late", "{}"));
  bench.Get().Send(std::move(late));
  bench.Get().Stop();
  for (const Finished& finished : bench.Await(4)) {
    CHECK(finished.answer.status == 0);
    CHECK(finished.answer.error == "stopped");
    CHECK(finished.transfer.job != nullptr);
  }
  bench.Get().Send({});
  bench.Get().Stop();
}

TEST_CASE(
    "worker: a job with debug is logged with its answer, one line each, and the credentials are nowhere") {
  StubServer server([](const SeenRequest& request, const Peer& peer) {
    if (request.Line().find("gone") != std::string::npos) return Then::kClose;
    peer.Answer(404, "no\nsuch thing", "X-Trace: 7\r\n");
    return Then::kKeep;
  });
  Bench bench;
  const auto endpoint = EndpointAt(server.Url());
  Transfer quiet = RawTo(endpoint, "POST", "/v1/quiet", "q");
  Transfer loud = RawTo(endpoint, "POST", "/v1/loud", std::string(20'000, 'z'));
  loud.job->job.raw->headers = {{"X-Mine", "yes"}};
  loud.job->job.raw->debug = true;
  Transfer gone = RawTo(endpoint, "POST", "/v1/gone", "g");
  gone.job->job.raw->debug = true;
  bench.Do(std::move(quiet));
  bench.Do(std::move(loud));
  const Finished failed = bench.Do(std::move(gone));
  bench.Get().Stop();
  const std::string& log = bench.Debug();
  CHECK(std::count(log.begin(), log.end(), '\n') == 4);
  CHECK(log.find("quiet") == std::string::npos);
  CHECK(log.find("POST /api/v1/loud | X-Mine: yes") != std::string::npos);
  CHECK(log.find("(20000 bytes)") != std::string::npos);
  CHECK(log.find(" 404 | X-Trace: 7 ") != std::string::npos);
  CHECK(log.find(failed.answer.error) != std::string::npos);
  for (const std::string secret : {"s3cretkey", kSecret, "Authorization"})
    CHECK(log.find(secret) == std::string::npos);
}

TEST_CASE("worker: all that ends together reaches the sink in batches, on the worker's own thread") {
  constexpr int kCount = 50;
  const std::uint16_t port = StubServer::RefusedPort();
  std::atomic<int> calls = 0;
  Mailbox<std::size_t> sizes(1000);
  std::thread::id caller;
  Worker worker("test-net", [&](std::vector<Finished> batch) {
    ++calls;
    caller = std::this_thread::get_id();
    sizes.Post(batch.size());
  });
  const auto endpoint = EndpointAt("http://127.0.0.1:" + std::to_string(port));
  std::vector<Transfer> transfers;
  for (int i = 0; i < kCount; ++i) transfers.push_back(RawTo(endpoint, "POST", "/v1/x"));
  worker.Send(std::move(transfers));
  std::size_t ended = 0;
  std::vector<std::size_t> out;
  while (ended < kCount && sizes.TakeAll(out, std::chrono::milliseconds(kPatience))) {
    for (const std::size_t size : out) ended += size;
  }
  worker.Stop();
  CHECK(ended == kCount);
  CHECK(calls < kCount);
  CHECK(caller != std::this_thread::get_id());
}

TEST_CASE("worker: the moment of sending is wall clock and the duration is how long it took") {
  StubServer server(Fine);
  Bench bench;
  const auto before = WallClockNow();
  const Finished finished = bench.Do(RawTo(EndpointAt(server.Url()), "GET", "/v1/x"));
  const auto after = WallClockNow();
  CHECK(finished.sent >= before);
  CHECK(finished.sent <= after);
  CHECK(finished.duration <= after - before + Milliseconds(2));
}

}  // namespace
}  // namespace outboxd
