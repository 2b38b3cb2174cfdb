// core/member_values.h — how the value of a member of a job line, or of a request's body, is read. Used by
// the files that read members.
//
// Errors: kInvalid; `field` is the path below the member ("" for the member itself).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/job.h"
#include "core/object_scan.h"
#include "core/result.h"

namespace outboxd::members {

Failure Bad(std::string message, std::string field = {});

Result<void> NeedObject(const Member& member);

// Not empty, at most `bytes_max`, no NUL byte.
Result<void> CheckText(const std::string& text, std::size_t bytes_max);
Result<void> ReadText(const Member& member, std::size_t bytes_max, std::string& into);

// A string, or an integer taken as its decimal text; `json` is the member's source.
Result<void> ReadIdentifier(const Member& member, std::string_view json, std::string& into);

// nullopt: not a whole number of 64 bits.
std::optional<std::int64_t> ReadInteger(ValueKind kind, std::string_view json);

// The members of an object or array that stands inside a line or a body that was scanned. `text` is its
// source.
std::vector<Member> Inside(const std::string& text);

OtherMembers& Other(Job& job);  // made on first use

}  // namespace outboxd::members
