// core/policy.h — the operator's choices that the delivery rules depend on. Defaults are those of
// etc/outboxd.yaml.
#pragma once

#include <chrono>
#include <cstdint>

#include "core/names.h"
#include "core/time.h"

namespace outboxd {

struct RetryPolicy {
  Milliseconds base = std::chrono::seconds(1);
  Milliseconds cap = std::chrono::minutes(10);
  std::uint32_t max_attempts = 20;
  std::chrono::seconds max_age = std::chrono::hours(72);
  Milliseconds retry_after_cap = std::chrono::minutes(15);
};

enum class LaneOrder : std::uint8_t { kPerCustomer, kNone };
template <>
inline constexpr Names<LaneOrder> kNames<LaneOrder>{
    {{LaneOrder::kPerCustomer, "per_customer"}, {LaneOrder::kNone, "none"}}};

}  // namespace outboxd
