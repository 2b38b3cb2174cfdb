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
  CHECK(verdict.ok);
  CHECK(verdict.region == "us");
  CHECK(verdict.environment_id == 3);
  CHECK(verdict.message.empty());
}

TEST_CASE("region probe: any region will do when none is wanted") {
  CHECK(JudgeProbe(Answered(200, kUsBody), std::nullopt).ok);
  CHECK(JudgeProbe(Answered(200, R"({"region":"eu"})"), std::nullopt).region == "eu");
}

TEST_CASE("region probe: an answer that names no region does not contradict the config") {
  CHECK(JudgeProbe(Answered(200, "{}"), Region::kEu).ok);
}

TEST_CASE("region probe: credentials of another region are named so") {
  const ProbeVerdict verdict = JudgeProbe(Answered(200, kUsBody), Region::kEu);
  CHECK(!verdict.ok);
  CHECK(verdict.region == "us");
  CHECK(verdict.message == "these credentials belong to region us, the config says eu");
}

TEST_CASE("region probe: refused credentials, redirects, other answers and none are not ok and say why") {
  for (const int status : {401, 403}) {
    const ProbeVerdict verdict = JudgeProbe(Answered(status), std::nullopt);
    CHECK(!verdict.ok);
    CHECK(verdict.message ==
          "HTTP " + std::to_string(status) + ": the site id or the API key is not accepted");
  }
  Answer redirect = Answered(301);
  redirect.location = "https://track-eu.customer.io/api/v1/accounts/region";
  CHECK(!JudgeProbe(redirect, std::nullopt).ok);
  CHECK(JudgeProbe(redirect, std::nullopt).message.find("https://track-eu.customer.io") != std::string::npos);
  CHECK(JudgeProbe(Answered(503), std::nullopt).message == "HTTP 503");
  CHECK(!JudgeProbe(Answered(204), std::nullopt).ok);
  Answer none;
  none.error = "connect: Connection refused";
  CHECK(!JudgeProbe(none, std::nullopt).ok);
  CHECK(JudgeProbe(none, std::nullopt).message == "connect: Connection refused");
}

TEST_CASE("region probe: a 200 from something else is not ok") {
  for (const char* body : {"", "<html></html>", "[]", "\"us\"", "{\"region\":"}) {
    CAPTURE(body);
    const ProbeVerdict verdict = JudgeProbe(Answered(200, body), std::nullopt);
    CHECK(!verdict.ok);
    CHECK(verdict.message == "the answer is not the Track API's");
  }
}

}  // namespace
}  // namespace outboxd
