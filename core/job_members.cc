#include "core/job_members.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/given_time.h"
#include "core/job.h"
#include "core/limits.h"
#include "core/member_values.h"
#include "core/names.h"
#include "core/object_scan.h"
#include "core/people_members.h"
#include "core/raw_members.h"
#include "core/result.h"
#include "core/track_call.h"
#include "core/ulid.h"

namespace outboxd::members {
namespace {

Result<void> ReadConnection(const Member& member, Job& job) {
  return ReadText(member, limits::kConnectionNameBytes, job.connection);
}

Result<void> ReadId(const Member& member, Job& job) {
  return ReadIdentifier(member, job.Text(member.raw), job.customer);
}

Result<void> ReadAnonymousId(const Member& member, Job& job) {
  if (!job.customer.empty()) return Bad("give \"id\" or \"anonymous_id\", not both");
  job.anonymous = true;
  return ReadIdentifier(member, job.Text(member.raw), job.customer);
}

// Attributes that v2 wants beside the attributes, as a list, or does not describe.
bool IsOtherInV2(std::string_view key) {
  return key == "_timestamp" || key == "cio_relationships" || key == "anonymous_id";
}

Result<void> ReadAttributes(const Member& member, Job& job) {
  if (IsEmptyArray(member, job.Text(member.raw))) return {};
  RETURN_IF_ERROR(NeedObject(member));
  job.body = member.raw;
  const std::string object(job.Text(member.raw));
  const std::vector<Member> attributes = Inside(object);
  for (const Member& attribute : attributes) {
    job.has_own_timestamp = job.has_own_timestamp || attribute.key == "_timestamp";
    job.attributes_are_v1 = job.attributes_are_v1 || IsOtherInV2(attribute.key);
    if (attribute.key != "anonymous_id") continue;
    const std::string_view json = std::string_view(object).substr(attribute.raw.offset, attribute.raw.length);
    if (std::optional<std::string> lane = AnonymousLane(attribute, json))
      job.more_customers.push_back(std::move(*lane));
  }
  return CheckAttributes(attributes);
}

Result<void> ReadName(const Member& member, Job& job) {
  return ReadText(member, limits::kEventNameBytes, job.name);
}
Result<void> ReadUrl(const Member& member, Job& job) {
  return ReadText(member, limits::kUrlBytes, job.name);
}

Result<void> ReadData(const Member& member, Job& job) {
  if (IsEmptyArray(member, job.Text(member.raw))) return {};
  RETURN_IF_ERROR(NeedObject(member));
  if (member.raw.length > limits::kEventDataBytes &&
      DecodedBytes(job.Text(member.raw)) > limits::kEventDataBytes) {
    return Bad("is " + std::to_string(DecodedBytes(job.Text(member.raw))) + " bytes; at most " +
               std::to_string(limits::kEventDataBytes) + " are allowed");
  }
  job.body = member.raw;
  return {};
}

// A fraction is cut: the Track API takes whole seconds.
Result<void> ReadTimestamp(const Member& member, Job& job) {
  const std::string_view json = job.Text(member.raw);
  if (!IsLineTime(member, json)) return Bad(std::string(kLineTimes));
  job.timestamp = member.raw;
  if (member.kind == ValueKind::kNumber)
    job.timestamp.length = static_cast<std::uint32_t>(std::min(json.find('.'), json.size()));
  return {};
}

Result<void> ReadEventId(const Member& member, Job& job) {
  if (member.kind != ValueKind::kString || !Ulid::Parse(member.text))
    return Bad("must be a ULID (26 characters of Crockford base32)");
  job.event_id = member.text;
  return {};
}

Result<void> ReadMaxAge(const Member& member, Job& job) {
  const std::optional<std::int64_t> seconds = ReadInteger(member.kind, job.Text(member.raw));
  if (!seconds || *seconds < 1 || *seconds > limits::kMaxAgeSeconds) {
    return Bad("must be whole seconds, 1 to " + std::to_string(limits::kMaxAgeSeconds));
  }
  job.max_age = std::chrono::seconds(*seconds);
  return {};
}

Result<void> ReadRegion(const Member& member, Job& job) {
  job.region = member.kind == ValueKind::kString ? kNames<Region>.Find(member.text) : std::nullopt;
  if (!job.region) return Bad("must be " + ListNames<Region>("\""));
  return {};
}

Result<void> ReadRef(const Member& member, Job& job) {
  if (member.kind != ValueKind::kString) return Bad("must be a string");
  if (member.text.size() > limits::kRefBytes)
    return Bad("is longer than " + std::to_string(limits::kRefBytes) + " bytes");
  job.ref = member.text;
  job.has_ref = true;
  return {};
}

// A number is one of a stored line, whatever it says: core/acceptance.h.
Result<void> ReadLastUsed(const Member& part, std::string_view json, std::uint32_t offset, Edits& edits) {
  const GivenTime given = ReadGivenTime(part, json);
  const bool is_text = part.kind == ValueKind::kString && IsLineTime(part, json);
  if (part.kind != ValueKind::kNumber && !is_text) return Bad(std::string(kLineTimes));
  if (given.form != TimeForm::kOther) return {};
  edits.push_back({{offset + part.raw.offset, part.raw.length},
                   Edit::By::kSeconds,
                   {offset + given.text.offset, given.text.length}});
  return {};
}

Result<void> ReadDevicePart(const Member& part, std::string_view json, std::uint32_t offset, Edits& edits) {
  if (part.key == "id") {
    if (part.kind != ValueKind::kString || part.text.empty() || part.text.size() > limits::kShortTextBytes)
      return Bad("must be a string of 1 to " + std::to_string(limits::kShortTextBytes) + " bytes");
    return {};
  }
  if (part.key == "platform") {
    const bool is_known = part.kind == ValueKind::kString && (part.text == "ios" || part.text == "android");
    return is_known ? Result<void>() : Bad("must be \"ios\" or \"android\"");
  }
  if (part.key == "last_used") return ReadLastUsed(part, json, offset, edits);
  if (part.key != "attributes") return Bad("unknown member; put it into \"attributes\"");
  if (!IsEmptyArray(part, json)) return NeedObject(part);
  edits.push_back({{offset + part.raw.offset, part.raw.length}, Edit::By::kEmptyObject});
  return {};
}

// What of a member that the device must have stands there.
bool HasPart(std::span<const Member> parts, std::string_view key) {
  return std::any_of(parts.begin(), parts.end(),
                     [key](const Member& part) { return part.key == key && part.kind != ValueKind::kNull; });
}

Result<void> ReadDevice(const Member& member, Job& job) {
  RETURN_IF_ERROR(NeedObject(member));
  job.body = member.raw;
  const std::string device(job.Text(member.raw));
  const std::vector<Member> parts = Inside(device);
  Edits edits;
  TakeNullsOut(device, parts, member.raw.offset, edits);
  for (const Member& part : parts) {
    if (part.kind == ValueKind::kNull) continue;
    const std::string_view json = std::string_view(device).substr(part.raw.offset, part.raw.length);
    if (Result<void> read = ReadDevicePart(part, json, member.raw.offset, edits); !read)
      return Bad(std::move(read.error().message), part.key);
  }
  for (const std::string_view key : {"id", "platform"}) {
    if (!HasPart(parts, key)) return Bad("a device needs \"" + std::string(key) + "\"", std::string(key));
  }
  if (edits.empty()) return {};
  std::sort(edits.begin(), edits.end(),
            [](const Edit& one, const Edit& other) { return one.place.offset < other.place.offset; });
  Other(job).edits = std::move(edits);
  return {};
}

Result<void> ReadDeviceId(const Member& member, Job& job) {
  return ReadText(member, limits::kShortTextBytes, Other(job).device_id);
}

Result<void> ReadDeliveryId(const Member& member, Job& job) {
  return ReadText(member, limits::kShortTextBytes, Other(job).delivery_id);
}
Result<void> ReadRecipient(const Member& member, Job& job) {
  return ReadText(member, limits::kShortTextBytes, Other(job).recipient);
}
Result<void> ReadReason(const Member& member, Job& job) {
  return ReadText(member, limits::kShortTextBytes, Other(job).reason);
}
Result<void> ReadHref(const Member& member, Job& job) {
  return ReadText(member, limits::kUrlBytes, Other(job).href);
}

Result<void> ReadMetric(const Member& member, Job& job) {
  Other(job).metric = member.text;
  if (std::find(kMetrics.begin(), kMetrics.end(), member.text) == kMetrics.end()) {
    return Bad("must be one of bounced, clicked, converted, deferred, delivered, dropped, opened, spammed");
  }
  return {};
}

Result<void> ReadNothing(const Member&, Job&) {
  return {};
}

constexpr std::array<Rule, kCount> kRules = {{
    {Name::kType, "type", ReadNothing},
    {Name::kConnection, "connection", ReadConnection},
    {Name::kId, "id", ReadId},
    {Name::kAnonymousId, "anonymous_id", ReadAnonymousId},
    {Name::kAttributes, "attributes", ReadAttributes},
    {Name::kName, "name", ReadName},
    {Name::kData, "data", ReadData},
    {Name::kUrl, "url", ReadUrl},
    {Name::kTimestamp, "timestamp", ReadTimestamp},
    {Name::kEventId, "event_id", ReadEventId},
    {Name::kMaxAge, "max_age", ReadMaxAge},
    {Name::kRegion, "region", ReadRegion},
    {Name::kRef, "ref", ReadRef},
    {Name::kMethod, "method", raw::ReadMethod},
    {Name::kPath, "path", raw::ReadPath},
    {Name::kQuery, "query", raw::ReadQuery},
    {Name::kHeaders, "headers", raw::ReadHeaders},
    {Name::kBody, "body", raw::ReadBody},
    {Name::kForm, "form", raw::ReadForm},
    {Name::kFiles, "files", raw::ReadFiles},
    {Name::kResponseType, "response_type", raw::ReadResponseType},
    {Name::kTimeoutMs, "timeout_ms", raw::ReadTimeout},
    {Name::kRetry, "retry", raw::ReadRetry},
    {Name::kDebug, "debug", raw::ReadDebug},
    {Name::kDevice, "device", ReadDevice},
    {Name::kDeviceId, "device_id", ReadDeviceId},
    {Name::kPrimary, "primary", people::ReadPrimary},
    {Name::kSecondary, "secondary", people::ReadSecondary},
    {Name::kFormId, "form_id", people::ReadFormId},
    {Name::kSegmentId, "segment_id", people::ReadSegmentId},
    {Name::kIds, "ids", people::ReadIds},
    {Name::kIdType, "id_type", people::ReadIdType},
    {Name::kDeliveryId, "delivery_id", ReadDeliveryId},
    {Name::kMetric, "metric", ReadMetric},
    {Name::kRecipient, "recipient", ReadRecipient},
    {Name::kReason, "reason", ReadReason},
    {Name::kHref, "href", ReadHref},
    {Name::kRequest, "request", ReadTrackCall},
}};

}  // namespace

std::span<const Rule, kCount> Rules() {
  return kRules;
}

std::string_view TextOf(Name name) {
  return kRules[static_cast<std::size_t>(name)].text;
}

std::optional<Name> FromText(std::string_view text) {
  for (const Rule& rule : kRules) {
    if (rule.text == text) return rule.name;
  }
  return std::nullopt;
}

Result<void> CheckAttributes(std::span<const Member> attributes) {
  if (attributes.size() > limits::kAttributesPerIdentify) {
    return Bad("has " + std::to_string(attributes.size()) + " attributes; at most " +
               std::to_string(limits::kAttributesPerIdentify) + " are allowed");
  }
  for (const Member& attribute : attributes) {
    if (attribute.key.size() > limits::kAttributeNameBytes) {
      return Bad("attribute name is longer than " + std::to_string(limits::kAttributeNameBytes) + " bytes",
                 attribute.key);
    }
    if (attribute.kind == ValueKind::kString && attribute.text.size() > limits::kAttributeValueBytes) {
      return Bad("attribute value is longer than " + std::to_string(limits::kAttributeValueBytes) + " bytes",
                 attribute.key);
    }
  }
  return {};
}

}  // namespace outboxd::members
