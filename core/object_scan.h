// core/object_scan.h — the members of one JSON object (or the elements of one array) as stretches of its
// text, nothing converted.
//
// Strict RFC 8259 with UTF-8 checked, nesting bounded, numbers of any size and precision. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/job.h"
#include "core/limits.h"
#include "core/result.h"

namespace outboxd {

inline constexpr std::string_view kJsonWhiteSpace = " \t\r\n";  // RFC 8259 section 2

enum class ValueKind : std::uint8_t { kNull, kFalse, kTrue, kNumber, kString, kArray, kObject };

struct Member {
  std::string key;  // decoded; empty for an array's elements
  ValueKind kind = ValueKind::kNull;
  Slice raw;         // the value's bytes in the scanned text
  std::string text;  // decoded, for kString only
};

// Members in the order they stand in `text`, which is one JSON value with optional white space around it.
// Appends to `members`. kInvalid with the byte offset in the message when it is not valid JSON; kConflict
// when it is, but neither object nor array. On error `members` holds what was read before.
Result<ValueKind> ScanMembers(const std::string& text, std::vector<Member>& members,
                              std::size_t depth_max = limits::kJsonDepth);

}  // namespace outboxd
