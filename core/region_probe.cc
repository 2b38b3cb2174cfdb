#include "core/region_probe.h"

#include <optional>
#include <string>

#include "core/job.h"
#include "core/json.h"
#include "core/result.h"
#include "core/verdict.h"

namespace outboxd {

ProbeVerdict JudgeProbe(const Answer& answer, std::optional<Region> wanted) {
  ProbeVerdict verdict;
  if (answer.status == 0) {
    verdict.message = answer.error;
  } else if (answer.status == 401 || answer.status == 403) {
    verdict.message =
        "HTTP " + std::to_string(answer.status) + ": the site id or the API key is not accepted";
  } else if (answer.status >= 300 && answer.status < 400) {
    verdict.message =
        "HTTP " + std::to_string(answer.status) + " to " + answer.location + ": wrong region or host";
  } else if (answer.status != 200) {
    verdict.message = "HTTP " + std::to_string(answer.status);
  }
  if (answer.status != 200) return verdict;

  const Result<JsonValue> body = JsonValue::Parse(answer.body);
  if (!body || !body->IsObject()) {
    verdict.message = "the answer is not the Track API's";
    return verdict;
  }
  verdict.region = (*body)["region"].String();
  verdict.environment_id = (*body)["environment_id"].Int();
  verdict.ok = !wanted || verdict.region.empty() || verdict.region == RegionName(*wanted);
  if (!verdict.ok)
    verdict.message = "these credentials belong to region " + verdict.region + ", the config says " +
                      std::string(RegionName(*wanted));
  return verdict;
}

}  // namespace outboxd
