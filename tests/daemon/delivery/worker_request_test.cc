// How a request leaves.
#include <doctest/doctest.h>
#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "tests/daemon/delivery/worker_bench.h"

namespace outboxd {
namespace {

using testing::EndpointAt;
using testing::Fine;
using testing::kSecret;
using testing::Peer;
using testing::RawTo;
using testing::SeenRequest;
using testing::StubServer;
using testing::Then;
using testing::WorkerBench;

TEST_CASE("worker: the request line, the body and the credentials arrive as they are meant to") {
  StubServer server(Fine);
  WorkerBench bench;
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

TEST_CASE(
    "worker: a request that needs no credentials may leave without any, those before and after it have "
    "them") {
  StubServer server(Fine);
  WorkerBench bench;
  const auto endpoint = EndpointAt(server.Url());
  const auto open = [&](bool without_credentials) {
    Transfer transfer = RawTo(endpoint, "POST", "/v1/metrics");
    transfer.job->job.raw.reset();
    transfer.job->job.call = std::make_unique<TrackCall>();
    transfer.job->job.call->method = "POST";
    transfer.job->job.call->target = "/api/v1/metrics";
    transfer.job->job.call->without_credentials = without_credentials;
    return transfer;
  };
  for (const bool without : {true, false, true, true, false}) {
    bench.Do(open(without));
    const SeenRequest seen = server.Requests().back();
    CHECK((seen.head.find("Authorization") == std::string::npos) == without);
    CHECK(seen.HasHeader(std::string("Authorization: Basic ") + kSecret) != without);
  }
}

TEST_CASE("worker: each method has the length and type that belongs to it, also right after another method") {
  StubServer server(Fine);
  WorkerBench bench;
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

TEST_CASE("worker: of a long query nothing is kept once it was answered") {
  const auto in_use = [] {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  StubServer server(Fine);
  WorkerBench bench;
  const auto endpoint = EndpointAt(server.Url());
  bench.Do(RawTo(endpoint, "GET", "/v1/warm"));
  const std::size_t before = in_use();
  Transfer transfer = RawTo(endpoint, "GET", "/v1/x");
  transfer.job->job.raw->query = {{"q", std::string(65'000, 'q')}};
  CHECK(bench.Do(std::move(transfer)).answer.status == 200);
  CHECK(server.Requests().back().Line().size() > 65'000);
  // The server keeps what it saw; libcurl would keep 5.6 times the target. Sanitizers tell nothing here.
  CHECK(in_use() < before + 250'000);
  CHECK(bench.Do(RawTo(endpoint, "POST", "/v1/x", "b")).answer.status == 200);
  CHECK(server.Requests().back().body == "b");
}

TEST_CASE("worker: a large body leaves at once and does not ask for permission") {
  StubServer server(Fine);
  WorkerBench bench;
  const std::string body(3 << 20, 'b');
  CHECK(bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", body)).answer.status == 200);
  CHECK(server.Requests().at(0).body == body);
  CHECK(server.Requests().at(0).head.find("Expect:") == std::string::npos);
}

TEST_CASE("worker: a credential probe asks for the account's region") {
  StubServer server(Fine);
  WorkerBench bench;
  Transfer transfer;
  transfer.kind = TransferKind::kProbe;
  transfer.endpoint = EndpointAt(server.Url());
  const Finished finished = bench.Do(std::move(transfer));
  CHECK(finished.transfer.kind == TransferKind::kProbe);
  CHECK(finished.answer.status == 200);
  CHECK(server.Requests().at(0).Line() == "GET /api/v1/accounts/region HTTP/1.1");
}

TEST_CASE(
    "worker: form and files leave as multipart/form-data, byte for byte, and the next request is plain "
    "again") {
  StubServer server(Fine);
  WorkerBench bench;
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

TEST_CASE(
    "worker: a job with debug is logged with its answer, one line each, and the credentials are nowhere") {
  StubServer server([](const SeenRequest& request, const Peer& peer) {
    if (request.Line().find("gone") != std::string::npos) return Then::kClose;
    peer.Answer(404, "no\nsuch thing", "X-Trace: 7\r\n");
    return Then::kKeep;
  });
  WorkerBench bench;
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

}  // namespace
}  // namespace outboxd
