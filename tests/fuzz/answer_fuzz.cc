// Any answer of a server: a verdict within the policy's bounds. First line: status; second: Retry-After;
// third: Location; rest: body.
#include <algorithm>
#include <string>
#include <string_view>

#include "core/batch_verdict.h"
#include "core/cause.h"
#include "core/region_probe.h"
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
  for (const char c : TakeLine(text).substr(0, 3))
    answer.status = answer.status * 10 + (c >= '0' && c <= '9' ? c - '0' : 0);
  answer.retry_after = TakeLine(text);
  if (answer.retry_after->empty()) answer.retry_after.reset();
  answer.location = TakeLine(text);
  answer.body = text;
  if (answer.status == 0) answer.error = "connect: Connection refused";
  return answer;
}

bool IsOneLine(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return c == '\n' || c == '\r'; });
}

void CheckPlan(const QueuedJob& job, const Verdict& verdict, const RetryPolicy& policy,
               std::uint32_t charged) {
  const RetryPlan plan = PlanRetry(job, charged, policy, verdict.retry_after, kNow, 0.5);
  if (plan.next != AfterDeferral::kRetry) return;
  Demand(plan.due >= kNow, "a retry is not due in the past");
  Demand(plan.due <= kNow + std::max(policy.cap, policy.retry_after_cap), "a retry keeps to the caps");
  if (verdict.retry_after) Demand(plan.due >= kNow + *verdict.retry_after, "Retry-After is honoured");
}

void Check(const Answer& answer, const QueuedJob& job) {
  const RetryPolicy policy;
  const Verdict verdict = Judge(answer, job.job, policy, kNow);
  Demand((verdict.fate == Fate::kDelivered) == (answer.status >= 200 && answer.status < 300),
         "2xx and nothing else is delivered");
  Demand(!verdict.retry_after || verdict.fate == Fate::kDeferred, "Retry-After belongs to a deferral");
  if (verdict.retry_after) {
    Demand(*verdict.retry_after >= Milliseconds(0) && *verdict.retry_after <= policy.retry_after_cap,
           "Retry-After keeps to its cap");
  }
  Demand(verdict.fate == Fate::kDelivered || IsOneLine(verdict.reason), "a reason is one line");
  for (const std::uint32_t charged : {1U, 5U, 64U, 4'000'000'000U}) CheckPlan(job, verdict, policy, charged);
  Demand(NormaliseCause(verdict.reason, answer.body).size() <= kCauseBytes, "a cause keeps to its limit");
}

// Every job of a batch has one fate, and what is not attributed ends by halving.
void CheckBatch(const Answer& answer, std::size_t count) {
  const BatchVerdict verdict = JudgeBatch(answer, count, RetryPolicy{}, kNow);
  std::size_t next = 0;
  for (const ItemRefusal& refusal : verdict.refused) {
    Demand(refusal.index >= next && refusal.index < count,
           "each refused item is one of the batch, named once and in order");
    Demand(IsOneLine(refusal.reason) && refusal.reason.size() < 1000, "a reason is one short line");
    next = refusal.index + 1;
  }
  Demand(count > 1 || verdict.rest.fate != Fate::kSplit, "one job cannot be split");
  Demand(verdict.refused.empty() || answer.status / 100 == 2, "only a 2xx judges items");
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
  for (const std::size_t count : {1U, 2U, 1000U}) CheckBatch(answer, count);
  const ProbeVerdict probe = JudgeProbe(answer, Region::kEu);
  Demand(probe.ok || !probe.message.empty(), "a probe that is not ok says why");
  Demand(!probe.ok || answer.status == 200, "a probe is ok by 200 alone");
  return 0;
}
