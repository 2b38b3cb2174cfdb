#include "core/units.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace outboxd {

std::optional<std::uint64_t> ParseWithUnit(std::string_view text, std::span<const Unit> units) {
  constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  const auto unit = std::find_if(units.begin(), units.end(),
                                 [&](const Unit& candidate) { return candidate.name == suffix; });
  if (unit == units.end() || number > kLargest / unit->factor) return std::nullopt;
  return number * unit->factor;
}

std::string ShowWithUnit(std::uint64_t number, std::span<const Unit> units) {
  const auto divides = [number](const Unit& unit) { return number != 0 && number % unit.factor == 0; };
  const auto unit = std::find_if(units.begin(), units.end(), divides);
  return unit == units.end() ? "0" : std::to_string(number / unit->factor) + std::string(unit->name);
}

}  // namespace outboxd
