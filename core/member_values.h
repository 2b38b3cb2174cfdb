// core/member_values.h — how the value of a member of a job line, or of a request's body, is read. Used by
// the files that read members.
//
// Errors: kInvalid; `field` is the path below the member ("" for the member itself).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/job.h"
#include "core/object_scan.h"
#include "core/result.h"

namespace outboxd::members {

Failure Bad(std::string message, std::string field = {});

// "must be a string, not a number"
Failure NotA(std::string_view wanted, ValueKind given, std::string field = {});

Result<void> NeedObject(const Member& member);
// An array without elements, as PHP writes an object without members; `json` is the member's source.
bool IsEmptyArray(const Member& member, std::string_view json);
// The edits that take the null members out of the object `text`, which begins at `offset` of a line and has
// the members `inside`.
void TakeNullsOut(std::string_view text, std::span<const Member> inside, std::uint32_t offset, Edits& edits);

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
