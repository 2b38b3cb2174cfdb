// core/region_probe.h — what the answer of GET /api/v1/accounts/region says about credentials and region.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/job.h"
#include "core/verdict.h"

namespace outboxd {

struct ProbeVerdict {
  bool ok = false;     // credentials are taken, and the region is the wanted one
  std::string region;  // as answered; empty when not
  std::int64_t environment_id = 0;
  std::string message;  // why not ok, for people
};

// `wanted` nullopt: any region will do.
ProbeVerdict JudgeProbe(const Answer& answer, std::optional<Region> wanted);

}  // namespace outboxd
