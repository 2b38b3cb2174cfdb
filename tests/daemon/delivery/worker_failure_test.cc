// What is said when no answer came.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

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

TEST_CASE("worker: a request whose reused connection is reset is not repeated in silence") {
  StubServer server([count = std::make_shared<std::atomic<int>>(0)](const SeenRequest&, const Peer& peer) {
    if (++*count == 1) {
      peer.Answer(200);
      return Then::kKeep;
    }
    peer.ResetOnClose();
    return Then::kClose;
  });
  WorkerBench bench;
  const auto endpoint = EndpointAt(server.Url());
  CHECK(bench.Do(RawTo(endpoint, "POST", "/v1/x", "{}")).answer.status == 200);
  const Finished finished = bench.Do(RawTo(endpoint, "POST", "/v1/x", "{}"));
  CHECK(finished.answer.status == 0);
  CHECK(finished.answer.fault == Fault::kUnanswered);
  CHECK_MESSAGE(finished.answer.error.starts_with("reset: "), finished.answer.error);
  CHECK(server.Requests().size() == 2);
  CHECK(server.Connections() == 1);  // nor is a connection made for a repeat
}

TEST_CASE("worker: a proxy that does not open a tunnel is told from a network that is out of order") {
  StubServer proxy([](const SeenRequest& request, const Peer& peer) {
    const bool is_away = request.Line().find("away.example") != std::string::npos;
    peer.Answer(is_away ? 503 : 407, "no", "Proxy-Authenticate: Basic realm=\"x\"\r\n");
    return Then::kKeep;
  });
  setenv("https_proxy", proxy.Url().c_str(), 1);
  {
    WorkerBench bench;
    const Finished refused = bench.Do(RawTo(EndpointAt("https://api.example"), "POST", "/v1/x", "{}"));
    CHECK(refused.answer.status == 0);
    CHECK(refused.answer.fault == Fault::kProxy);
    CHECK_MESSAGE(refused.answer.error.starts_with("proxy: "), refused.answer.error);
    CHECK(refused.answer.error.find("407") != std::string::npos);
    const Finished away = bench.Do(RawTo(EndpointAt("https://away.example"), "POST", "/v1/x", "{}"));
    CHECK(away.answer.fault == Fault::kNetwork);
  }
  unsetenv("https_proxy");
  for (const SeenRequest& seen : proxy.Requests()) CHECK(seen.Line().starts_with("CONNECT "));
}

TEST_CASE("worker: a 407 to the request itself is an answer") {
  StubServer server([](const SeenRequest&, const Peer& peer) {
    peer.Answer(407, "no", "Proxy-Authenticate: Basic realm=\"x\"\r\n");
    return Then::kKeep;
  });
  WorkerBench bench;
  const Finished finished = bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{}"));
  CHECK(finished.answer.status == 407);
  CHECK(finished.answer.fault == Fault::kNone);
}

TEST_CASE("worker: a reset in the middle of an answer says so") {
  StubServer server([](const SeenRequest&, const Peer& peer) {
    peer.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    peer.ResetOnClose();
    return Then::kClose;
  });
  WorkerBench bench;
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
  WorkerBench bench;
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
  WorkerBench bench;
  const auto endpoint = EndpointAt(server.Url());
  CHECK(bench.Do(RawTo(endpoint, "POST", "/v1/x", "{}")).answer.status == 200);
  server.AwaitClosed(1);
  CHECK(bench.Do(RawTo(endpoint, "POST", "/v1/x", "{}")).answer.status == 200);
  CHECK(server.Connections() == 2);
}

TEST_CASE("worker: nobody listening, a name that does not exist and a wrong protocol say what is wrong") {
  WorkerBench bench;
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
  WorkerBench bench;
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
  WorkerBench bench;
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

}  // namespace
}  // namespace outboxd
