#include "core/verdict.h"

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/cause.h"
#include "core/limits.h"

namespace outboxd {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);  // Tue, 14 Nov 2023 22:13:20 GMT

constexpr std::string_view kOwnRefusal = R"({"meta":{"error":"name is required"}})";
constexpr std::string_view kPage = "<html><head><title>404 Not Found</title></head></html>";

Answer StatusAnswer(int status, std::string_view body = "") {
  Answer answer;
  answer.status = status;
  answer.body = body;
  return answer;
}

Answer NoAnswer(Fault fault) {
  Answer answer;
  answer.fault = fault;
  answer.error = "reset: connection closed before an answer";
  return answer;
}

Verdict JudgeTrack(const Answer& answer, Trust trust = Trust::kTrackApi) {
  return Judge(answer, Job{}, RetryPolicy{}, kNow, trust);
}

Job RawJob(const RawRetry& retry) {
  Job job;
  job.type = JobType::kRaw;
  job.raw = std::make_unique<RawCall>();
  job.raw->retry = retry;
  return job;
}

QueuedJob Queued(Timestamp accepted) {
  QueuedJob job;
  job.stamp.accepted = accepted;
  return job;
}

// The plan for a job that has failed `count` times, charged each time.
RetryPlan PlanAfter(QueuedJob& job, std::uint32_t count, const RetryPolicy& policy,
                    std::optional<Milliseconds> retry_after, Timestamp now, double random) {
  job.failures = job.charged = count;
  return PlanRetry(job, policy, retry_after, now, random);
}

QueuedJob QueuedRaw(const RawRetry& retry) {
  QueuedJob job = Queued(kNow);
  job.job = RawJob(retry);
  return job;
}

TEST_CASE("verdict: each status has its fate, whatever comes with it or only with the Track API's own body") {
  using enum Fate;
  struct Case {
    int status;
    Fate own, page;  // with the API's own body, and with a page
    Fate believed;   // with a page, by whoever believes every status
    std::string_view reason;
  };
  const std::vector<Case> cases = {
      {200, kDelivered, kNotTrackApi, kDelivered, "200 OK"},
      {201, kDelivered, kNotTrackApi, kDelivered, "201 Created"},
      {204, kDelivered, kNotTrackApi, kDelivered, "204 No Content"},
      {207, kDelivered, kNotTrackApi, kDelivered, "207 Multi-Status"},
      {299, kDelivered, kNotTrackApi, kDelivered, "299"},
      {300, kPausedRegion, kPausedRegion, kPausedRegion, "300 Multiple Choices"},
      {301, kPausedRegion, kPausedRegion, kPausedRegion, "301 Moved Permanently"},
      {302, kPausedRegion, kPausedRegion, kPausedRegion, "302 Found"},
      {307, kPausedRegion, kPausedRegion, kPausedRegion, "307 Temporary Redirect"},
      {308, kPausedRegion, kPausedRegion, kPausedRegion, "308 Permanent Redirect"},
      {399, kPausedRegion, kPausedRegion, kPausedRegion, "399"},
      {400, kRejected, kNotTrackApi, kRejected, "400 Bad Request"},
      {401, kPausedAuth, kPausedAuth, kPausedAuth, "401 Unauthorized"},
      {402, kRejected, kNotTrackApi, kRejected, "402 Payment Required"},
      {403, kPausedAuth, kPausedAuth, kPausedAuth, "403 Forbidden"},
      {404, kRejected, kNotTrackApi, kRejected, "404 Not Found"},
      {405, kRejected, kNotTrackApi, kRejected, "405 Method Not Allowed"},
      {407, kPausedProxy, kPausedProxy, kPausedProxy, "407 Proxy Authentication Required"},
      {408, kDeferred, kDeferred, kDeferred, "408 Request Timeout"},
      {410, kRejected, kNotTrackApi, kRejected, "410 Gone"},
      {413, kRejected, kNotTrackApi, kRejected, "413 Content Too Large"},
      {421, kDeferred, kDeferred, kDeferred, "421 Misdirected Request"},
      {422, kRejected, kNotTrackApi, kRejected, "422 Unprocessable Content"},
      {423, kDeferred, kDeferred, kDeferred, "423 Locked"},
      {424, kRejected, kNotTrackApi, kRejected, "424"},
      {425, kDeferred, kDeferred, kDeferred, "425 Too Early"},
      {429, kDeferred, kDeferred, kDeferred, "429 Too Many Requests"},
      {499, kRejected, kNotTrackApi, kRejected, "499"},
      {500, kDeferred, kDeferred, kDeferred, "500 Internal Server Error"},
      {503, kDeferred, kDeferred, kDeferred, "503 Service Unavailable"},
      {522, kDeferred, kDeferred, kDeferred, "522"},
      {599, kDeferred, kDeferred, kDeferred, "599"},
      {100, kNotTrackApi, kNotTrackApi, kRejected, "100"},
      {199, kNotTrackApi, kNotTrackApi, kRejected, "199"},
      {600, kNotTrackApi, kNotTrackApi, kRejected, "600"},
      {999, kNotTrackApi, kNotTrackApi, kRejected, "999"},
      {-1, kNotTrackApi, kNotTrackApi, kRejected, "-1"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.status);
    struct Variant {
      std::string_view body;
      Trust trust;
      Fate fate;
    };
    for (const Variant& variant :
         {Variant{kOwnRefusal, Trust::kTrackApi, one.own}, Variant{kPage, Trust::kTrackApi, one.page},
          Variant{kPage, Trust::kEveryStatus, one.believed}}) {
      const Verdict verdict = JudgeTrack(StatusAnswer(one.status, variant.body), variant.trust);
      CHECK(verdict.fate == variant.fate);
      CHECK(verdict.closes_gate == (variant.fate == kDeferred));
      CHECK(verdict.always_closes_gate == (one.status == 429));
      CHECK(verdict.believed.has_value() == (variant.fate == kNotTrackApi));
      if (variant.fate != kNotTrackApi) CHECK(verdict.reason == one.reason);
      CHECK_FALSE(verdict.retry_after);
    }
  }
}

TEST_CASE("verdict: an answer that is not the Track API's names what it holds, and what it would mean") {
  const Verdict missing = JudgeTrack(StatusAnswer(404, kPage));
  CHECK(missing.reason == "404 Not Found: not the Track API's answer: 404 Not Found");
  CHECK(missing.believed == Fate::kRejected);
  const Verdict login = JudgeTrack(StatusAnswer(200, "<html><title>Log\nin</title>"));
  CHECK(login.reason == "200 OK: not the Track API's answer: Log in");
  CHECK(login.believed == Fate::kDeferred);
  CHECK(JudgeTrack(StatusAnswer(404)).reason == "404 Not Found: not the Track API's answer: no body");
  CHECK(JudgeTrack(StatusAnswer(600, "{}")).believed == Fate::kRejected);
  CHECK(JudgeTrack(StatusAnswer(404, std::string(50'000, 'x'))).reason.size() < 200);
}

TEST_CASE("verdict: a list of errors is a refusal by the API's second version only") {
  const Answer answer =
      StatusAnswer(400, R"({"errors":[{"reason":"invalid","field":"name","message":"no"}]})");
  CHECK(JudgeTrack(answer).fate == Fate::kNotTrackApi);
  Job job;
  job.call = std::make_unique<TrackCall>();
  job.call->target = "/api/v2/entity";
  CHECK(Judge(answer, job, RetryPolicy{}, kNow).fate == Fate::kRejected);
  job.call->target = "/api/v1/customers/api/v2/entity";
  CHECK(Judge(answer, job, RetryPolicy{}, kNow).fate == Fate::kNotTrackApi);
}

TEST_CASE("verdict: a raw job is judged by status, apart from a page where it asked for JSON") {
  Job job;
  job.type = JobType::kRaw;
  job.raw = std::make_unique<RawCall>();
  const auto fate = [&](int status, std::string_view body) {
    return Judge(StatusAnswer(status, body), job, RetryPolicy{}, kNow).fate;
  };
  for (const std::optional<ResponseType> type :
       {std::optional<ResponseType>(), std::optional(ResponseType::kText),
        std::optional(ResponseType::kBinary)}) {
    job.raw->response_type = type;
    CHECK(fate(200, kPage) == Fate::kDelivered);
    CHECK(fate(404, kPage) == Fate::kRejected);
    CHECK(fate(404, "") == Fate::kRejected);
    CHECK(fate(600, "") == Fate::kRejected);
  }
  job.raw->response_type = ResponseType::kJson;
  CHECK(fate(200, kPage) == Fate::kNotTrackApi);
  CHECK(fate(404, kPage) == Fate::kNotTrackApi);
  CHECK(fate(200, "OK") == Fate::kDelivered);
  CHECK(fate(404, R"({"error":"none"})") == Fate::kRejected);
  CHECK(fate(503, kPage) == Fate::kDeferred);
  CHECK(fate(407, kPage) == Fate::kPausedProxy);
  CHECK(Judge(StatusAnswer(404, kPage), job, RetryPolicy{}, kNow, Trust::kEveryStatus).fate ==
        Fate::kRejected);
}

TEST_CASE("verdict: no answer defers the job, closes the gate and says why, unless the fault is another's") {
  Answer answer;
  answer.error = "connect: Connection refused";
  for (const Fault fault : {Fault::kNone, Fault::kNetwork}) {
    answer.fault = fault;
    const Verdict verdict = JudgeTrack(answer);
    CHECK(verdict.fate == Fate::kDeferred);
    CHECK(verdict.closes_gate);
    CHECK_FALSE(verdict.always_closes_gate);
    CHECK(verdict.reason == "connect: Connection refused");
  }
  CHECK(JudgeTrack(Answer{}).reason == "no answer");
  const Verdict unanswered = JudgeTrack(NoAnswer(Fault::kUnanswered));
  CHECK(unanswered.fate == Fate::kUnanswered);
  CHECK_FALSE(unanswered.closes_gate);
  const Verdict proxy = JudgeTrack(NoAnswer(Fault::kProxy));
  CHECK(proxy.fate == Fate::kPausedProxy);
  CHECK_FALSE(proxy.closes_gate);
  const Verdict own = JudgeTrack(NoAnswer(Fault::kOwnTimeout));
  CHECK(own.fate == Fate::kDeferred);
  CHECK_FALSE(own.closes_gate);
}

TEST_CASE("verdict: a redirect names where it points to, within limits") {
  Answer answer = StatusAnswer(301);
  answer.location = "https://track-eu.customer.io/api/v1/customers/42";
  CHECK(Judge(answer, Job{}, RetryPolicy{}, kNow).reason ==
        "301 Moved Permanently to https://track-eu.customer.io/api/v1/customers/42");
  answer.location.assign(100'000, 'x');
  CHECK(Judge(answer, Job{}, RetryPolicy{}, kNow).reason.size() < 300);
}

TEST_CASE("verdict: Retry-After counts for deferrals alone and is capped by the policy") {
  RetryPolicy policy;
  policy.retry_after_cap = minutes(15);
  for (const int status : {408, 429, 500, 503}) {
    Answer answer = StatusAnswer(status);
    answer.retry_after = "7";
    CHECK(Judge(answer, Job{}, policy, kNow).retry_after == seconds(7));
    answer.retry_after = "Tue, 14 Nov 2023 22:14:20 GMT";
    CHECK(Judge(answer, Job{}, policy, kNow).retry_after == seconds(60));
    answer.retry_after = "86400";
    CHECK(Judge(answer, Job{}, policy, kNow).retry_after == minutes(15));
    answer.retry_after = "99999999999999999999999999";
    CHECK(Judge(answer, Job{}, policy, kNow).retry_after == minutes(15));
    answer.retry_after = "soon";
    CHECK_FALSE(Judge(answer, Job{}, policy, kNow).retry_after);
    CHECK(Judge(answer, Job{}, policy, kNow).always_closes_gate == (status == 429));
    answer.retry_after = "0";
    CHECK(Judge(answer, Job{}, policy, kNow).always_closes_gate == (status == 429));
    answer.retry_after = "7";
    CHECK(Judge(answer, Job{}, policy, kNow).always_closes_gate);
  }
  for (const int status : {200, 301, 400, 401, 413}) {
    Answer answer = StatusAnswer(status);
    answer.retry_after = "7";
    CHECK_FALSE(Judge(answer, Job{}, policy, kNow).retry_after);
  }
}

TEST_CASE("verdict: all_errors of a raw job turns its rejections into deferrals that leave the gate open") {
  const Job job = RawJob({.max_retries = 3, .delay = {}, .exponential = false, .all_errors = true});
  const Verdict rejected = Judge(StatusAnswer(400), job, RetryPolicy{}, kNow);
  CHECK(rejected.fate == Fate::kDeferred);
  CHECK_FALSE(rejected.closes_gate);
  CHECK(Judge(StatusAnswer(503), job, RetryPolicy{}, kNow).closes_gate);
  CHECK(Judge(StatusAnswer(401), job, RetryPolicy{}, kNow).fate == Fate::kPausedAuth);
  CHECK(Judge(StatusAnswer(301), job, RetryPolicy{}, kNow).fate == Fate::kPausedRegion);
  CHECK(Judge(StatusAnswer(200), job, RetryPolicy{}, kNow).fate == Fate::kDelivered);
  CHECK(Judge(StatusAnswer(400), RawJob({.max_retries = 3}), RetryPolicy{}, kNow).fate == Fate::kRejected);
  Job strict = RawJob({.max_retries = 3, .all_errors = true});
  strict.raw->response_type = ResponseType::kJson;
  const Verdict page = Judge(StatusAnswer(404, kPage), strict, RetryPolicy{}, kNow);
  CHECK(page.fate == Fate::kNotTrackApi);
  CHECK(page.believed == Fate::kDeferred);
}

TEST_CASE("verdict: Retry-After is seconds or an HTTP date and never negative") {
  struct Case {
    std::string_view value;
    std::optional<Milliseconds> expected;
  };
  const std::vector<Case> cases = {
      {"0", Milliseconds(0)},
      {"1", seconds(1)},
      {"120", seconds(120)},
      {" 120\t", seconds(120)},
      {"000120", seconds(120)},
      {"Tue, 14 Nov 2023 22:13:21 GMT", seconds(1)},
      {"Tuesday, 14-Nov-23 22:23:20 GMT", minutes(10)},
      {"Tue Nov 14 23:13:20 2023", hours(1)},
      {"Tue, 14 Nov 2023 22:13:19 GMT", Milliseconds(0)},
      {"Sun, 06 Nov 1994 08:49:37 GMT", Milliseconds(0)},
      {"Fri, 31 Dec 9999 23:59:59 GMT", seconds(limits::kMaxAgeSeconds)},
      {"9223372036854775807", seconds(limits::kMaxAgeSeconds)},
      {"9223372036854775808", seconds(limits::kMaxAgeSeconds)},
      {"99999999999999999999999999999999999999999999", seconds(limits::kMaxAgeSeconds)},
      {"", std::nullopt},
      {"  ", std::nullopt},
      {"-1", std::nullopt},
      {"+1", std::nullopt},
      {"1.5", std::nullopt},
      {"1e3", std::nullopt},
      {"0x10", std::nullopt},
      {"1 2", std::nullopt},
      {"1, 2", std::nullopt},
      {"soon", std::nullopt},
      {"2023-11-14T22:13:21Z", std::nullopt},
      {std::string_view("1\0", 2), std::nullopt},
  };
  for (const Case& one : cases) {
    CAPTURE(one.value);
    CHECK(ParseRetryAfter(one.value, kNow) == one.expected);
  }
}

TEST_CASE("retry: the delay doubles with each failure up to the cap, jittered over its whole length") {
  RetryPolicy policy;
  policy.base = seconds(1);
  policy.cap = seconds(100);
  policy.max_attempts = 1'000'000;
  QueuedJob job = Queued(kNow);
  struct Case {
    std::uint32_t charged;
    Milliseconds ceiling;
  };
  for (const Case& one : {Case{1, seconds(1)},
                          {2, seconds(2)},
                          {3, seconds(4)},
                          {7, seconds(64)},
                          {8, seconds(100)},
                          {64, seconds(100)},
                          {100'000, seconds(100)}}) {
    CAPTURE(one.charged);
    CHECK(PlanAfter(job, one.charged, policy, std::nullopt, kNow, 0.0).due == kNow);
    CHECK(PlanAfter(job, one.charged, policy, std::nullopt, kNow, 0.5).due == kNow + one.ceiling / 2);
    const RetryPlan late = PlanAfter(job, one.charged, policy, std::nullopt, kNow, 0.999'999'9);
    CHECK(late.next == AfterDeferral::kRetry);
    CHECK(late.due <= kNow + one.ceiling);
    CHECK(late.due >= kNow + one.ceiling - Milliseconds(1));
  }
}

TEST_CASE("retry: Retry-After is the least to wait, as far as the policy lets it") {
  RetryPolicy policy;
  policy.retry_after_cap = minutes(1);
  QueuedJob job = Queued(kNow);
  CHECK(PlanAfter(job, 1, policy, seconds(30), kNow, 0.5).due == kNow + seconds(30));
  CHECK(PlanAfter(job, 10, policy, seconds(30), kNow, 0.5).due == kNow + seconds(256));
  CHECK(PlanAfter(job, 1, policy, hours(5), kNow, 0.5).due == kNow + minutes(1));
}

TEST_CASE("retry: the attempts of the policy are used up, then the job is dead") {
  RetryPolicy policy;
  policy.max_attempts = 3;
  QueuedJob job = Queued(kNow);
  CHECK(PlanAfter(job, 2, policy, std::nullopt, kNow, 0.5).next == AfterDeferral::kRetry);
  CHECK(PlanAfter(job, 3, policy, std::nullopt, kNow, 0.5).next == AfterDeferral::kExhausted);
  CHECK(PlanAfter(job, 4, policy, std::nullopt, kNow, 0.5).next == AfterDeferral::kExhausted);
}

TEST_CASE("retry: failures that are not charged lengthen the wait, and use up no attempts") {
  RetryPolicy policy;
  policy.max_attempts = 3;
  QueuedJob job = Queued(kNow);
  job.failures = 1'000;
  job.charged = 2;
  const RetryPlan plan = PlanRetry(job, policy, std::nullopt, kNow, 0.5);
  CHECK(plan.next == AfterDeferral::kRetry);
  CHECK(plan.due == kNow + policy.cap / 2);
  job.charged = 3;
  CHECK(PlanRetry(job, policy, std::nullopt, kNow, 0.5).next == AfterDeferral::kExhausted);
}

TEST_CASE("retry: a job is expired only when it is too old now, and exhausted before that") {
  RetryPolicy policy;
  policy.max_attempts = 3;
  policy.max_age = hours(1);
  const Timestamp end = kNow + hours(1);
  QueuedJob job = Queued(kNow);
  const RetryPlan last = PlanAfter(job, 1, policy, minutes(10), end, 0.5);
  CHECK(last.next == AfterDeferral::kRetry);
  CHECK(last.due == end + minutes(10));
  CHECK(PlanAfter(job, 1, policy, std::nullopt, end + Milliseconds(1), 0.5).next == AfterDeferral::kExpired);
  CHECK(PlanAfter(job, 3, policy, std::nullopt, end + Milliseconds(1), 0.5).next ==
        AfterDeferral::kExhausted);
}

TEST_CASE("retry: age counts from acceptance or the last redrive, against the job's own limit first") {
  RetryPolicy policy;
  policy.max_age = hours(72);
  QueuedJob job = Queued(kNow - hours(73));
  CHECK(IsExpired(job, policy, kNow));
  job.redriven = kNow - hours(1);
  CHECK_FALSE(IsExpired(job, policy, kNow));
  job.job.max_age = minutes(10);
  CHECK(IsExpired(job, policy, kNow));
  job.job.max_age = seconds(limits::kMaxAgeSeconds);
  CHECK_FALSE(IsExpired(job, policy, kNow));
  CHECK_FALSE(IsExpired(Queued(kNow + hours(1)), policy, kNow));  // the clock was set back
}

TEST_CASE("retry: a raw job's own rule replaces count, base and growth") {
  RetryPolicy policy;
  policy.base = seconds(1);
  policy.cap = seconds(60);
  policy.max_attempts = 20;

  QueuedJob none = QueuedRaw({.max_retries = 0});
  CHECK(PlanAfter(none, 1, policy, std::nullopt, kNow, 0.5).next == AfterDeferral::kExhausted);

  QueuedJob fixed = QueuedRaw({.max_retries = 2, .delay = Milliseconds(250)});
  CHECK(PlanAfter(fixed, 1, policy, std::nullopt, kNow, 0.1).due == kNow + Milliseconds(250));
  CHECK(PlanAfter(fixed, 2, policy, std::nullopt, kNow, 0.9).due == kNow + Milliseconds(250));
  CHECK(PlanAfter(fixed, 2, policy, seconds(9), kNow, 0.9).due == kNow + seconds(9));
  CHECK(PlanAfter(fixed, 3, policy, std::nullopt, kNow, 0.9).next == AfterDeferral::kExhausted);

  QueuedJob immediate = QueuedRaw({.max_retries = 2});
  CHECK(PlanAfter(immediate, 1, policy, std::nullopt, kNow, 0.9).due == kNow);

  QueuedJob endless = QueuedRaw({.max_retries = 2, .delay = hours(24 * 365)});
  CHECK(PlanAfter(endless, 1, policy, std::nullopt, kNow, 0.9).due == kNow + seconds(60));

  QueuedJob growing = QueuedRaw({.max_retries = 30, .delay = Milliseconds(100), .exponential = true});
  CHECK(PlanAfter(growing, 1, policy, std::nullopt, kNow, 0.5).due == kNow + Milliseconds(50));
  CHECK(PlanAfter(growing, 4, policy, std::nullopt, kNow, 0.5).due == kNow + Milliseconds(400));
  CHECK(PlanAfter(growing, 25, policy, std::nullopt, kNow, 0.5).due == kNow + seconds(30));
  CHECK(PlanAfter(growing, 30, policy, std::nullopt, kNow, 0.5).next == AfterDeferral::kRetry);

  QueuedJob sane_base = QueuedRaw({.max_retries = 5, .delay = {}, .exponential = true});
  CHECK(PlanAfter(sane_base, 2, policy, std::nullopt, kNow, 0.5).due == kNow + seconds(1));
}

TEST_CASE("retry: whatever the policy, no plan lies in the past or beyond the caps") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    RetryPolicy policy;
    policy.base = Milliseconds(random() % 100'000);
    policy.cap = Milliseconds(random() % 10'000'000);
    policy.retry_after_cap = Milliseconds(random() % 1'000'000);
    QueuedJob job = Queued(kNow);
    if (random() % 2 == 0) {
      job = QueuedRaw(
          {.max_retries = 1000, .delay = Milliseconds(random() % 100'000), .exponential = random() % 2 == 0});
    }
    const auto charged = static_cast<std::uint32_t>(1 + random() % 19);
    const Milliseconds retry_after(random() % 2'000'000);
    const double jitter = std::uniform_real_distribution<double>(0, 1)(random);
    const RetryPlan plan = PlanAfter(job, charged, policy, retry_after, kNow, jitter);
    REQUIRE(plan.next == AfterDeferral::kRetry);
    REQUIRE(plan.due >= kNow + std::min(retry_after, policy.retry_after_cap));
    REQUIRE(plan.due <= kNow + std::max(policy.cap, policy.retry_after_cap));
  }
}

}  // namespace
}  // namespace outboxd
