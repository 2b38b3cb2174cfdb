// Servers that send back what they were sent: what the worker hands on of it tells no credentials.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "core/encoding.h"
#include "core/limits.h"
#include "core/region_probe.h"
#include "core/verdict.h"
#include "tests/daemon/delivery/worker_bench.h"

namespace outboxd {
namespace {

using testing::EndpointAt;
using testing::kSecret;
using testing::Peer;
using testing::RawTo;
using testing::SeenRequest;
using testing::StubServer;
using testing::Then;
using testing::WorkerBench;

// The base64 ends in "=", which says nothing.
const std::string kEncoded = std::string(kSecret).substr(0, std::string_view(kSecret).size() - 1);

void CheckTellsNothing(const std::string& text) {
  CAPTURE(text);
  for (const std::string& secret : {std::string("s3cretkey"), kEncoded})
    CHECK(text.find(secret) == std::string::npos);
}

std::string AuthorizationOf(const SeenRequest& request) {
  constexpr std::string_view kName = "Authorization: ";
  const std::size_t at = request.head.find(kName) + kName.size();
  return request.head.substr(at, request.head.find("\r\n", at) - at);
}

// A job's answer from a server that makes it of the Authorization header.
Finished AnswerTo(const std::function<void(const std::string& authorization, const Peer& peer)>& answer) {
  StubServer server([&](const SeenRequest& request, const Peer& peer) {
    const std::string authorization = AuthorizationOf(request);
    CHECK(authorization == std::string("Basic ") + kSecret);
    answer(authorization, peer);
    return Then::kClose;
  });
  WorkerBench bench;
  return bench.Do(RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{}"));
}

TEST_CASE("worker: credentials in an answer's body are judged as they came and told to nobody") {
  const Finished finished = AnswerTo([](const std::string& authorization, const Peer& peer) {
    peer.Answer(400, "<p>" + authorization + " is site:s3cretkey</p>");
  });
  CHECK(finished.answer.body.find(kSecret) != std::string::npos);
  CHECK(finished.answer.ShownBody() == "<p>Basic [redacted]= is [redacted]</p>");
  const Verdict verdict = JudgeAnswer(finished.answer, Expected::kNoHtml, RetryPolicy(), Timestamp());
  CHECK(verdict.fate == Fate::kNotTrackApi);
  CHECK(verdict.reason.find("[redacted]") != std::string::npos);
  CheckTellsNothing(verdict.reason);
  const Finished plain = AnswerTo([](const std::string&, const Peer& peer) { peer.Answer(400, "Basic"); });
  CHECK(plain.answer.secrets == nullptr);
}

TEST_CASE("worker: credentials that the limit of what is read cuts in two are not told by half") {
  const std::string authorization = std::string("Basic ") + kSecret;
  for (std::size_t kept = 1; kept <= kEncoded.size(); ++kept) {
    const Finished finished = AnswerTo([kept](const std::string& got, const Peer& peer) {
      const std::size_t before = limits::kAnswerBytes - kept - 6;
      peer.Answer(400, std::string(before, '.') + got + std::string(100, '.'));
    });
    REQUIRE(finished.answer.is_body_cut);
    REQUIRE(finished.answer.body.ends_with(authorization.substr(0, 6 + kept)));
    CHECK(finished.answer.ShownBody().ends_with(".Basic [redacted]"));
  }
}

TEST_CASE("worker: credentials in a Location or in a broken answer are not told") {
  const Finished redirect = AnswerTo([](const std::string& authorization, const Peer& peer) {
    peer.Answer(302, "",
                "Location: https://site:s3cretkey@a.example/?to=" + PercentEncode(authorization) + "\r\n");
  });
  CHECK(redirect.answer.location == "https://[redacted]@a.example/?to=Basic%20[redacted]%3D");
  CheckTellsNothing(JudgeProbe(redirect.answer, std::nullopt).message);
  const Finished broken = AnswerTo([](const std::string& authorization, const Peer& peer) {
    peer.Write("HTTP/1.1 200 OK\r\nContent-Length: " + authorization + "\r\n\r\n");
  });
  CheckTellsNothing(broken.answer.error + broken.answer.ShownBody());
}

TEST_CASE("worker: a debug line shows no credentials that an answer echoes, in headers or body") {
  StubServer server([&](const SeenRequest& request, const Peer& peer) {
    peer.Answer(404, request.head, "X-Got: " + AuthorizationOf(request) + "\r\n");
    return Then::kKeep;
  });
  WorkerBench bench;
  Transfer job = RawTo(EndpointAt(server.Url()), "POST", "/v1/x", "{\"mine\":\"s3cretkey\"}");
  job.job->job.raw->debug = true;
  bench.Do(std::move(job));
  bench.Get().Stop();
  CHECK(bench.Debug().find("X-Got: Basic [redacted]=") != std::string::npos);
  CheckTellsNothing(bench.Debug());
}

TEST_CASE("worker: a proxy's credentials are not told either") {
  std::string got;
  StubServer proxy([&](const SeenRequest& request, const Peer& peer) {
    got = request.head;
    peer.Answer(407, request.head);
    return Then::kClose;
  });
  const std::string url = proxy.Url();
  REQUIRE(::setenv("http_proxy", ("http://us%65r:pr0xy%2Fpass@" + url.substr(7)).c_str(), 1) == 0);
  WorkerBench bench;
  const Finished finished = bench.Do(RawTo(EndpointAt("http://api.example"), "POST", "/v1/x", "{}"));
  bench.Get().Stop();
  REQUIRE(::unsetenv("http_proxy") == 0);
  const std::string encoded = Base64Encode("user:pr0xy/pass");
  REQUIRE(got.find("Proxy-Authorization: Basic " + encoded) != std::string::npos);
  const std::string shown = finished.answer.ShownBody();
  CHECK(shown.find("Proxy-Authorization: Basic [redacted]") != std::string::npos);
  CHECK(shown.find(encoded) == std::string::npos);
  CheckTellsNothing(shown);
}

}  // namespace
}  // namespace outboxd
