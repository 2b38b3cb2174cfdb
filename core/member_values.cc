#include "core/member_values.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "core/ascii.h"
#include "core/job.h"
#include "core/limits.h"
#include "core/object_scan.h"
#include "core/result.h"

namespace outboxd::members {
namespace {

std::string_view NameOfKind(ValueKind kind) {
  switch (kind) {
    case ValueKind::kNull:
      return "null";
    case ValueKind::kFalse:
    case ValueKind::kTrue:
      return "true or false";
    case ValueKind::kNumber:
      return "a number";
    case ValueKind::kString:
      return "a string";
    case ValueKind::kArray:
      return "an array";
    case ValueKind::kObject:
      return "an object";
  }
  return {};
}

bool IsInteger(std::string_view number) {
  if (number.starts_with('-')) number.remove_prefix(1);
  return !number.empty() && std::all_of(number.begin(), number.end(), IsDigit);
}

}  // namespace

Failure Bad(std::string message, std::string field) {
  return Fail(ErrorKind::kInvalid, std::move(message), std::move(field));
}

Failure NotA(std::string_view wanted, ValueKind given, std::string field) {
  return Bad("must be " + std::string(wanted) + ", not " + std::string(NameOfKind(given)), std::move(field));
}

bool IsEmptyArray(const Member& member, std::string_view json) {
  return member.kind == ValueKind::kArray && json.find_first_not_of(kJsonWhiteSpace, 1) == json.size() - 1;
}

// With the comma before each, or behind it where no member before it stays.
void TakeNullsOut(std::string_view text, std::span<const Member> inside, std::uint32_t offset, Edits& edits) {
  std::size_t through = text.find('{') + 1;
  bool any_stays = false;
  for (const Member& member : inside) {
    std::size_t end = std::size_t{member.raw.offset} + member.raw.length;
    if (member.kind == ValueKind::kNull) {
      const std::size_t next = text.find_first_not_of(kJsonWhiteSpace, end);
      if (!any_stays && next < text.size() && text[next] == ',') end = next + 1;
      edits.push_back(
          {{offset + static_cast<std::uint32_t>(through), static_cast<std::uint32_t>(end - through)},
           Edit::By::kNothing});
    } else {
      any_stays = true;
    }
    through = end;
  }
}

Result<void> NeedObject(const Member& member) {
  if (member.kind != ValueKind::kObject) return Bad("must be an object");
  return {};
}

Result<void> CheckText(const std::string& text, std::size_t bytes_max) {
  if (text.empty()) return Bad("must not be empty");
  if (text.size() > bytes_max) {
    return Bad("is " + std::to_string(text.size()) + " bytes; at most " + std::to_string(bytes_max) +
               " are allowed");
  }
  if (text.find('\0') != std::string::npos) return Bad("must not hold a NUL byte");
  return {};
}

Result<void> ReadText(const Member& member, std::size_t bytes_max, std::string& into) {
  if (member.kind != ValueKind::kString) return Bad("must be a string");
  into = member.text;
  return CheckText(into, bytes_max);
}

Result<void> ReadIdentifier(const Member& member, std::string_view json, std::string& into) {
  if (member.kind == ValueKind::kString) {
    into = member.text;
  } else if (member.kind == ValueKind::kNumber && IsInteger(json)) {
    into = json;
  } else {
    return Bad("must be a string or an integer");
  }
  return CheckText(into, limits::kCustomerIdBytes);
}

std::optional<std::int64_t> ReadInteger(ValueKind kind, std::string_view json) {
  std::int64_t number = 0;
  if (kind != ValueKind::kNumber) return std::nullopt;
  const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), number);
  if (error != std::errc{} || end != json.data() + json.size()) return std::nullopt;
  return number;
}

std::vector<Member> Inside(const std::string& text) {
  std::vector<Member> inside;
  static_cast<void>(ScanMembers(text, inside));  // a part of what was scanned is valid JSON
  return inside;
}

OtherMembers& Other(Job& job) {
  if (!job.other) job.other = std::make_unique<OtherMembers>();
  return *job.other;
}

}  // namespace outboxd::members
