#include "ctl/format.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "core/duration.h"
#include "core/limits.h"
#include "core/result.h"
#include "core/text.h"
#include "core/time.h"

namespace outboxd {
namespace {

std::string OneDecimal(double value) {
  const auto tenths = static_cast<std::int64_t>(std::llround(value * 10));
  return FormatCount(tenths / 10) + "." + std::to_string(tenths % 10);
}

}  // namespace

std::string FormatCount(std::int64_t count) {
  const auto number = static_cast<std::uint64_t>(count);
  return count < 0 ? "-" + GroupDigits(0 - number) : GroupDigits(number);
}

std::string FormatBytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return OneDecimal(value) + " " + kUnits[unit];
}

std::string FormatRate(double per_second) {
  if (!(per_second > 0)) return "0/s";
  if (per_second < 9.95) return OneDecimal(per_second) + "/s";
  return FormatCount(std::llround(std::min(per_second, 1e15))) + "/s";
}

std::string FormatPercent(double part) {
  return OneDecimal(std::clamp(part, 0.0, 1.0) * 100) + "%";
}

std::string FormatTime(Timestamp at, Zone zone) {
  if (zone == Zone::kUtc) return FormatRfc3339(at);
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
  std::tm local{};
  if (localtime_r(&seconds, &local) == nullptr) return FormatRfc3339(at);
  std::array<char, 64> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &local);
  return std::string(text.data(), length);
}

std::string FormatTimesIn(std::string_view text, Zone zone) {
  const std::size_t length = FormatRfc3339(Timestamp()).size();
  std::string out;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, length);
    const bool may_be_time = word.size() == length && word.ends_with('Z');
    const std::optional<Timestamp> at = may_be_time ? ParseRfc3339(word) : std::nullopt;
    out += at ? FormatTime(*at, zone) : std::string(1, text.front());
    text.remove_prefix(at ? length : 1);
  }
  return out;
}

Result<Milliseconds> ReadDuration(std::string_view text) {
  const std::optional<Milliseconds> duration = ParseDuration(text, BareNumber::kIsSeconds);
  if (duration && *duration <= std::chrono::seconds(limits::kMaxAgeSeconds)) return *duration;
  return Fail(ErrorKind::kInvalid,
              "\"" + std::string(text) + "\" is not a duration; write it as 500ms, 30s, 10min, 72h or 7d");
}

namespace {

std::optional<std::time_t> ToSeconds(std::tm broken_down, Zone zone) {
  broken_down.tm_isdst = -1;
  const std::time_t seconds = zone == Zone::kUtc ? timegm(&broken_down) : mktime(&broken_down);
  if (seconds < 0) return std::nullopt;
  return seconds;
}

// By the clock of `zone`.
std::optional<Timestamp> ReadClockTime(const std::string& text, Timestamp now, Zone zone) {
  constexpr std::array kForms = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%H:%M:%S", "%H:%M"};
  const std::time_t today = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  for (const char* form : kForms) {
    std::tm read{};
    if ((zone == Zone::kUtc ? gmtime_r(&today, &read) : localtime_r(&today, &read)) == nullptr) break;
    read.tm_hour = read.tm_min = read.tm_sec = 0;
    const char* end = strptime(text.c_str(), form, &read);
    if (end == nullptr || *end != 0) continue;
    const std::optional<std::time_t> seconds = ToSeconds(read, zone);
    if (seconds) return Timestamp(std::chrono::seconds(*seconds));
  }
  return std::nullopt;
}

}  // namespace

Result<Timestamp> ReadTime(std::string_view text, Timestamp now, Zone zone) {
  if (const std::optional<Timestamp> at = ParseRfc3339(text)) return *at;
  if (const Result<Milliseconds> ago = ReadDuration(text)) return now - *ago;
  if (const std::optional<Timestamp> at = ReadClockTime(std::string(text), now, zone)) return *at;
  return Fail(
      ErrorKind::kInvalid,
      "\"" + std::string(text) +
          "\" is not a time; write it as 14:03, \"2026-01-31 14:03\", 2026-01-31T14:03:27Z, or how long "
          "ago it was: 90s, 2h, 7d");
}

}  // namespace outboxd
