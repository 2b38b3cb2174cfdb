// core/cause.h — why jobs died, in words that are alike for equal causes: dead letters are grouped by them.
// Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace outboxd {

inline constexpr std::size_t kCauseBytes = 200;

// At most kCauseBytes of `reason` and `body`. Digits, ids, hex runs, e-mail addresses and quoted values
// become placeholders, a run of white space one space. A status at the start of `reason` stays.
std::string NormaliseCause(std::string_view reason, std::string_view body);

}  // namespace outboxd
