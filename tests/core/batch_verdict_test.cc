#include "core/batch_verdict.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace outboxd {
namespace {

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

BatchVerdict JudgeIt(int status, std::string body, std::size_t count = 3) {
  Answer answer;
  answer.status = status;
  answer.body = std::move(body);
  if (status == 0) answer.error = "reset: Connection reset by peer";
  return JudgeBatch(answer, count, RetryPolicy{}, kNow);
}

std::vector<std::size_t> Indexes(const BatchVerdict& verdict) {
  std::vector<std::size_t> indexes;
  for (const ItemRefusal& refusal : verdict.refused) indexes.push_back(refusal.index);
  return indexes;
}

TEST_CASE("batch verdict: 200 delivers all, whatever it says besides errors") {
  for (const char* body : {"{}", "{}\n", "", "[]", R"({"errors":[]})", R"({"errors":null})", "\"ok\""}) {
    CAPTURE(body);
    const BatchVerdict verdict = JudgeIt(200, body);
    CHECK(verdict.rest.fate == Fate::kDelivered);
    CHECK(verdict.refused.empty());
  }
}

TEST_CASE("batch verdict: 207 rejects the items it names and delivers the others") {
  const std::string body =
      R"({"errors":[{"batch_index":2,"reason":"invalid","field":"name","message":"too long"},{"batch_index":0,"reason":"required","field":"action"},)"
      R"({"batch_index":2,"message":"and more"}]})";
  const BatchVerdict verdict = JudgeIt(207, body);
  CHECK(verdict.rest.fate == Fate::kDelivered);
  CHECK(Indexes(verdict) == std::vector<std::size_t>{0, 2});
  CHECK(verdict.refused[0].reason == "207 Multi-Status: action: required");
  CHECK(verdict.refused[1].reason == "207 Multi-Status: name: invalid: too long; and more");
  CHECK(
      verdict.refused[1].answer ==
      R"({"batch_index":2,"reason":"invalid","field":"name","message":"too long"}{"batch_index":2,"message":"and more"})");
}

TEST_CASE("batch verdict: a reason is one line of bounded length, whatever the answer holds") {
  const std::string long_text(5000, 'x');
  const BatchVerdict verdict =
      JudgeIt(207, R"({"errors":[{"batch_index":0,"message":"a\nb\u001b[31m"},{"batch_index":1,"message":")" +
                       long_text + "é\"}]}");
  REQUIRE(verdict.refused.size() == 2);
  CHECK(verdict.refused[0].reason == "207 Multi-Status: a b [31m");
  CHECK(verdict.refused[1].reason.size() < 400);
}

TEST_CASE("batch verdict: errors on a 200 count as those of a 207") {
  CHECK(Indexes(JudgeIt(200, R"({"errors":[{"batch_index":1}]})")) == std::vector<std::size_t>{1});
}

TEST_CASE("batch verdict: a 207 without errors is all good") {
  CHECK(JudgeIt(207, R"({"errors":[]})").rest.fate == Fate::kDelivered);
}

TEST_CASE("batch verdict: an error that names no item of the batch splits what is not rejected") {
  for (const char* index : {"3", "-1", "1.5", "\"1\"", "null", "1e99"}) {
    CAPTURE(index);
    const BatchVerdict verdict = JudgeIt(
        207, std::string(R"({"errors":[{"batch_index":0},{"message":"odd","batch_index":)") + index + "}]}");
    CHECK(verdict.rest.fate == Fate::kSplit);
    CHECK(verdict.rest.reason == "207 Multi-Status: odd");
    CHECK(Indexes(verdict) == std::vector<std::size_t>{0});
  }
  CHECK(JudgeIt(207, R"({"errors":[{"message":"which one?"}]})").rest.fate == Fate::kSplit);
  CHECK(JudgeIt(207, R"({"failed":1})").rest.fate == Fate::kSplit);
  CHECK(JudgeIt(207, "").rest.fate == Fate::kSplit);
}

TEST_CASE("batch verdict: any error about a batch of one is about that one") {
  CHECK(Indexes(JudgeIt(207, R"({"errors":[{"message":"which one?"}]})", 1)) == std::vector<std::size_t>{0});
  CHECK(Indexes(JudgeIt(207, R"({"errors":[{"batch_index":7}]})", 1)) == std::vector<std::size_t>{0});
  CHECK(JudgeIt(207, R"({"failed":1})", 1).rest.fate == Fate::kRejected);
  CHECK(JudgeIt(207, R"({"failed":1})", 1).refused.empty());
}

TEST_CASE("batch verdict: a batch refused as a whole is split, one job alone is rejected") {
  for (const int status : {400, 413, 422}) {
    CAPTURE(status);
    CHECK(JudgeIt(status, R"({"errors":[{"reason":"invalid"}]})", 2).rest.fate == Fate::kSplit);
    CHECK(JudgeIt(status, R"({"errors":[{"reason":"invalid"}]})", 1).rest.fate == Fate::kRejected);
  }
}

TEST_CASE("batch verdict: 404 and 405 in whatever words may mean that the host has no batches") {
  for (const int status : {404, 405}) {
    for (const char* body : {R"({"meta":{"error":"Not Found"}})", R"({"errors":[{"reason":"invalid"}]})",
                             "404 page not found", ""}) {
      CAPTURE(status);
      CAPTURE(std::string(body));
      const BatchVerdict verdict = JudgeIt(status, body);
      CHECK(verdict.rest.fate == Fate::kNotTrackApi);
      CHECK(verdict.rest.believed == Fate::kSplit);
      CHECK(verdict.is_route_missing);
      CHECK_FALSE(JudgeIt(status, body, 1).is_route_missing);
      Answer answer;
      answer.status = status;
      answer.body = body;
      const BatchVerdict trusted = JudgeBatch(answer, 3, RetryPolicy{}, kNow, Trust::kEveryStatus);
      CHECK(trusted.rest.fate == Fate::kSplit);
      CHECK(trusted.is_route_missing);
    }
  }
  for (const int status : {200, 207, 400, 401, 410, 413, 500, 0})
    CHECK_FALSE(JudgeIt(status, R"({"errors":[]})").is_route_missing);
}

TEST_CASE("batch verdict: what says nothing about the jobs is judged as for one") {
  CHECK(JudgeIt(0, "").rest.fate == Fate::kDeferred);
  CHECK(JudgeIt(0, "").rest.closes_gate);
  CHECK(JudgeIt(429, "").rest.fate == Fate::kDeferred);
  CHECK(JudgeIt(503, R"({"errors":[{"batch_index":0}]})").rest.fate == Fate::kDeferred);
  CHECK(JudgeIt(503, R"({"errors":[{"batch_index":0}]})").refused.empty());
  CHECK(JudgeIt(401, "").rest.fate == Fate::kPausedAuth);
  CHECK(JudgeIt(301, "").rest.fate == Fate::kPausedRegion);
}

TEST_CASE(
    "batch verdict: what is not the Track API's own delivers and rejects nobody, and splits if believed") {
  constexpr const char* kPage = "<html><title>Not Found</title></html>";
  struct Case {
    int status;
    const char* body;
  };
  for (const Case& one : {Case{404, kPage},
                          {405, ""},
                          {404, "404 page not found"},
                          {400, R"({"error":"no route"})"},
                          {200, kPage},
                          {207, kPage},
                          {207, R"({"errors":[{"batch_ind)"},
                          {600, "{}"}}) {
    CAPTURE(one.status);
    CAPTURE(std::string(one.body));
    const BatchVerdict verdict = JudgeIt(one.status, one.body);
    CHECK(verdict.rest.fate == Fate::kNotTrackApi);
    CHECK(verdict.rest.believed == Fate::kSplit);
    CHECK(verdict.refused.empty());
    const BatchVerdict single = JudgeIt(one.status, one.body, 1);
    CHECK(single.rest.fate == Fate::kNotTrackApi);
    CHECK(single.rest.believed == (one.status / 100 == 2 ? Fate::kDeferred : Fate::kRejected));
  }
  const auto trusting = [](int status, const char* body) {
    Answer answer;
    answer.status = status;
    answer.body = body;
    return JudgeBatch(answer, 3, RetryPolicy{}, kNow, Trust::kEveryStatus).rest.fate;
  };
  CHECK(trusting(200, kPage) == Fate::kDelivered);
  CHECK(trusting(404, kPage) == Fate::kSplit);
  CHECK(trusting(207, kPage) == Fate::kSplit);
}

TEST_CASE(
    "batch verdict: of a 207 that was cut the whole errors count, and the rest is delivered by its status") {
  const auto judge = [](std::string body) {
    Answer answer;
    answer.status = 207;
    answer.body = std::move(body);
    answer.is_body_cut = true;
    return JudgeBatch(answer, 5, RetryPolicy{}, kNow);
  };
  struct Case {
    std::string_view body;
    std::vector<std::size_t> refused;
  };
  const std::vector<Case> cases = {
      {R"({"errors":[{"batch_index":1,"message":"a"},{"batch_index":3,"message":"b"},{"batch_index":4,"mess)",
       {1, 3}},
      {R"({"errors":[{"batch_index":1,"message":"a"},{"batch_index":3,"message":"b"})", {1, 3}},
      {R"({"errors":[{"batch_index":1},)", {1}},
      {R"({"errors":[{"batch_index":1,"more":{"a":[1,2]}},{"batch_index":2,"more":{"a":[1,)", {1}},
      {R"({"errors":[{"batch_index":2}],"padding":"xxxxxxx)", {2}},
      {R"({"errors":[{"batch_index":2}],"padding":["xxxxxxx)", {2}},
      {R"({"before":[1],"errors":[{"batch_index":0,"n":1e400},{)", {0}},
      {"{\"errors\":[{\"batch_index\":0},{\"message\":\"\xc3", {0}},
      {R"({"errors":[{"batch_index":0,"message":"one long text)", {}},
      {R"({"errors":[)", {}},
      {R"({"errors":{"a":)", {}},
      {R"({"padding":"errors)", {}},
      {R"({"padding":[{"batch_index":1},)", {}},
  };
  for (const Case& one : cases) {
    CAPTURE(one.body);
    const BatchVerdict verdict = judge(std::string(one.body));
    CHECK(verdict.rest.fate == Fate::kDelivered);
    CHECK(Indexes(verdict) == one.refused);
  }
  CHECK(judge(R"({"errors":[{"message":"which one?"},{"batch_in)").rest.fate == Fate::kSplit);
  CHECK(judge("<html><title>a long page").rest.fate == Fate::kNotTrackApi);
}

TEST_CASE("batch verdict: whose fault a missing answer is counts for all of it") {
  Answer answer;
  answer.error = "reset: Connection reset by peer";
  answer.fault = Fault::kUnanswered;
  CHECK(JudgeBatch(answer, 3, RetryPolicy{}, kNow).rest.fate == Fate::kUnanswered);
  answer.fault = Fault::kProxy;
  CHECK(JudgeBatch(answer, 3, RetryPolicy{}, kNow).rest.fate == Fate::kPausedProxy);
  CHECK(JudgeIt(407, "").rest.fate == Fate::kPausedProxy);
  CHECK(JudgeIt(423, "").rest.fate == Fate::kDeferred);
}

TEST_CASE("batch: a secret that the answer echoes is judged and not told") {
  const auto secrets = std::make_shared<Secrets>();
  secrets->Add("site", "batch_index");
  Answer answer;
  answer.status = 207;
  answer.body =
      R"({"errors":[{"batch_index":1,"reason":"got site:batch_index","message":"Basic c2l0ZTpiYXRjaF9pbmRleA=="},)"
      R"({"reason":"whose? batch_index"}]})";
  answer.secrets = secrets;
  const BatchVerdict verdict = JudgeBatch(answer, 3, RetryPolicy(), Timestamp());
  REQUIRE(verdict.refused.size() == 1);
  CHECK(verdict.refused[0].index == 1);
  CHECK(verdict.refused[0].reason == "207 Multi-Status: got [redacted]: Basic [redacted]==");
  CHECK_FALSE(secrets->StandIn(verdict.refused[0].answer));
  CHECK(verdict.rest.fate == Fate::kSplit);
  CHECK_FALSE(secrets->StandIn(verdict.rest.reason));
}

}  // namespace
}  // namespace outboxd
