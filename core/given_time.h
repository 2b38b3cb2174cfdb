// core/given_time.h — a time as producers write it, and what of it Customer.io takes: Unix seconds. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/job.h"
#include "core/object_scan.h"

namespace outboxd {

enum class TimeForm : std::uint8_t {
  kSeconds,  // Customer.io takes it as it stands
  kOther,    // milliseconds, with a fraction, or RFC 3339
  kNone,     // not a time
};
struct GivenTime {
  TimeForm form = TimeForm::kNone;
  Slice
      text;  // of kOther: the digits of its Unix seconds, or an RFC 3339 string; in the text of `member.raw`
};
// `json`: the member's source. Digits in a text are as good as a number.
GivenTime ReadGivenTime(const Member& member, std::string_view json);

// What a job line may give: Unix seconds (0 to 253402300799) with an optional fraction, or RFC 3339 text.
bool IsLineTime(const Member& member, std::string_view json);
inline constexpr std::string_view kLineTimes =
    "must be Unix seconds (0 to 253402300799) or RFC 3339 text such as \"2026-01-31T09:30:00Z\"";

}  // namespace outboxd
