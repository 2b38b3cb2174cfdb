#include "core/job_members.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/limits.h"
#include "core/raw_members.h"
#include "core/request.h"
#include "core/track_call.h"

namespace outboxd::members {
namespace {

constexpr std::uint32_t kAll = (std::uint32_t{1} << kJobTypeCount) - 1;
constexpr std::uint32_t kEvents = Bit(JobType::kTrack) | Bit(JobType::kPageview);
constexpr std::uint32_t kRawOnly = Bit(JobType::kRaw);
constexpr std::uint32_t kSegments = Bit(JobType::kAddToSegment) | Bit(JobType::kRemoveFromSegment);
constexpr std::uint32_t kMetricOnly = Bit(JobType::kMetric);
constexpr std::uint32_t kWithId =
    kAll & ~(Bit(JobType::kMerge) | Bit(JobType::kForm) | kSegments | kMetricOnly);

constexpr std::int64_t kLastUnixSecond = 253'402'300'799;  // 9999-12-31T23:59:59Z

Failure Bad(std::string message, std::string field = {}) {
  return Fail(ErrorKind::kInvalid, std::move(message), std::move(field));
}

OtherMembers& Other(Job& job) {
  if (!job.other) job.other = std::make_unique<OtherMembers>();
  return *job.other;
}

constexpr std::string_view kCioIdPrefix = "cio_";  // of a cio_id in a v1 path

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

bool IsInteger(std::string_view number) {
  if (number.starts_with('-')) number.remove_prefix(1);
  return !number.empty() &&
         std::all_of(number.begin(), number.end(), [](char digit) { return digit >= '0' && digit <= '9'; });
}

// A string, or an integer taken as its decimal text.
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

std::optional<std::int64_t> ReadInteger(const Member& member, std::string_view json) {
  std::int64_t number = 0;
  if (member.kind != ValueKind::kNumber) return std::nullopt;
  const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), number);
  if (error != std::errc{} || end != json.data() + json.size()) return std::nullopt;
  return number;
}

// The members of an object or array that stands inside the line.
std::vector<Member> Inside(const Job& job, Slice slice, std::string& copy) {
  std::vector<Member> inside;
  copy = job.Text(slice);
  // The line as a whole was scanned: a part of it is valid JSON.
  static_cast<void>(ScanMembers(copy, inside));
  return inside;
}

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
  RETURN_IF_ERROR(NeedObject(member));
  job.body = member.raw;
  std::string copy;
  const std::vector<Member> attributes = Inside(job, member.raw, copy);
  for (const Member& attribute : attributes) {
    job.has_own_timestamp = job.has_own_timestamp || attribute.key == "_timestamp";
    job.attributes_are_v1 = job.attributes_are_v1 || IsOtherInV2(attribute.key);
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
  RETURN_IF_ERROR(NeedObject(member));
  if (member.raw.length > limits::kEventDataBytes) {
    return Bad("is " + std::to_string(member.raw.length) + " bytes; at most " +
               std::to_string(limits::kEventDataBytes) + " are allowed");
  }
  job.body = member.raw;
  return {};
}

// Unix seconds with an optional fraction, which is cut: the Track API takes whole seconds.
Result<void> ReadTimestamp(const Member& member, Job& job) {
  constexpr std::string_view kWanted =
      "must be Unix seconds (0 to 253402300799) or RFC 3339 text such as \"2026-01-31T09:30:00Z\"";
  job.timestamp = member.raw;
  if (member.kind == ValueKind::kString) {
    const std::optional<Timestamp> at = ParseRfc3339(member.text);
    const bool in_range = at && ToUnixMs(*at) >= 0 && ToUnixMs(*at) / 1000 <= kLastUnixSecond;
    if (!in_range || member.raw.length != member.text.size() + 2) return Bad(std::string(kWanted));
    return {};
  }
  const std::string_view json = job.Text(member.raw);
  const std::size_t point = std::min(json.find('.'), json.size());
  Member whole = member;
  job.timestamp.length = whole.raw.length = static_cast<std::uint32_t>(point);
  const std::optional<std::int64_t> seconds = ReadInteger(whole, json.substr(0, point));
  const bool plain = json.find_first_of("eE-") == std::string_view::npos;
  if (!plain || !seconds || *seconds > kLastUnixSecond) return Bad(std::string(kWanted));
  return {};
}

Result<void> ReadEventId(const Member& member, Job& job) {
  if (member.kind != ValueKind::kString || !Ulid::Parse(member.text))
    return Bad("must be a ULID (26 characters of Crockford base32)");
  job.event_id = member.text;
  return {};
}

Result<void> ReadMaxAge(const Member& member, Job& job) {
  const std::optional<std::int64_t> seconds = ReadInteger(member, job.Text(member.raw));
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

Result<void> ReadDevice(const Member& member, Job& job) {
  RETURN_IF_ERROR(NeedObject(member));
  job.body = member.raw;
  std::string copy;
  bool has_id = false;
  bool has_platform = false;
  for (const Member& part : Inside(job, member.raw, copy)) {
    if (part.key == "id") {
      if (part.kind != ValueKind::kString || part.text.empty() ||
          part.text.size() > limits::kShortTextBytes) {
        return Bad("must be a string of 1 to " + std::to_string(limits::kShortTextBytes) + " bytes",
                   part.key);
      }
      has_id = true;
    } else if (part.key == "platform") {
      has_platform = part.kind == ValueKind::kString && (part.text == "ios" || part.text == "android");
      if (!has_platform) return Bad("must be \"ios\" or \"android\"", part.key);
    } else if (part.key == "last_used") {
      if (part.kind != ValueKind::kNumber) return Bad("must be Unix seconds", part.key);
    } else if (part.key == "attributes") {
      if (part.kind != ValueKind::kObject) return Bad("must be an object", part.key);
    } else {
      return Bad("unknown member; put it into \"attributes\"", part.key);
    }
  }
  if (!has_id) return Bad("a device needs \"id\"", "id");
  if (!has_platform) return Bad("a device needs \"platform\"", "platform");
  return {};
}

Result<void> ReadDeviceId(const Member& member, Job& job) {
  return ReadText(member, limits::kShortTextBytes, Other(job).device_id);
}

Result<void> ReadPerson(const Member& member, Job& job, Slice& slice, std::string& lane) {
  RETURN_IF_ERROR(NeedObject(member));
  slice = member.raw;
  std::string copy;
  const std::vector<Member> parts = Inside(job, member.raw, copy);
  const bool known =
      parts.size() == 1 && (parts[0].key == "id" || parts[0].key == "email" || parts[0].key == "cio_id");
  if (!known) return Bad("must hold exactly one of \"id\", \"email\", \"cio_id\"");
  std::string value;
  Result<void> read = ReadIdentifier(
      parts[0], std::string_view(copy).substr(parts[0].raw.offset, parts[0].raw.length), value);
  if (!read) return Bad(std::move(read.error().message), parts[0].key);
  ASSIGN_OR_RETURN(std::string name, LaneName(parts[0].key, std::move(value), parts[0].key));
  lane = std::move(name);
  return {};
}

Result<void> ReadPrimary(const Member& member, Job& job) {
  return ReadPerson(member, job, Other(job).primary, job.customer);
}
Result<void> ReadSecondary(const Member& member, Job& job) {
  return ReadPerson(member, job, Other(job).secondary, job.more_customers.emplace_back());
}

Result<void> ReadFormId(const Member& member, Job& job) {
  return ReadIdentifier(member, job.Text(member.raw), Other(job).form_id);
}

Result<void> ReadSegmentId(const Member& member, Job& job) {
  std::string& id = Other(job).segment_id;
  const std::string_view json = job.Text(member.raw);
  id = member.kind == ValueKind::kString ? member.text : std::string(json);
  const bool digits =
      !id.empty() && id.size() <= 18 && id.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || (member.kind != ValueKind::kString && member.kind != ValueKind::kNumber))
    return Bad("must be a segment's number");
  return {};
}

Result<void> ReadIds(const Member& member, Job& job) {
  if (member.kind != ValueKind::kArray) return Bad("must be an array");
  job.body = member.raw;
  std::string copy;
  const std::vector<Member> ids = Inside(job, member.raw, copy);
  if (ids.empty() || ids.size() > limits::kSegmentIds)
    return Bad("must hold 1 to " + std::to_string(limits::kSegmentIds) + " ids");
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::string& id = job.more_customers.emplace_back();
    Result<void> read =
        ReadIdentifier(ids[i], std::string_view(copy).substr(ids[i].raw.offset, ids[i].raw.length), id);
    if (!read) return Bad(std::move(read.error().message), std::to_string(i));
  }
  return {};
}

Result<void> ReadIdType(const Member& member, Job& job) {
  std::string& type = Other(job).id_type;
  type = member.text;
  if (type != "id" && type != "email" && type != "cio_id")
    return Bad("must be \"id\", \"email\" or \"cio_id\"");
  return {};
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
  constexpr std::array<std::string_view, 8> kMetrics = {"bounced",   "clicked", "converted", "deferred",
                                                        "delivered", "dropped", "opened",    "spammed"};
  Other(job).metric = member.text;
  if (std::find(kMetrics.begin(), kMetrics.end(), member.text) == kMetrics.end()) {
    return Bad("must be one of bounced, clicked, converted, deferred, delivered, dropped, opened, spammed");
  }
  return {};
}

Result<void> ReadRequest(const Member& member, Job& job) {
  return ReadTrackCall(member, job);
}
Result<void> ReadNothing(const Member&, Job&) {
  return {};
}

constexpr std::array<Rule, kCount> kRules = {{
    {Name::kType, "type", kAll, ReadNothing},
    {Name::kConnection, "connection", kAll, ReadConnection},
    {Name::kId, "id", kWithId, ReadId},
    {Name::kAnonymousId, "anonymous_id", kEvents, ReadAnonymousId},
    {Name::kAttributes, "attributes", Bit(JobType::kIdentify), ReadAttributes},
    {Name::kName, "name", Bit(JobType::kTrack), ReadName},
    {Name::kData, "data", kEvents | Bit(JobType::kForm), ReadData},
    {Name::kUrl, "url", Bit(JobType::kPageview), ReadUrl},
    {Name::kTimestamp, "timestamp", kEvents | Bit(JobType::kIdentify) | kMetricOnly, ReadTimestamp},
    {Name::kEventId, "event_id", kEvents, ReadEventId},
    {Name::kMaxAge, "max_age", kAll, ReadMaxAge},
    {Name::kRegion, "region", kAll, ReadRegion},
    {Name::kRef, "ref", kAll, ReadRef},
    {Name::kMethod, "method", kRawOnly, raw::ReadMethod},
    {Name::kPath, "path", kRawOnly, raw::ReadPath},
    {Name::kQuery, "query", kRawOnly, raw::ReadQuery},
    {Name::kHeaders, "headers", kRawOnly, raw::ReadHeaders},
    {Name::kBody, "body", kRawOnly, raw::ReadBody},
    {Name::kForm, "form", kRawOnly, raw::ReadForm},
    {Name::kFiles, "files", kRawOnly, raw::ReadFiles},
    {Name::kResponseType, "response_type", kRawOnly, raw::ReadResponseType},
    {Name::kTimeoutMs, "timeout_ms", kRawOnly, raw::ReadTimeout},
    {Name::kRetry, "retry", kRawOnly, raw::ReadRetry},
    {Name::kDebug, "debug", kRawOnly, raw::ReadDebug},
    {Name::kDevice, "device", Bit(JobType::kAddDevice), ReadDevice},
    {Name::kDeviceId, "device_id", Bit(JobType::kDeleteDevice), ReadDeviceId},
    {Name::kPrimary, "primary", Bit(JobType::kMerge), ReadPrimary},
    {Name::kSecondary, "secondary", Bit(JobType::kMerge), ReadSecondary},
    {Name::kFormId, "form_id", Bit(JobType::kForm), ReadFormId},
    {Name::kSegmentId, "segment_id", kSegments, ReadSegmentId},
    {Name::kIds, "ids", kSegments, ReadIds},
    {Name::kIdType, "id_type", kSegments, ReadIdType},
    {Name::kDeliveryId, "delivery_id", kMetricOnly, ReadDeliveryId},
    {Name::kMetric, "metric", kMetricOnly, ReadMetric},
    {Name::kRecipient, "recipient", kMetricOnly, ReadRecipient},
    {Name::kReason, "reason", kMetricOnly, ReadReason},
    {Name::kHref, "href", kMetricOnly, ReadHref},
    {Name::kRequest, "request", kAll, ReadRequest},
}};

Failure Needs(const Job& job, std::string_view what, std::string_view field) {
  return Bad(std::string(JobTypeName(job.type)) + " needs " + std::string(what), std::string(field));
}

// A form's data names its person by exactly one of id and email, and holds strings alone: the API answers 400
// otherwise.
Result<void> CheckForm(Job& job) {
  if (!job.other) return Needs(job, "\"form_id\"", "form_id");
  if (job.other->form_id.empty()) return Needs(job, "\"form_id\"", "form_id");
  if (job.body.empty()) return Needs(job, "\"data\"", "data");
  std::string copy;
  std::size_t persons = 0;
  for (const Member& part : Inside(job, job.body, copy)) {
    if (part.kind != ValueKind::kString) return Bad("must be a string", "data." + part.key);
    if (part.key != "id" && part.key != "email") continue;
    ++persons;
    job.customer = part.text;
    if (Result<void> checked = CheckText(job.customer, limits::kCustomerIdBytes); !checked) {
      return Bad(std::move(checked.error().message), "data." + part.key);
    }
  }
  if (persons != 1) return Bad("form data needs exactly one of \"id\" and \"email\"", "data");
  return {};
}

Result<void> CheckSegment(Job& job) {
  if (!job.other || job.other->segment_id.empty()) return Needs(job, "\"segment_id\"", "segment_id");
  if (job.body.empty()) return Needs(job, "\"ids\"", "ids");
  for (std::size_t i = 0; i < job.more_customers.size(); ++i) {
    std::string& id = job.more_customers[i];
    ASSIGN_OR_RETURN(std::string name,
                     LaneName(job.other->id_type, std::move(id), "ids." + std::to_string(i)));
    id = std::move(name);
  }
  return {};
}

Result<void> NeedsCustomer(const Job& job) {
  if (!job.customer.empty()) return {};
  const bool event = (Bit(job.type) & kEvents) != 0;
  return Needs(job, event ? "\"id\" or \"anonymous_id\"" : "\"id\"", "id");
}

}  // namespace

std::optional<Name> FromText(std::string_view text) {
  for (const Rule& rule : kRules) {
    if (rule.text == text) return rule.name;
  }
  return std::nullopt;
}

std::uint32_t TypesOf(Name name) {
  return kRules[static_cast<std::size_t>(name)].types;
}

std::span<const Rule> Rules() {
  return kRules;
}

Result<std::string> LaneName(std::string_view kind, std::string value, std::string field) {
  if (kind != "cio_id") return value;
  if (value.size() + kCioIdPrefix.size() > limits::kCustomerIdBytes) {
    return Bad("is longer than " + std::to_string(limits::kCustomerIdBytes - kCioIdPrefix.size()) + " bytes",
               std::move(field));
  }
  return std::string(kCioIdPrefix) + value;
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

bool GoesWithRequest(Name name) {
  constexpr std::array kBeside = {Name::kType,   Name::kConnection, Name::kMaxAge,
                                  Name::kRegion, Name::kRef,        Name::kRequest};
  return std::find(kBeside.begin(), kBeside.end(), name) != kBeside.end();
}

Result<void> CheckWhole(Job& job) {
  if (job.call) {
    Result<void> checked = CheckTrackCall(job);
    if (!checked)
      checked.error().field =
          checked.error().field.empty() ? "request" : "request.body." + checked.error().field;
    return checked;
  }
  switch (job.type) {
    case JobType::kIdentify:
    case JobType::kDestroy:
    case JobType::kSuppress:
    case JobType::kUnsuppress:
      return NeedsCustomer(job);
    case JobType::kTrack:
      RETURN_IF_ERROR(NeedsCustomer(job));
      if (job.name.empty()) return Needs(job, "\"name\"", "name");
      return {};
    case JobType::kPageview:
      RETURN_IF_ERROR(NeedsCustomer(job));
      if (job.name.empty()) return Needs(job, "\"url\"", "url");
      return {};
    case JobType::kRaw:
      return raw::CheckWhole(job);
    case JobType::kAddDevice:
      RETURN_IF_ERROR(NeedsCustomer(job));
      if (job.body.empty()) return Needs(job, "\"device\"", "device");
      return {};
    case JobType::kDeleteDevice:
      RETURN_IF_ERROR(NeedsCustomer(job));
      if (!job.other) return Needs(job, "\"device_id\"", "device_id");
      return {};
    case JobType::kMerge:
      if (!job.other || job.other->primary.empty()) return Needs(job, "\"primary\"", "primary");
      if (job.other->secondary.empty()) return Needs(job, "\"secondary\"", "secondary");
      return {};
    case JobType::kForm:
      return CheckForm(job);
    case JobType::kAddToSegment:
    case JobType::kRemoveFromSegment:
      return CheckSegment(job);
    case JobType::kMetric:
      if (!job.other || job.other->delivery_id.empty()) return Needs(job, "\"delivery_id\"", "delivery_id");
      if (job.other->metric.empty()) return Needs(job, "\"metric\"", "metric");
      return {};
  }
  return {};
}

}  // namespace outboxd::members
