// core/job_types.h — the job types, one row each: what a line of the type may and must hold, what is sent for
// it, and how it goes with others.
//
// Names, messages, the checks of a line, requests and batches, `outboxctl send` and the labels of metrics
// follow from the rows; docs/protocol.md and docs/outboxctl.1 are checked against them. CONTRIBUTING.md has
// the recipe for a new type.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/job.h"
#include "core/job_members.h"
#include "core/names.h"
#include "core/people_members.h"
#include "core/raw_members.h"
#include "core/raw_request.h"
#include "core/request.h"
#include "core/result.h"
#include "core/type_requests.h"

namespace outboxd {

// A member that a line must have. Unless it says otherwise, one that every line has: a place to fill.
struct Need {
  members::Name member = members::Name::kType;
  members::Name or_else = member;  // does as well
};

// Whether the job's customers are the same people before and behind it. If not, no job before or after it in
// its lane may share its batch.
enum class InBatch : std::uint8_t { kWithNeighbours, kAlone };

// Events carry a ULID (the job id or the producer's own), by which Customer.io ignores a repeated one.
enum class JobEffect : std::uint8_t { kState, kEvent };

using LineCheck = Result<void> (*)(Job& job);
using RequestBuilder = HttpRequest (*)(const Job& job, const Stamp& stamp);
using AppendBatchItem = void (*)(std::string& out, const Job& job, const Stamp& stamp);

struct JobTypeRow {
  JobType type;
  std::string_view name;
  std::string_view help;         // for `outboxctl send --help`
  std::array<Need, 2> required;  // in the order in which a missing one is named
  members::Set optional = {};    // besides members::kOfEveryType
  // Whether a line that names no customer is a job all the same; nullptr: never.
  bool (*goes_without_customer)(const Job& job) = nullptr;

  // What no single member shows, of a line that has all it needs; fills in the lanes of a type that names its
  // customers inside. kInvalid, `field` is the path below the line. nullptr: nothing to check.
  LineCheck check = nullptr;
  RequestBuilder build;
  AppendBatchItem append_item = nullptr;  // nullptr: has no v2 form that means the same

  InBatch in_batch = InBatch::kWithNeighbours;
  JobEffect effect = JobEffect::kState;

  constexpr members::Set Allowed() const {
    members::Set allowed = members::kOfEveryType | optional;
    for (const Need& need : required) {
      allowed.Add(need.member);
      allowed.Add(need.or_else);
    }
    return allowed;
  }
};

namespace job_types_detail {

using members::Name;

inline constexpr Need kCustomer = {Name::kId};
inline constexpr Need kKnownOrAnonymous = {Name::kId, Name::kAnonymousId};
inline constexpr members::Set kOfEvents = {Name::kData, Name::kTimestamp, Name::kEventId};

}  // namespace job_types_detail

// In the order of JobType, each type once: kNames<JobType> does not compile otherwise.
inline constexpr std::array<JobTypeRow, kJobTypeCount> kJobTypes = [] {
  using namespace job_types_detail;
  return std::array<JobTypeRow, kJobTypeCount>{{
      {.type = JobType::kIdentify,
       .name = "identify",
       .help = "Create or update a person",
       .required = {kCustomer},
       .optional = {Name::kAttributes, Name::kTimestamp},
       .build = BuildIdentify,
       .append_item = AppendIdentifyItem},
      {.type = JobType::kTrack,
       .name = "track",
       .help = "An event of a person",
       .required = {kKnownOrAnonymous, {Name::kName}},
       .optional = kOfEvents,
       .goes_without_customer = members::people::IsInvite,
       .build = BuildEvent,
       .append_item = AppendEventItem,
       .effect = JobEffect::kEvent},
      {.type = JobType::kPageview,
       .name = "pageview",
       .help = "A page view of a person",
       .required = {kKnownOrAnonymous, {Name::kUrl}},
       .optional = kOfEvents,
       .build = BuildEvent,
       .append_item = AppendEventItem,
       .effect = JobEffect::kEvent},
      {.type = JobType::kDestroy,
       .name = "destroy",
       .help = "Delete a person",
       .required = {kCustomer},
       .build = BuildDestroy,
       .append_item = AppendDestroyItem,
       .in_batch = InBatch::kAlone},
      {.type = JobType::kRaw,
       .name = "raw",
       .help = "Any request of the Track API",
       .required = {{{Name::kMethod}, {Name::kPath}}},
       .optional = {Name::kId, Name::kQuery, Name::kHeaders, Name::kBody, Name::kForm, Name::kFiles,
                    Name::kResponseType, Name::kTimeoutMs, Name::kRetry, Name::kDebug},
       .check = members::raw::CheckWhole,
       .build = BuildRaw},
      {.type = JobType::kSuppress,
       .name = "suppress",
       .help = "Delete a person and block the identifier",
       .required = {kCustomer},
       .build = BuildSuppress,
       .append_item = AppendSuppressItem,
       .in_batch = InBatch::kAlone},
      {.type = JobType::kUnsuppress,
       .name = "unsuppress",
       .help = "Lift a suppression",
       .required = {kCustomer},
       .build = BuildUnsuppress,
       .append_item = AppendUnsuppressItem,
       .in_batch = InBatch::kAlone},
      {.type = JobType::kAddDevice,
       .name = "add_device",
       .help = "Add or update a device of a person",
       .required = {kCustomer, {Name::kDevice}},
       .build = BuildAddDevice,
       .append_item = AppendAddDeviceItem},
      {.type = JobType::kDeleteDevice,
       .name = "delete_device",
       .help = "Delete a device of a person",
       .required = {kCustomer, {Name::kDeviceId}},
       .build = BuildDeleteDevice,
       .append_item = AppendDeleteDeviceItem},
      {.type = JobType::kMerge,
       .name = "merge",
       .help = "Merge two people",
       .required = {{{Name::kPrimary}, {Name::kSecondary}}},
       .build = BuildMerge,
       .in_batch = InBatch::kAlone},
      {.type = JobType::kForm,
       .name = "form",
       .help = "Submit a form",
       .required = {{{Name::kFormId}, {Name::kData}}},
       .check = members::people::CheckForm,
       .build = BuildForm},
      {.type = JobType::kAddToSegment,
       .name = "add_to_segment",
       .help = "Add people to a manual segment",
       .required = {{{Name::kSegmentId}, {Name::kIds}}},
       .optional = {Name::kIdType},
       .check = members::people::CheckSegment,
       .build = BuildSegmentChange},
      {.type = JobType::kRemoveFromSegment,
       .name = "remove_from_segment",
       .help = "Remove people from a manual segment",
       .required = {{{Name::kSegmentId}, {Name::kIds}}},
       .optional = {Name::kIdType},
       .check = members::people::CheckSegment,
       .build = BuildSegmentChange},
      {.type = JobType::kMetric,
       .name = "metric",
       .help = "Report on a delivery",
       .required = {{{Name::kDeliveryId}, {Name::kMetric}}},
       .optional = {Name::kTimestamp, Name::kRecipient, Name::kReason, Name::kHref},
       .build = BuildMetric},
  }};
}();

constexpr const JobTypeRow& RowOf(JobType type) {
  return kJobTypes[static_cast<std::size_t>(type)];
}
template <>
inline constexpr Names<JobType> kNames<JobType>{[] {
  std::array<Names<JobType>::Entry, kJobTypeCount> names{};
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = {kJobTypes[i].type, kJobTypes[i].name};
  return names;
}()};
constexpr std::string_view JobTypeName(JobType type) {
  return NameOf(type);
}
constexpr bool IsEvent(JobType type) {
  return RowOf(type).effect == JobEffect::kEvent;
}

std::string ListJobTypes();  // "identify, track, …"

// The first of what `row` requires that is not in `given`; nullptr: all is there.
const Need* FirstMissing(const JobTypeRow& row, members::Set given);
// For people: "\"id\" or \"anonymous_id\"".
std::string TextOf(const Need& need);

}  // namespace outboxd
