// core/units.h — a whole number and its unit, as in "10min" and "64KiB". Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace outboxd {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// Digits, then at once the name of a unit. nullopt when it is neither, or more than an int64_t holds.
std::optional<std::uint64_t> ParseWithUnit(std::string_view text, std::span<const Unit> units);

// In the first of `units` that divides `number`: list them from large to small. "0" for 0, or when none does.
std::string ShowWithUnit(std::uint64_t number, std::span<const Unit> units);

}  // namespace outboxd
