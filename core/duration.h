// core/duration.h — durations as people write and read them, in the config, at outboxctl and in explanations.
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/time.h"

namespace outboxd {

// What a number without a unit means: on the command line seconds; in the config it is refused, for there it
// might as well be meant as milliseconds.
enum class BareNumber : std::uint8_t { kIsRefused, kIsSeconds };

// A whole number and its unit: "50ms", "1s", "10min" or "10m", "72h", "7d". nullopt for anything else, a sign
// and white space included, and for more than Milliseconds hold.
std::optional<Milliseconds> ParseDuration(std::string_view text, BareNumber bare = BareNumber::kIsRefused);

// Exactly, in the largest unit that does it: "90s", "10min". ParseDuration() reads it back. Not negative.
std::string ShowDuration(Milliseconds duration);

// Rounded down to its two largest units: "450ms", "12s", "3m 12s", "2d 4h". Negative spans count as 0.
std::string ShowSpan(Milliseconds span);

}  // namespace outboxd
