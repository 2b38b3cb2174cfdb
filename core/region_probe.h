// core/region_probe.h — what the answer of GET /api/v1/accounts/region says about credentials and region.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/answer.h"
#include "core/job.h"

namespace outboxd {

enum class ProbeResult : std::uint8_t {
  kOk,           // credentials are taken, and the region is the wanted one
  kRefused,      // 401, 403, 3xx, or another region
  kNotTrackApi,  // what answers does not know the question, or is something else
  kNoAnswer,     // that would say any of this: none at all, a proxy's, 408, 429, 5xx
};

struct ProbeVerdict {
  ProbeResult result = ProbeResult::kNoAnswer;
  std::string region;  // as answered; empty when not
  std::int64_t environment_id = 0;
  std::string message;  // for people; empty when ok

  bool IsOk() const { return result == ProbeResult::kOk; }
};

// `wanted` nullopt: any region will do.
ProbeVerdict JudgeProbe(const Answer& answer, std::optional<Region> wanted);

}  // namespace outboxd
