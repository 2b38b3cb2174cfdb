// core/object_scan.h — JSON values as stretches of their text, nothing converted: the members of one object
// (or the elements of one array), or all of a tree.
//
// Strict RFC 8259 with UTF-8 checked, nesting bounded, numbers of any size and precision. Pure.
#pragma once

#include <cstddef>
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

// What a JSON text, which is valid, takes without the white space between its tokens and with its strings'
// escapes decoded: so the Track API counts, whichever way the bytes were written.
std::size_t DecodedBytes(std::string_view json);

// A value of any depth; a member or an element of the value that holds it.
struct TreeNode : Member {
  std::uint32_t end = 0;  // index of the node behind this one's last descendant
};

// Every value of `text`, which is one JSON value of any kind with optional white space around it: a parent
// stands before its children, children in the order of the text. kInvalid as above.
Result<std::vector<TreeNode>> ScanTree(const std::string& text, std::size_t depth_max);

}  // namespace outboxd
