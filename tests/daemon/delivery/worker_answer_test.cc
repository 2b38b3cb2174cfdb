// What counts as an answer, and what is kept of it.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "tests/daemon/delivery/worker_bench.h"

namespace outboxd {
namespace {

using testing::EndpointAt;
using testing::Fine;
using testing::Peer;
using testing::RawTo;
using testing::SeenRequest;
using testing::StubServer;
using testing::Then;
using testing::WorkerBench;

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
  WorkerBench bench;
  const auto endpoint = EndpointAt(server.Url());
  for (const int status : statuses) {
    CAPTURE(status);
    const Finished finished = bench.Do(RawTo(endpoint, "POST", "/v1/" + std::to_string(status), "{}"));
    CHECK(finished.ending == Ending::kAnswered);
    CHECK(finished.answer.status == status);
    CHECK(finished.answer.error.empty());
    CHECK(finished.answer.body == (status == 204 ? "" : "body of " + std::to_string(status)));
  }
  CHECK(server.Connections() == 1);
}

TEST_CASE("worker: Retry-After comes back as received, and is absent when it was not sent") {
  StubServer server([](const SeenRequest& request, const Peer& peer) {
    const bool with = request.Line().find("with") != std::string::npos;
    peer.Answer(503, "busy", with ? "retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n" : "");
    return Then::kKeep;
  });
  WorkerBench bench;
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
  WorkerBench bench;
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
  WorkerBench bench;
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
  WorkerBench bench;
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
  WorkerBench bench;
  const auto endpoint = EndpointAt(server.Url());
  for (int i = 0; i < 2; ++i) {
    const Finished finished = bench.Do(RawTo(endpoint, "POST", "/v1/x", "{}"));
    CHECK(finished.answer.status == 400);
    CHECK(finished.answer.body == std::string(limits::kAnswerBytes, 'a'));
    CHECK(finished.answer.is_body_cut);
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
  WorkerBench bench;
  const Finished finished = bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{}"));
  CHECK(finished.answer.status == 200);
  CHECK(finished.answer.error.empty());
  CHECK(finished.answer.body.size() == limits::kAnswerBytes);
  CHECK(finished.answer.is_body_cut);
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
    WorkerBench bench;
    const Finished finished = bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{}"));
    CHECK(finished.answer.status == 0);
    CHECK(finished.answer.error == "transport: answer with more than 65536 bytes of headers");
  }
}

// {"meta":{"error":"nope"}} by gzip.
const std::string kZipped(
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xab\x56\xca\x4d\x2d\x49\x54\xb2\xaa\x56\x4a\x2d\x2a"
    "\xca\x2f\x52\xb2\x52\xca\xcb\x2f\x48\x55\xaa\xad\x05\x00\xbb\x84\x06\x5c\x19\x00\x00\x00",
    45);

TEST_CASE("worker: a compressed answer is unpacked, though none was asked for") {
  StubServer server([](const SeenRequest& request, const Peer& peer) {
    const bool is_chunked = request.Line().find("transfer") != std::string::npos;
    if (is_chunked) {
      peer.Write("HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: gzip\r\n\r\n" + kZipped);
      return Then::kClose;
    }
    peer.Answer(400, kZipped, "Content-Encoding: gzip\r\n");
    return Then::kKeep;
  });
  WorkerBench bench;
  const auto endpoint = EndpointAt(server.Url());
  for (const std::string path : {"/v1/content", "/v1/transfer"}) {
    const Finished finished = bench.Do(RawTo(endpoint, "POST", path, "{}"));
    CHECK(finished.answer.status == 400);
    CHECK(finished.answer.body == R"({"meta":{"error":"nope"}})");
    CHECK_FALSE(finished.answer.is_body_cut);
  }
}

TEST_CASE("worker: a job that asks for a compressed answer itself gets it unpacked") {
  StubServer server([](const SeenRequest& request, const Peer& peer) {
    const bool is_asked = request.HasHeader("Accept-Encoding: gzip");
    peer.Answer(200, is_asked ? kZipped : "not asked", is_asked ? "Content-Encoding: gzip\r\n" : "");
    return Then::kKeep;
  });
  WorkerBench bench;
  Transfer transfer = RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{}");
  transfer.job->job.raw->headers = {{"Accept-Encoding", "gzip"}};
  CHECK(bench.Do(std::move(transfer)).answer.body == R"({"meta":{"error":"nope"}})");
}

TEST_CASE("worker: of an answer that cannot be unpacked the status counts") {
  StubServer server([](const SeenRequest& request, const Peer& peer) {
    const bool is_unknown = request.Line().find("unknown") != std::string::npos;
    peer.Answer(200, R"({"plain":true})",
                is_unknown ? "Content-Encoding: UTF-8\r\n" : "Content-Encoding: gzip\r\n");
    return Then::kKeep;
  });
  WorkerBench bench;
  const auto endpoint = EndpointAt(server.Url());
  for (const std::string path : {"/v1/unknown", "/v1/broken"}) {
    const Finished finished = bench.Do(RawTo(endpoint, "POST", path, "{}"));
    CHECK(finished.ending == Ending::kAnswered);
    CHECK(finished.answer.status == 200);
    CHECK(finished.answer.error.empty());
    CHECK(finished.answer.is_body_cut);
  }
}

TEST_CASE("worker: an answer that unpacks to gigabytes is cut, and its status counts") {
  const std::string gzip_start("\x1f\x8b\x08\0\0\0\0\0\0\x03\x63\x18", 12);
  const std::string two_thousand_zeros("\x05\xa3\x60\x14\x8c\x82\x51\x30\x0a\x46\xc1\x28\x18", 13);
  StubServer server([&](const SeenRequest& request, const Peer& peer) {
    const bool is_content = request.Line().find("content") != std::string::npos;
    peer.Write(std::string("HTTP/1.1 200 OK\r\n") + (is_content ? "Content" : "Transfer") +
               "-Encoding: gzip\r\n\r\n" + gzip_start);
    std::string block;
    for (int i = 0; i < 5'000; ++i) block += two_thousand_zeros;
    for (int i = 0; i < 256; ++i) peer.Write(block);
    peer.AwaitClose();
    return Then::kClose;
  });
  WorkerBench bench;
  const auto endpoint = EndpointAt(server.Url());
  for (const std::string path : {"/v1/content", "/v1/transfer"}) {
    const Finished finished = bench.Do(RawTo(endpoint, "POST", path, "{}"));
    CHECK(finished.answer.status == 200);
    CHECK(finished.answer.body == std::string(limits::kAnswerBytes, '\0'));
    CHECK(finished.answer.is_body_cut);
  }
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
    WorkerBench bench;
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
  WorkerBench bench;
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
  WorkerBench bench;
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
    WorkerBench bench;
    const Finished finished = bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{}"));
    CHECK(finished.ending == Ending::kFailed);
    CHECK(finished.answer.status == 0);
    CHECK(finished.answer.body.empty());
    CHECK_MESSAGE(finished.answer.error.starts_with(error), finished.answer.error);
    CHECK(server.Requests().size() == 1);
  }
}

}  // namespace
}  // namespace outboxd
