// ctl/format.h — numbers, sizes, times and ages as people read and write them. Pure but for the local time
// zone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/time.h"

namespace outboxd {

std::string FormatAge(Milliseconds age);       // "3m 12s", "2d 4h", "450ms"; negative ages count as 0
std::string FormatCount(std::int64_t count);   // "12,345"
std::string FormatBytes(std::uint64_t bytes);  // "512 B", "1.2 GiB"
std::string FormatRate(double per_second);     // "1,180/s", "0.4/s"
std::string FormatPercent(double part);        // 0.4567 → "45.7%"

enum class Zone { kLocal, kUtc };
std::string FormatTime(Timestamp at,
                       Zone zone);  // "2026-11-24 04:10:27" here, "2026-11-24T03:10:27.123Z" in UTC

// "500ms", "30s", "10min" (or "10m"), "72h", "7d"; a plain number is seconds. kInvalid otherwise, or when
// negative or beyond ten years.
Result<Milliseconds> ParseDuration(std::string_view text);

}  // namespace outboxd
