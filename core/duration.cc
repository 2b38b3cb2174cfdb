#include "core/duration.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/time.h"
#include "core/units.h"

namespace outboxd {
namespace {

// From large to small; the first of two names is the one that is shown.
constexpr std::array<Unit, 6> kUnits = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"min", 60'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};
constexpr std::array<Unit, 1> kSeconds = {{{"", 1000}}};

std::string ShowPair(std::int64_t large, const char* large_unit, std::int64_t small, const char* small_unit) {
  std::string text = std::to_string(large) + large_unit;
  if (small != 0) text += " " + std::to_string(small) + small_unit;
  return text;
}

}  // namespace

std::optional<Milliseconds> ParseDuration(std::string_view text, BareNumber bare) {
  std::optional<std::uint64_t> number = ParseWithUnit(text, kUnits);
  if (!number && bare == BareNumber::kIsSeconds) number = ParseWithUnit(text, kSeconds);
  if (!number) return std::nullopt;
  return Milliseconds(static_cast<Milliseconds::rep>(*number));
}

std::string ShowDuration(Milliseconds duration) {
  if (duration == Milliseconds(0)) return "0s";
  return ShowWithUnit(static_cast<std::uint64_t>(duration.count()), kUnits);
}

std::string ShowSpan(Milliseconds span) {
  const std::int64_t milliseconds = std::max<std::int64_t>(span.count(), 0);
  const std::int64_t seconds = milliseconds / 1000;
  if (seconds == 0) return std::to_string(milliseconds) + "ms";
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 3600) return ShowPair(seconds / 60, "m", seconds % 60, "s");
  if (seconds < 86400) return ShowPair(seconds / 3600, "h", seconds % 3600 / 60, "m");
  return ShowPair(seconds / 86400, "d", seconds % 86400 / 3600, "h");
}

}  // namespace outboxd
