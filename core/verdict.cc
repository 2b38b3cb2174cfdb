#include "core/verdict.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/answer.h"
#include "core/answer_shape.h"
#include "core/ascii.h"
#include "core/backoff.h"
#include "core/job.h"
#include "core/limits.h"
#include "core/policy.h"
#include "core/text.h"
#include "core/time.h"

namespace outboxd {
namespace {

constexpr std::size_t kLocationBytes = 200;
constexpr int kNoAnswer = 0;

constexpr std::array<std::pair<int, std::string_view>, 40> kPhrases = {{
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {207, "Multi-Status"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {425, "Too Early"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
}};

std::string StatusText(int status) {
  std::string text = std::to_string(status);
  for (const auto& [known, phrase] : kPhrases) {
    if (known == status) return text.append(" ").append(phrase);
  }
  return text;
}

std::string ReasonOf(const Answer& answer) {
  if (answer.status == kNoAnswer) return answer.error.empty() ? "no answer" : answer.error;
  std::string text = StatusText(answer.status);
  if (answer.status / 100 == 3 && !answer.location.empty())
    text.append(" to ").append(CutAtCharacter(answer.location, kLocationBytes));
  return text;
}

Fate FateOfFault(Fault fault) {
  switch (fault) {
    case Fault::kUnanswered:
      return Fate::kUnanswered;
    case Fault::kProxy:
      return Fate::kPausedProxy;
    case Fault::kNone:
    case Fault::kNetwork:
    case Fault::kOwnTimeout:
      break;
  }
  return Fate::kDeferred;
}

// By status alone.
Fate FateOf(const Answer& answer) {
  switch (answer.status) {
    case kNoAnswer:
      return FateOfFault(answer.fault);
    case 401:
    case 403:
      return Fate::kPausedAuth;
    case 407:
      return Fate::kPausedProxy;
    case 408:
    case 421:
    case 423:
    case 425:
    case 429:
      return Fate::kDeferred;
    default:
      break;
  }
  switch (answer.status / 100) {
    case 2:
      return Fate::kDelivered;
    case 3:
      return Fate::kPausedRegion;
    case 5:
      return Fate::kDeferred;
    default:
      return Fate::kRejected;
  }
}

const RawRetry* OwnRetry(const Job& job) {
  return job.raw != nullptr && job.raw->retry ? &*job.raw->retry : nullptr;
}

std::optional<Milliseconds> RetryAfterOf(const Answer& answer, const RetryPolicy& policy, Timestamp now) {
  if (!answer.retry_after) return std::nullopt;
  const std::optional<Milliseconds> asked = ParseRetryAfter(*answer.retry_after, now);
  if (!asked) return std::nullopt;
  return std::min(*asked, policy.retry_after_cap);
}

// A status is believed only of an answer that looks like the Track API's.
void Disbelieve(Verdict& verdict, const Answer& answer) {
  verdict.believed = verdict.fate == Fate::kRejected ? Fate::kRejected : Fate::kDeferred;
  verdict.fate = Fate::kNotTrackApi;
  verdict.reason += ": not the Track API's answer: " + DescribeBody(answer.ShownBody());
}

Milliseconds BackoffOf(const RawRetry* own, std::uint32_t failures, const RetryPolicy& policy,
                       double random) {
  if (own == nullptr) return WithFullJitter(ExponentialDelay(policy.base, policy.cap, failures), random);
  if (!own->exponential) return std::min(own->delay, policy.cap);
  const Milliseconds base = own->delay > Milliseconds(0) ? own->delay : policy.base;
  return WithFullJitter(ExponentialDelay(base, policy.cap, failures), random);
}

}  // namespace

Verdict JudgeAnswer(const Answer& answer, Expected expected, const RetryPolicy& policy, Timestamp now) {
  Verdict verdict;
  verdict.fate = FateOf(answer);
  verdict.reason = ReasonOf(answer);
  if (verdict.fate == Fate::kDeferred) verdict.retry_after = RetryAfterOf(answer, policy, now);
  verdict.closes_gate = verdict.fate == Fate::kDeferred && answer.fault != Fault::kOwnTimeout;
  verdict.always_closes_gate = answer.status == 429 || verdict.retry_after > Milliseconds(0);
  const bool is_believable = verdict.fate == Fate::kDelivered || verdict.fate == Fate::kRejected;
  if (is_believable && !IsAsExpected(answer, expected)) Disbelieve(verdict, answer);
  return verdict;
}

Verdict Judge(const Answer& answer, const Job& job, const RetryPolicy& policy, Timestamp now, Trust trust) {
  const Expected expected = trust == Trust::kEveryStatus ? Expected::kAnything : ExpectedOf(job);
  Verdict verdict = JudgeAnswer(answer, expected, policy, now);
  const RawRetry* own = OwnRetry(job);
  if (own == nullptr || !own->all_errors) return verdict;
  if (verdict.believed) verdict.believed = Fate::kDeferred;
  if (verdict.fate != Fate::kRejected) return verdict;
  verdict.fate = Fate::kDeferred;
  verdict.retry_after = RetryAfterOf(answer, policy, now);
  return verdict;
}

std::optional<Milliseconds> ParseRetryAfter(std::string_view value, Timestamp now) {
  constexpr Milliseconds kLongest = std::chrono::seconds(limits::kMaxAgeSeconds);
  constexpr std::string_view kWhiteSpace = " \t";
  const std::size_t start = value.find_first_not_of(kWhiteSpace);
  if (start == std::string_view::npos) return std::nullopt;
  value = value.substr(start, value.find_last_not_of(kWhiteSpace) - start + 1);
  if (const std::optional<Timestamp> date = ParseHttpDate(value))
    return std::clamp(*date - now, Milliseconds(0), kLongest);
  std::int64_t seconds = 0;
  for (const char byte : value) {
    if (!IsDigit(byte)) return std::nullopt;
    seconds = std::min(seconds * 10 + (byte - '0'), limits::kMaxAgeSeconds);
  }
  return std::chrono::seconds(seconds);
}

RetryPlan PlanRetry(const QueuedJob& job, const RetryPolicy& policy, std::optional<Milliseconds> retry_after,
                    Timestamp now, double random) {
  const RawRetry* own = OwnRetry(job.job);
  const std::int64_t attempts_max = own != nullptr ? own->max_retries + 1 : std::int64_t{policy.max_attempts};
  if (job.charged >= attempts_max) return {AfterDeferral::kExhausted, {}};
  if (IsExpired(job, policy, now)) return {AfterDeferral::kExpired, {}};
  const Milliseconds asked = std::min(retry_after.value_or(Milliseconds(0)), policy.retry_after_cap);
  return {AfterDeferral::kRetry, now + std::max(BackoffOf(own, job.failures, policy, random), asked)};
}

bool IsExpired(const QueuedJob& job, const RetryPolicy& policy, Timestamp now) {
  return now - job.AgeStart() > job.job.max_age.value_or(policy.max_age);
}

}  // namespace outboxd
