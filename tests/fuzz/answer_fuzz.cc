// Any answer of a server: a verdict within the policy's bounds. First line: status, "cut" behind it: there
// was more of the body; second: Retry-After; third: Location; rest: body.
#include <algorithm>
#include <string>
#include <string_view>

#include "core/answer_shape.h"
#include "core/batch_verdict.h"
#include "core/cause.h"
#include "core/region_probe.h"
#include "core/text.h"
#include "core/verdict.h"
#include "tests/fuzz/demand.h"

namespace outboxd {
namespace {

constexpr Timestamp kNow = FromUnixMs(1'790'000'000'000);

// The transport hands on each header as one line.
std::string_view TakeLine(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line.substr(0, line.find('\r'));
}

Answer ReadAnswer(std::string_view text) {
  Answer answer;
  const std::string_view first = TakeLine(text);
  answer.is_body_cut = first.ends_with("cut");
  for (const char c : first.substr(0, 3))
    answer.status = answer.status * 10 + (c >= '0' && c <= '9' ? c - '0' : 0);
  answer.retry_after = TakeLine(text);
  if (answer.retry_after->empty()) answer.retry_after.reset();
  answer.location = TakeLine(text);
  answer.body = text;
  if (answer.status == 0) answer.error = "connect: Connection refused";
  if (answer.status == 0) answer.fault = static_cast<Fault>(1 + answer.body.size() % 4);
  return answer;
}

bool IsOneLine(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return c == '\n' || c == '\r'; });
}

void CheckPlan(QueuedJob& job, const Verdict& verdict, const RetryPolicy& policy, std::uint32_t failures) {
  job.failures = failures;
  job.charged = failures / 2;
  const RetryPlan plan = PlanRetry(job, policy, verdict.retry_after, kNow, 0.5);
  if (plan.next != AfterDeferral::kRetry) return;
  Demand(plan.due >= kNow, "a retry is not due in the past");
  Demand(plan.due <= kNow + std::max(policy.cap, policy.retry_after_cap), "a retry keeps to the caps");
  if (verdict.retry_after) Demand(plan.due >= kNow + *verdict.retry_after, "Retry-After is honoured");
}

bool Is2xx(const Answer& answer) {
  return answer.status >= 200 && answer.status < 300;
}

// What holds of every verdict, of a job or of a batch.
void CheckVerdict(const Verdict& verdict, const Answer& answer, const RetryPolicy& policy) {
  Demand(verdict.fate != Fate::kDelivered || Is2xx(answer), "only a 2xx is delivered");
  Demand(verdict.believed.has_value() == (verdict.fate == Fate::kNotTrackApi),
         "what is not the Track API's, and nothing else, says what it would mean");
  Demand(!verdict.retry_after || verdict.fate == Fate::kDeferred, "Retry-After belongs to a deferral");
  if (verdict.retry_after) {
    Demand(*verdict.retry_after >= Milliseconds(0) && *verdict.retry_after <= policy.retry_after_cap,
           "Retry-After keeps to its cap");
  }
  Demand(!verdict.closes_gate || verdict.fate == Fate::kDeferred, "only a deferral closes the gate");
  const bool has_text = verdict.fate != Fate::kDelivered && answer.location.empty();
  Demand(!has_text || (IsOneLine(verdict.reason) && verdict.reason.size() < 1000),
         "a reason is one short line");
  Demand(NormaliseCause(verdict.reason, answer.body).size() <= kCauseBytes, "a cause keeps to its limit");
}

void Check(const Answer& answer, QueuedJob& job) {
  const RetryPolicy policy;
  const Verdict verdict = Judge(answer, job.job, policy, kNow);
  CheckVerdict(verdict, answer, policy);
  const Verdict believed = Judge(answer, job.job, policy, kNow, Trust::kEveryStatus);
  CheckVerdict(believed, answer, policy);
  Demand((believed.fate == Fate::kDelivered) == Is2xx(answer), "every 2xx is believed by who believes all");
  Demand(verdict.fate == believed.fate || verdict.fate == Fate::kNotTrackApi,
         "two who judge differ only in what they believe");
  for (const std::uint32_t failures : {1U, 5U, 64U, 4'000'000'000U})
    CheckPlan(job, verdict, policy, failures);
}

// Every job of a batch has one fate, and what is not attributed ends by halving.
void CheckBatch(const Answer& answer, std::size_t count, Trust trust) {
  const RetryPolicy policy;
  const BatchVerdict verdict = JudgeBatch(answer, count, policy, kNow, trust);
  CheckVerdict(verdict.rest, answer, policy);
  std::size_t next = 0;
  for (const ItemRefusal& refusal : verdict.refused) {
    Demand(refusal.index >= next && refusal.index < count,
           "each refused item is one of the batch, named once and in order");
    Demand(IsOneLine(refusal.reason) && refusal.reason.size() < 1000, "a reason is one short line");
    next = refusal.index + 1;
  }
  Demand(count > 1 || verdict.rest.fate != Fate::kSplit, "one job cannot be split");
  Demand(count > 1 || verdict.rest.believed != Fate::kSplit, "nor where it is believed");
  Demand(verdict.refused.empty() || Is2xx(answer), "only a 2xx judges items");
}

void CheckShape(const Answer& answer) {
  const std::string description = DescribeBody(answer.body);
  Demand(!description.empty() && description.size() < 500 && IsOneLine(description) && IsUtf8(description),
         "a body is described in one short line");
  for (const Expected expected : {Expected::kNoHtml, Expected::kV1, Expected::kV2}) {
    if (!IsAsExpected(answer, expected)) continue;
    Demand(!LooksLikeHtml(answer.body) || answer.is_body_cut, "no page is the Track API's");
  }
  Demand(!IsAsExpected(answer, Expected::kV1) || IsAsExpected(answer, Expected::kV2),
         "the second version takes what the first one does");
}

}  // namespace
}  // namespace outboxd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace outboxd;
  const Answer answer = ReadAnswer(AsText(data, size));
  QueuedJob job;
  job.stamp.accepted = kNow;
  Check(answer, job);
  job.job.type = JobType::kRaw;
  job.job.raw = std::make_unique<RawCall>();
  job.job.raw->retry =
      RawRetry{.max_retries = 100, .delay = Milliseconds(1000), .exponential = true, .all_errors = true};
  Check(answer, job);
  job.job.raw->response_type = ResponseType::kJson;
  Check(answer, job);
  for (const std::size_t count : {1U, 2U, 1000U}) {
    CheckBatch(answer, count, Trust::kTrackApi);
    CheckBatch(answer, count, Trust::kEveryStatus);
  }
  CheckShape(answer);
  const ProbeVerdict probe = JudgeProbe(answer, Region::kEu);
  Demand(probe.IsOk() || !probe.message.empty(), "a probe that is not ok says why");
  Demand(!probe.IsOk() || answer.status == 200, "a probe is ok by 200 alone");
  return 0;
}
