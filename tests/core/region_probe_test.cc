#include "core/region_probe.h"

#include <doctest/doctest.h>

namespace outboxd {
namespace {

Answer Answered(int status, std::string body = {}) {
  Answer answer;
  answer.status = status;
  answer.body = std::move(body);
  return answer;
}

constexpr const char* kUsBody = R"({"url":"https://track.customer.io","region":"us","environment_id":3})";

TEST_CASE("region probe: credentials of the wanted region are ok") {
  const ProbeVerdict verdict = JudgeProbe(Answered(200, kUsBody), Region::kUs);
  CHECK(verdict.IsOk());
  CHECK(verdict.region == "us");
  CHECK(verdict.environment_id == 3);
  CHECK(verdict.message.empty());
}

TEST_CASE("region probe: any region will do when none is wanted") {
  CHECK(JudgeProbe(Answered(200, kUsBody), std::nullopt).IsOk());
  CHECK(JudgeProbe(Answered(200, R"({"region":"eu"})"), std::nullopt).region == "eu");
}

TEST_CASE("region probe: an answer that names no region does not contradict the config") {
  CHECK(JudgeProbe(Answered(200, "{}"), Region::kEu).IsOk());
}

TEST_CASE("region probe: credentials of another region are named so") {
  const ProbeVerdict verdict = JudgeProbe(Answered(200, kUsBody), Region::kEu);
  CHECK(!verdict.IsOk());
  CHECK(verdict.region == "us");
  CHECK(verdict.message == "these credentials belong to region us, the config says eu");
}

TEST_CASE("region probe: refused credentials, redirects, other answers and none are not ok and say why") {
  for (const int status : {401, 403}) {
    const ProbeVerdict verdict = JudgeProbe(Answered(status), std::nullopt);
    CHECK(!verdict.IsOk());
    CHECK(verdict.message ==
          "HTTP " + std::to_string(status) + ": the site id or the API key is not accepted");
  }
  Answer redirect = Answered(301);
  redirect.location = "https://track-eu.customer.io/api/v1/accounts/region";
  CHECK(!JudgeProbe(redirect, std::nullopt).IsOk());
  CHECK(JudgeProbe(redirect, std::nullopt).message.find("https://track-eu.customer.io") != std::string::npos);
  CHECK(JudgeProbe(Answered(503), std::nullopt).message == "HTTP 503");
  CHECK(!JudgeProbe(Answered(204), std::nullopt).IsOk());
  Answer none;
  none.error = "connect: Connection refused";
  CHECK(!JudgeProbe(none, std::nullopt).IsOk());
  CHECK(JudgeProbe(none, std::nullopt).message == "connect: Connection refused");
}

TEST_CASE("region probe: a 200 from something else is not ok") {
  for (const char* body : {"", "<html></html>", "[]", "\"us\"", "{\"region\":"}) {
    CAPTURE(body);
    const ProbeVerdict verdict = JudgeProbe(Answered(200, body), std::nullopt);
    CHECK(!verdict.IsOk());
    CHECK(verdict.message == "the answer is not the Track API's");
  }
}

TEST_CASE("region probe: each answer says ok, refused, not the Track API, or nothing of it") {
  struct Case {
    int status;
    std::string_view body;
    ProbeResult result;
  };
  for (const Case& one : {Case{200, kUsBody, ProbeResult::kOk},
                          {200, R"({"region":"eu"})", ProbeResult::kRefused},
                          {401, "", ProbeResult::kRefused},
                          {403, "<html>", ProbeResult::kRefused},
                          {301, "", ProbeResult::kRefused},
                          {307, "", ProbeResult::kRefused},
                          {200, "<html>", ProbeResult::kNotTrackApi},
                          {200, "", ProbeResult::kNotTrackApi},
                          {200, "[]", ProbeResult::kNotTrackApi},
                          {204, "", ProbeResult::kNotTrackApi},
                          {400, R"({"meta":{"error":"no"}})", ProbeResult::kNotTrackApi},
                          {404, "", ProbeResult::kNotTrackApi},
                          {600, "", ProbeResult::kNotTrackApi},
                          {0, "", ProbeResult::kNoAnswer},
                          {407, "", ProbeResult::kNoAnswer},
                          {408, "", ProbeResult::kNoAnswer},
                          {423, "", ProbeResult::kNoAnswer},
                          {429, "", ProbeResult::kNoAnswer},
                          {500, "", ProbeResult::kNoAnswer},
                          {503, "<html>", ProbeResult::kNoAnswer}}) {
    CAPTURE(one.status);
    CHECK(JudgeProbe(Answered(one.status, std::string(one.body)), Region::kUs).result == one.result);
  }
  Answer unanswered = Answered(0);
  unanswered.error = "reset: connection closed before an answer";
  for (const Fault fault : {Fault::kNetwork, Fault::kUnanswered, Fault::kProxy, Fault::kOwnTimeout}) {
    unanswered.fault = fault;
    CHECK(JudgeProbe(unanswered, Region::kUs).result == ProbeResult::kNoAnswer);
  }
}

}  // namespace
}  // namespace outboxd
