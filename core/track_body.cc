#include "core/track_body.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "core/object_scan.h"
#include "core/result.h"

namespace outboxd {
namespace {

constexpr std::size_t kMembersUsual = 8;

}  // namespace

Result<TrackBody> TrackBody::Read(std::string_view text) {
  TrackBody body;
  body.text_ = text;
  if (IsBlank(text)) return body;
  body.members_.reserve(kMembersUsual);
  const Result<ValueKind> kind = ScanMembers(body.text_, body.members_, kDepthMax);
  if (kind && (*kind == ValueKind::kObject || body.members_.empty())) return body;
  if (!kind && kind.error().kind == ErrorKind::kInvalid)
    return Fail(ErrorKind::kInvalid, "is not valid JSON: " + kind.error().message);
  if (IsNull(text)) return body;
  return Fail(ErrorKind::kConflict, "must be a JSON object");
}

bool TrackBody::IsBlank(std::string_view text) {
  return text.find_first_not_of(kJsonWhiteSpace) == std::string_view::npos;
}

bool TrackBody::IsNull(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kJsonWhiteSpace);
  return first != std::string_view::npos &&
         text.substr(first, text.find_last_not_of(kJsonWhiteSpace) + 1 - first) == "null";
}

bool TrackBody::IsEmptyArray(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kJsonWhiteSpace);
  if (first == std::string_view::npos || text[first] != '[') return false;
  const std::size_t next = text.find_first_not_of(kJsonWhiteSpace, first + 1);
  return next != std::string_view::npos && text[next] == ']';
}

const Member* TrackBody::Find(std::string_view key) const {
  const auto found = std::find_if(members_.begin(), members_.end(),
                                  [key](const Member& member) { return member.key == key; });
  return found == members_.end() ? nullptr : &*found;
}

std::string_view TrackBody::Text(std::string_view key) const {
  const Member* member = Find(key);
  return member != nullptr && member->kind == ValueKind::kString ? std::string_view(member->text)
                                                                 : std::string_view();
}

Result<TrackBody> TrackBody::Inside(std::string_view key) const {
  const Member* member = Find(key);
  if (member == nullptr || member->kind == ValueKind::kNull)
    return Fail(ErrorKind::kMissing, "is required", std::string(key));
  if (member->kind != ValueKind::kObject)
    return Fail(ErrorKind::kInvalid, "must be an object", std::string(key));
  return Read(Raw(*member));
}

}  // namespace outboxd
