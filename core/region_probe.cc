#include "core/region_probe.h"

#include <optional>
#include <string>

#include "core/answer.h"
#include "core/answer_shape.h"
#include "core/job.h"
#include "core/json.h"
#include "core/policy.h"
#include "core/result.h"
#include "core/time.h"
#include "core/verdict.h"

namespace outboxd {
namespace {

ProbeResult ResultOf(Fate fate) {
  switch (fate) {
    case Fate::kPausedAuth:
    case Fate::kPausedRegion:
      return ProbeResult::kRefused;
    case Fate::kDeferred:
    case Fate::kUnanswered:
    case Fate::kPausedProxy:
      return ProbeResult::kNoAnswer;
    case Fate::kDelivered:  // other than 200
    case Fate::kRejected:
    case Fate::kSplit:
    case Fate::kNotTrackApi:
      break;
  }
  return ProbeResult::kNotTrackApi;
}

std::string MessageOf(const Answer& answer) {
  if (answer.status == 0) return answer.error;
  std::string message = "HTTP " + std::to_string(answer.status);
  if (answer.status == 401 || answer.status == 403)
    return message + ": the site id or the API key is not accepted";
  if (answer.status / 100 == 3) return message + " to " + answer.location + ": wrong region or host";
  return message;
}

}  // namespace

ProbeVerdict JudgeProbe(const Answer& answer, std::optional<Region> wanted) {
  ProbeVerdict verdict;
  if (answer.status != 200) {
    const Verdict by_status = JudgeAnswer(answer, Expected::kAnything, RetryPolicy(), Timestamp());
    verdict.result = ResultOf(by_status.fate);
    verdict.message = MessageOf(answer);
    return verdict;
  }
  const Result<JsonValue> body = JsonValue::Parse(answer.body);
  if (!body || !body->IsObject()) {
    verdict.result = ProbeResult::kNotTrackApi;
    verdict.message = "the answer is not the Track API's";
    return verdict;
  }
  const std::string region = (*body)["region"].String();
  verdict.region = answer.Shown(region);
  verdict.environment_id = (*body)["environment_id"].Int();
  const bool is_wanted = !wanted || region.empty() || region == RegionName(*wanted);
  verdict.result = is_wanted ? ProbeResult::kOk : ProbeResult::kRefused;
  if (!is_wanted)
    verdict.message = "these credentials belong to region " + verdict.region + ", the config says " +
                      std::string(RegionName(*wanted));
  return verdict;
}

}  // namespace outboxd
