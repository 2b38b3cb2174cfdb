// ctl/format.h — numbers, sizes, times and durations as people read and write them. Pure but for the local
// time zone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/time.h"

namespace outboxd {

std::string FormatCount(std::int64_t count);   // "12,345"
std::string FormatBytes(std::uint64_t bytes);  // "512 B", "1.2 GiB"
std::string FormatRate(double per_second);     // "1,180/s", "0.4/s"
std::string FormatPercent(double part);        // 0.4567 → "45.7%"

enum class Zone { kLocal, kUtc };
// "2026-11-24 04:10:27" here, "2026-11-24T03:10:27.123Z" in UTC.
std::string FormatTime(Timestamp at, Zone zone);
// `text` with each time that FormatRfc3339() wrote as FormatTime() has it.
std::string FormatTimesIn(std::string_view text, Zone zone);

// core/duration.h; a number without a unit is seconds. kInvalid otherwise, or when beyond ten years.
Result<Milliseconds> ReadDuration(std::string_view text);

// When something was: RFC 3339, a duration before `now`, or the clock of `zone` as "2026-11-24 14:03:27" with
// or without the seconds, the day alone, or the time of today alone.
Result<Timestamp> ReadTime(std::string_view text, Timestamp now, Zone zone);

}  // namespace outboxd
