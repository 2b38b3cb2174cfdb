// core/job_members.h — every member a job line may have: which types take it, how it is read, what it must
// hold.
//
// Used by core/job_line.cc alone. Errors: kInvalid; `field` is the path below the member ("" for the member
// itself).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/job.h"
#include "core/object_scan.h"
#include "core/result.h"

namespace outboxd::members {

enum class Name : std::uint8_t {
  kType,
  kConnection,
  kId,
  kAnonymousId,
  kAttributes,
  kName,
  kData,
  kUrl,
  kTimestamp,
  kEventId,
  kMaxAge,
  kRegion,
  kRef,
  kMethod,
  kPath,
  kQuery,
  kHeaders,
  kBody,
  kForm,
  kFiles,
  kResponseType,
  kTimeoutMs,
  kRetry,
  kDebug,
  kDevice,
  kDeviceId,
  kPrimary,
  kSecondary,
  kFormId,
  kSegmentId,
  kIds,
  kIdType,
  kDeliveryId,
  kMetric,
  kRecipient,
  kReason,
  kHref,
  kRequest,
};
inline constexpr std::size_t kCount = 38;

constexpr std::uint32_t Bit(JobType type) {
  return std::uint32_t{1} << static_cast<unsigned>(type);
}

std::optional<Name> FromText(std::string_view text);
std::uint32_t TypesOf(Name name);  // bits of the job types that take it

struct Rule {
  Name name;
  std::string_view text;
  std::uint32_t types;
  Result<void> (*read)(const Member& member, Job& job);
};
std::span<const Rule> Rules();  // in the order of Name

// As it would stand in a v1 path, so that a person named in either way has one lane. `kind`: "id", "email",
// "cio_id", … kInvalid, naming `field`: too long.
Result<std::string> LaneName(std::string_view kind, std::string value, std::string field);

// Of an identify: how many, how long. `field` is the attribute's name.
Result<void> CheckAttributes(std::span<const Member> attributes);

// The job is a request as a whole: no member of a single type may stand beside it.
bool GoesWithRequest(Name name);

// What no single member shows: required members, and members that exclude each other. Fills in the lanes of
// types that name their customers inside (merge, form, segments, raw).
Result<void> CheckWhole(Job& job);

}  // namespace outboxd::members
