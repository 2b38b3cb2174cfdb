#include "core/verdict.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "core/cause.h"
#include "core/limits.h"

namespace outboxd {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);  // Tue, 14 Nov 2023 22:13:20 GMT

Answer StatusAnswer(int status) {
  Answer answer;
  answer.status = status;
  return answer;
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

QueuedJob QueuedRaw(const RawRetry& retry) {
  QueuedJob job = Queued(kNow);
  job.job = RawJob(retry);
  return job;
}

TEST_CASE("verdict: each status has its fate") {
  struct Case {
    int status;
    Fate fate;
    bool closes_gate;
    std::string_view reason;
  };
  const std::vector<Case> cases = {
      {200, Fate::kDelivered, false, "200 OK"},
      {201, Fate::kDelivered, false, "201 Created"},
      {204, Fate::kDelivered, false, "204 No Content"},
      {207, Fate::kDelivered, false, "207 Multi-Status"},
      {299, Fate::kDelivered, false, "299"},
      {301, Fate::kPausedRegion, false, "301 Moved Permanently"},
      {302, Fate::kPausedRegion, false, "302 Found"},
      {307, Fate::kPausedRegion, false, "307 Temporary Redirect"},
      {308, Fate::kPausedRegion, false, "308 Permanent Redirect"},
      {399, Fate::kPausedRegion, false, "399"},
      {400, Fate::kRejected, false, "400 Bad Request"},
      {401, Fate::kPausedAuth, false, "401 Unauthorized"},
      {402, Fate::kRejected, false, "402 Payment Required"},
      {403, Fate::kPausedAuth, false, "403 Forbidden"},
      {404, Fate::kRejected, false, "404 Not Found"},
      {408, Fate::kDeferred, true, "408 Request Timeout"},
      {410, Fate::kRejected, false, "410 Gone"},
      {413, Fate::kRejected, false, "413 Content Too Large"},
      {422, Fate::kRejected, false, "422 Unprocessable Content"},
      {429, Fate::kDeferred, true, "429 Too Many Requests"},
      {499, Fate::kRejected, false, "499"},
      {500, Fate::kDeferred, true, "500 Internal Server Error"},
      {503, Fate::kDeferred, true, "503 Service Unavailable"},
      {522, Fate::kDeferred, true, "522"},
      {599, Fate::kDeferred, true, "599"},
      {100, Fate::kRejected, false, "100"},
      {199, Fate::kRejected, false, "199"},
      {600, Fate::kRejected, false, "600"},
      {999, Fate::kRejected, false, "999"},
      {-1, Fate::kRejected, false, "-1"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.status);
    const Verdict verdict = Judge(StatusAnswer(one.status), Job{}, RetryPolicy{}, kNow);
    CHECK(verdict.fate == one.fate);
    CHECK(verdict.closes_gate == one.closes_gate);
    CHECK(verdict.reason == one.reason);
    CHECK_FALSE(verdict.retry_after);
  }
}

TEST_CASE("verdict: no answer defers the job, closes the gate and says why") {
  Answer answer;
  answer.error = "connect: Connection refused";
  const Verdict verdict = Judge(answer, Job{}, RetryPolicy{}, kNow);
  CHECK(verdict.fate == Fate::kDeferred);
  CHECK(verdict.closes_gate);
  CHECK(verdict.reason == "connect: Connection refused");
  CHECK(Judge(Answer{}, Job{}, RetryPolicy{}, kNow).reason == "no answer");
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

TEST_CASE(
    "retry: the delay doubles with each charged attempt up to the cap, jittered over its whole length") {
  RetryPolicy policy;
  policy.base = seconds(1);
  policy.cap = seconds(100);
  policy.max_attempts = 1'000'000;
  const QueuedJob job = Queued(kNow);
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
    CHECK(PlanRetry(job, one.charged, policy, std::nullopt, kNow, 0.0).due == kNow);
    CHECK(PlanRetry(job, one.charged, policy, std::nullopt, kNow, 0.5).due == kNow + one.ceiling / 2);
    const RetryPlan late = PlanRetry(job, one.charged, policy, std::nullopt, kNow, 0.999'999'9);
    CHECK(late.next == AfterDeferral::kRetry);
    CHECK(late.due <= kNow + one.ceiling);
    CHECK(late.due >= kNow + one.ceiling - Milliseconds(1));
  }
}

TEST_CASE("retry: Retry-After is the least to wait, as far as the policy lets it") {
  RetryPolicy policy;
  policy.retry_after_cap = minutes(1);
  const QueuedJob job = Queued(kNow);
  CHECK(PlanRetry(job, 1, policy, seconds(30), kNow, 0.5).due == kNow + seconds(30));
  CHECK(PlanRetry(job, 10, policy, seconds(30), kNow, 0.5).due == kNow + seconds(256));
  CHECK(PlanRetry(job, 1, policy, hours(5), kNow, 0.5).due == kNow + minutes(1));
}

TEST_CASE("retry: the attempts of the policy are used up, then the job is dead") {
  RetryPolicy policy;
  policy.max_attempts = 3;
  const QueuedJob job = Queued(kNow);
  CHECK(PlanRetry(job, 2, policy, std::nullopt, kNow, 0.5).next == AfterDeferral::kRetry);
  CHECK(PlanRetry(job, 3, policy, std::nullopt, kNow, 0.5).next == AfterDeferral::kExhausted);
  CHECK(PlanRetry(job, 4, policy, std::nullopt, kNow, 0.5).next == AfterDeferral::kExhausted);
}

TEST_CASE("retry: a job is expired only when it is too old now, and exhausted before that") {
  RetryPolicy policy;
  policy.max_attempts = 3;
  policy.max_age = hours(1);
  const Timestamp end = kNow + hours(1);
  const QueuedJob job = Queued(kNow);
  const RetryPlan last = PlanRetry(job, 1, policy, minutes(10), end, 0.5);
  CHECK(last.next == AfterDeferral::kRetry);
  CHECK(last.due == end + minutes(10));
  CHECK(PlanRetry(job, 1, policy, std::nullopt, end + Milliseconds(1), 0.5).next == AfterDeferral::kExpired);
  CHECK(PlanRetry(job, 3, policy, std::nullopt, end + Milliseconds(1), 0.5).next ==
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

  const QueuedJob none = QueuedRaw({.max_retries = 0});
  CHECK(PlanRetry(none, 1, policy, std::nullopt, kNow, 0.5).next == AfterDeferral::kExhausted);

  const QueuedJob fixed = QueuedRaw({.max_retries = 2, .delay = Milliseconds(250)});
  CHECK(PlanRetry(fixed, 1, policy, std::nullopt, kNow, 0.1).due == kNow + Milliseconds(250));
  CHECK(PlanRetry(fixed, 2, policy, std::nullopt, kNow, 0.9).due == kNow + Milliseconds(250));
  CHECK(PlanRetry(fixed, 2, policy, seconds(9), kNow, 0.9).due == kNow + seconds(9));
  CHECK(PlanRetry(fixed, 3, policy, std::nullopt, kNow, 0.9).next == AfterDeferral::kExhausted);

  const QueuedJob immediate = QueuedRaw({.max_retries = 2});
  CHECK(PlanRetry(immediate, 1, policy, std::nullopt, kNow, 0.9).due == kNow);

  const QueuedJob endless = QueuedRaw({.max_retries = 2, .delay = hours(24 * 365)});
  CHECK(PlanRetry(endless, 1, policy, std::nullopt, kNow, 0.9).due == kNow + seconds(60));

  const QueuedJob growing = QueuedRaw({.max_retries = 30, .delay = Milliseconds(100), .exponential = true});
  CHECK(PlanRetry(growing, 1, policy, std::nullopt, kNow, 0.5).due == kNow + Milliseconds(50));
  CHECK(PlanRetry(growing, 4, policy, std::nullopt, kNow, 0.5).due == kNow + Milliseconds(400));
  CHECK(PlanRetry(growing, 25, policy, std::nullopt, kNow, 0.5).due == kNow + seconds(30));
  CHECK(PlanRetry(growing, 30, policy, std::nullopt, kNow, 0.5).next == AfterDeferral::kRetry);

  const QueuedJob sane_base = QueuedRaw({.max_retries = 5, .delay = {}, .exponential = true});
  CHECK(PlanRetry(sane_base, 2, policy, std::nullopt, kNow, 0.5).due == kNow + seconds(1));
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
    const RetryPlan plan = PlanRetry(job, charged, policy, retry_after, kNow, jitter);
    REQUIRE(plan.next == AfterDeferral::kRetry);
    REQUIRE(plan.due >= kNow + std::min(retry_after, policy.retry_after_cap));
    REQUIRE(plan.due <= kNow + std::max(policy.cap, policy.retry_after_cap));
  }
}

}  // namespace
}  // namespace outboxd
