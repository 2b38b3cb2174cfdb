// Which repeat of a request is answered with the job that the first one made.
#include "daemon/intake/lost_answers.h"

#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace outboxd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

HttpRequestView Post(std::string_view body, std::string_view target = "/api/v1/events") {
  HttpRequestView request;
  request.method = "POST";
  request.target = target;
  request.body = body;
  return request;
}

HttpResponse Answer(const std::string& job) {
  return {200, kJsonType, "{}", {{"X-Outbox-Job", job}}};
}

const LostAnswers::Time kNow = LostAnswers::Time() + std::chrono::hours(1);

TEST_CASE("lost answers: one serves one repeat with the same bytes on the same connection") {
  LostAnswers lost;
  CHECK_FALSE(lost.HasAny());
  lost.Keep("default", Post("{}"), Answer("1"), kNow);
  CHECK(lost.HasAny());
  CHECK_FALSE(lost.Take("other", Post("{}"), kNow));
  CHECK_FALSE(lost.Take("default", Post("{ }"), kNow));
  CHECK_FALSE(lost.Take("default", Post("{}", "/api/v1/events?x"), kNow));
  HttpRequestView put = Post("{}");
  put.method = "PUT";
  CHECK_FALSE(lost.Take("default", put, kNow));
  const std::optional<HttpResponse> answer = lost.Take("default", Post("{}"), kNow + seconds(60));
  REQUIRE(answer);
  CHECK(answer->headers == Answer("1").headers);
  CHECK_FALSE(lost.Take("default", Post("{}"), kNow));
  CHECK_FALSE(lost.HasAny());
}

TEST_CASE("lost answers: one older than a minute serves none") {
  LostAnswers lost;
  lost.Keep("default", Post("{}"), Answer("1"), kNow);
  CHECK_FALSE(lost.Take("default", Post("{}"), kNow + seconds(60) + milliseconds(1)));
  lost.Keep("default", Post("{}"), Answer("1"), kNow);
  lost.Forget(kNow + seconds(59));
  CHECK(lost.HasAny());
  lost.Forget(kNow + seconds(61));
  CHECK_FALSE(lost.HasAny());
}

TEST_CASE("lost answers: beyond 4096, or 4 MiB of requests, the oldest are forgotten") {
  LostAnswers many;
  for (int i = 0; i < 4097; ++i) many.Keep("default", Post(std::to_string(i)), Answer("x"), kNow);
  CHECK_FALSE(many.Take("default", Post("0"), kNow));
  CHECK(many.Take("default", Post("1"), kNow));
  CHECK(many.Take("default", Post("4096"), kNow));
  LostAnswers large;
  for (const char* first : {"a", "b", "c"})
    large.Keep("default", Post(first + std::string(2'000'000, 'x')), Answer("x"), kNow);
  CHECK_FALSE(large.Take("default", Post("a" + std::string(2'000'000, 'x')), kNow));
  CHECK(large.Take("default", Post("c" + std::string(2'000'000, 'x')), kNow));
}

TEST_CASE("lost answers: only a count of one or more makes a request a repeat") {
  const auto is_repeat = [](std::string_view count) {
    HttpRequestView request = Post("{}");
    request.headers.emplace_back("x-retry-count", count);
    return IsRepeat(request);
  };
  CHECK(is_repeat("1"));
  CHECK(is_repeat("12"));
  for (const char* none : {"", "0", "00", "-1", "1x", " 1", "1234567"}) CHECK_FALSE(is_repeat(none));
  CHECK_FALSE(IsRepeat(Post("{}")));
}

}  // namespace
}  // namespace outboxd
