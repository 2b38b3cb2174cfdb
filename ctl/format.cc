#include "ctl/format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <ctime>
#include <utility>

#include "core/limits.h"

namespace outboxd {
namespace {

std::string OneDecimal(double value) {
  const auto tenths = static_cast<std::int64_t>(std::llround(value * 10));
  return FormatCount(tenths / 10) + "." + std::to_string(tenths % 10);
}

}  // namespace

std::string FormatAge(Milliseconds age) {
  const std::int64_t milliseconds = std::max<std::int64_t>(age.count(), 0);
  const std::int64_t seconds = milliseconds / 1000;
  const auto pair = [](std::int64_t large, const char* large_unit, std::int64_t small,
                       const char* small_unit) {
    std::string text = std::to_string(large) + large_unit;
    if (small != 0) text += " " + std::to_string(small) + small_unit;
    return text;
  };
  if (seconds == 0) return std::to_string(milliseconds) + "ms";
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 3600) return pair(seconds / 60, "m", seconds % 60, "s");
  if (seconds < 86400) return pair(seconds / 3600, "h", seconds % 3600 / 60, "m");
  return pair(seconds / 86400, "d", seconds % 86400 / 3600, "h");
}

std::string FormatCount(std::int64_t count) {
  std::string digits = std::to_string(count);
  const std::size_t first = digits.starts_with('-') ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
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

Result<Milliseconds> ParseDuration(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::int64_t>, 7> kUnits = {{{"", 1000},
                                                                                {"ms", 1},
                                                                                {"s", 1000},
                                                                                {"m", 60'000},
                                                                                {"min", 60'000},
                                                                                {"h", 3'600'000},
                                                                                {"d", 86'400'000}}};
  const auto refuse = [&] {
    return Fail(ErrorKind::kInvalid,
                "\"" + std::string(text) + "\" is not a duration; write it as 500ms, 30s, 10min, 72h or 7d");
  };
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number < 0) return refuse();
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  const auto known =
      std::find_if(kUnits.begin(), kUnits.end(), [&](const auto& entry) { return entry.first == unit; });
  if (known == kUnits.end() || number > limits::kMaxAgeSeconds * 1000 / known->second) return refuse();
  return Milliseconds(number * known->second);
}

}  // namespace outboxd
