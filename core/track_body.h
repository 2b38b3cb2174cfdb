// core/track_body.h — the body of a request of the Track API: one JSON object, or what stands for one without
// members: null, nothing, or an empty array, as PHP writes it. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.h"
#include "core/object_scan.h"
#include "core/result.h"

namespace outboxd {

class TrackBody {
 public:
  // The job line wraps a body twice.
  static constexpr std::size_t kDepthMax = limits::kJsonDepth - 2;

  // kInvalid: not valid JSON. kConflict: valid, but none of these.
  static Result<TrackBody> Read(std::string_view text);

  static bool IsBlank(std::string_view text);
  static bool IsNull(std::string_view text);
  static bool IsEmptyArray(std::string_view text);

  const std::string& text() const { return text_; }
  const std::vector<Member>& members() const { return members_; }

  // nullptr: absent. The first one of that name.
  const Member* Find(std::string_view key) const;
  std::string_view Raw(const Member& member) const {
    return std::string_view(text_).substr(member.raw.offset, member.raw.length);
  }
  // Decoded. Empty: absent, not a string, or an empty one.
  std::string_view Text(std::string_view key) const;
  // The object that stands in a member. Naming it, kMissing when it is absent or null, kInvalid when it is
  // not an object.
  Result<TrackBody> Inside(std::string_view key) const;

 private:
  std::string text_;
  std::vector<Member> members_;
};

}  // namespace outboxd
