// core/time.h — instants and their texts. Nothing here reads a clock: callers pass the time in.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace outboxd {

using Milliseconds = std::chrono::milliseconds;
using Timestamp = std::chrono::sys_time<Milliseconds>;  // UTC

constexpr std::int64_t ToUnixMs(Timestamp at) {
  return at.time_since_epoch().count();
}
constexpr Timestamp FromUnixMs(std::int64_t unix_ms) {
  return Timestamp(Milliseconds(unix_ms));
}

// "2026-11-24T03:10:27.123Z". Years 0000 to 9999; others show their last four digits.
std::string FormatRfc3339(Timestamp at);

// RFC 3339 date-time with any offset and any number of fraction digits (those past milliseconds are cut); a
// space may stand for the "T". nullopt when it is not one.
std::optional<Timestamp> ParseRfc3339(std::string_view text);

// The three date forms of RFC 9110 section 5.6.7 (IMF-fixdate, RFC 850, asctime). Two-digit years lie between
// 1970 and 2069; the name of the day is not checked against the date.
std::optional<Timestamp> ParseHttpDate(std::string_view text);

}  // namespace outboxd
