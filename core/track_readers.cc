#include "core/track_readers.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/given_time.h"
#include "core/job.h"
#include "core/job_members.h"
#include "core/job_types.h"
#include "core/limits.h"
#include "core/member_values.h"
#include "core/object_scan.h"
#include "core/people_members.h"
#include "core/result.h"
#include "core/text.h"
#include "core/track_body.h"

namespace outboxd::track {
namespace {

constexpr std::array<std::string_view, 5> kPersonIdentifiers = {"id", "email", "phone", "cio_id",
                                                                "anonymous_id"};

struct EntityAction {
  std::string_view name;
  JobType type;
};
// What has no job type of its own is raw.
constexpr std::array kPersonActions = {
    EntityAction{"identify", JobType::kIdentify},
    EntityAction{"delete", JobType::kDestroy},
    EntityAction{"event", JobType::kTrack},
    EntityAction{"page", JobType::kPageview},
    EntityAction{"screen", JobType::kTrack},
    EntityAction{"add_relationships", JobType::kRaw},
    EntityAction{"delete_relationships", JobType::kRaw},
    EntityAction{"add_device", JobType::kAddDevice},
    EntityAction{"delete_device", JobType::kDeleteDevice},
    EntityAction{"merge", JobType::kMerge},
    EntityAction{"suppress", JobType::kSuppress},
    EntityAction{"unsuppress", JobType::kUnsuppress},
};
constexpr std::array<std::string_view, 5> kObjectActions = {"identify", "identify_anonymous", "delete",
                                                            "add_relationships", "delete_relationships"};

using members::Bad;

Failure Needs(std::string_view field) {
  return Fail(ErrorKind::kMissing, "is required", std::string(field));
}

bool IsNothing(const Member& member) {
  return member.kind == ValueKind::kNull || (member.kind == ValueKind::kString && member.text.empty());
}

// A text that must be there; of what is there and is none it says so.
Result<std::string> ReadNeeded(const TrackBody& body, std::string_view key, std::string field) {
  const Member* member = body.Find(key);
  if (member == nullptr || IsNothing(*member)) return Needs(field);
  if (member->kind != ValueKind::kString) return members::NotA("a string", member->kind, std::move(field));
  return member->text;
}

// A string, or a number as its text.
Result<std::string> ReadIdentifier(const TrackBody& body, const Member& member, const std::string& field) {
  std::string value;
  if (member.kind == ValueKind::kString) value = member.text;
  if (member.kind == ValueKind::kNumber) value = body.Raw(member);
  if (value.empty() && !IsNothing(member)) return members::NotA("a string or a number", member.kind, field);
  RETURN_IF_ERROR(CheckCustomer(value, field));
  return value;
}

// The name of a person's lane, the same whichever request names the person: as it would stand in a v1 path.
Result<std::string> ReadPerson(const TrackBody& body, std::string_view key, Job& job) {
  ASSIGN_OR_RETURN(const TrackBody person, body.Inside(key));
  members::TakeNullsOut(person.text(), person.members(), job.body.offset + body.Find(key)->raw.offset,
                        job.call->edits);
  const Member* found = nullptr;
  for (const Member& member : person.members()) {
    if (member.kind == ValueKind::kNull) continue;
    if (std::find(kPersonIdentifiers.begin(), kPersonIdentifiers.end(), member.key) ==
        kPersonIdentifiers.end())
      continue;
    if (found != nullptr) return Bad("must hold one identifier", std::string(key));
    found = &member;
  }
  if (found == nullptr) return Bad("must hold one of id, email, phone, cio_id", std::string(key));
  const std::string field = std::string(key) + "." + found->key;
  ASSIGN_OR_RETURN(std::string value, ReadIdentifier(person, *found, field));
  return members::LaneName(found->key, std::move(value));
}

Slice InLine(const Job& job, Slice in_body) {
  return {job.body.offset + in_body.offset, in_body.length};
}

// Customer.io puts the time of receipt in the place of a time that it cannot read, which is late. So a time
// in another form is sent as Unix seconds, and one that is not a time is replaced by the time of acceptance.
void ReadTime(const TrackBody& body, const Member& member, Job& job) {
  const GivenTime given = ReadGivenTime(member, body.Raw(member));
  job.call->has_time = true;
  if (given.form == TimeForm::kSeconds) return;
  job.call->edits.push_back({InLine(job, member.raw), Edit::By::kTime});
  if (given.form == TimeForm::kOther) job.timestamp = InLine(job, given.text);
}

// PHP's empty array, where an object may stand.
void ReadEmptyObject(const TrackBody& body, std::string_view key, Job& job) {
  const Member* member = body.Find(key);
  if (member != nullptr && members::IsEmptyArray(*member, body.Raw(*member)))
    job.call->edits.push_back({InLine(job, member->raw), Edit::By::kEmptyObject});
}

// Until now they stand in the order in which they were found.
void SortEdits(Job& job) {
  Edits& edits = job.call->edits;
  if (edits.size() < 2) return;
  std::sort(edits.begin(), edits.end(),
            [](const Edit& one, const Edit& other) { return one.place.offset < other.place.offset; });
}

// The stamps that are not needed, and the stretches of the line that a stamp replaces.
void ReadStamps(const TrackBody& body, TrackCall::Stamps stamps, std::string_view time_member, Job& job) {
  TrackCall& call = *job.call;
  call.stamps = stamps;
  call.time_member = time_member;
  const Member* time = body.Find(time_member);
  if (time != nullptr) ReadTime(body, *time, job);
  const Member* id = stamps == TrackCall::Stamps::kIdAndTime ? body.Find("id") : nullptr;
  if (id == nullptr) return;
  call.has_id = true;
  if (IsNothing(*id)) call.edits.push_back({InLine(job, id->raw), Edit::By::kEventId});
}

Result<void> ReadEventName(const TrackBody& body, Job& job) {
  ASSIGN_OR_RETURN(job.name, ReadNeeded(body, "name", "name"));
  const std::size_t bytes_max = job.type == JobType::kPageview ? limits::kUrlBytes : limits::kEventNameBytes;
  if (job.name.size() > bytes_max)
    return Bad("is longer than " + std::to_string(bytes_max) + " bytes", "name");
  return {};
}

Result<void> NeedTexts(const TrackBody& body, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    ASSIGN_OR_RETURN(const std::string text, ReadNeeded(body, key, std::string(key)));
    static_cast<void>(text);
  }
  return {};
}

// The anonymous person whose events an identify claims.
void ReadClaim(const TrackBody& attributes, Job& job) {
  const Member* anonymous = attributes.Find("anonymous_id");
  if (anonymous == nullptr) return;
  if (std::optional<std::string> lane = members::AnonymousLane(*anonymous, attributes.Raw(*anonymous)))
    job.more_customers.push_back(std::move(*lane));
}

// Of an entity; Customer.io judges what is not an object.
void ReadAttributes(const TrackBody& body, Job& job) {
  ReadEmptyObject(body, "attributes", job);
  if (job.type != JobType::kIdentify) return;
  if (const Result<TrackBody> attributes = body.Inside("attributes")) ReadClaim(*attributes, job);
}

// When it was last used, and its attributes.
void ReadDeviceParts(const TrackBody& device, std::uint32_t offset, Job& job) {
  const auto in_line = [&](Slice slice) { return Slice{offset + slice.offset, slice.length}; };
  if (const Member* used = device.Find("last_used")) {
    const GivenTime given = ReadGivenTime(*used, device.Raw(*used));
    if (given.form == TimeForm::kOther)
      job.call->edits.push_back({in_line(used->raw), Edit::By::kSeconds, in_line(given.text)});
  }
  const Member* attributes = device.Find("attributes");
  if (attributes != nullptr && members::IsEmptyArray(*attributes, device.Raw(*attributes)))
    job.call->edits.push_back({in_line(attributes->raw), Edit::By::kEmptyObject});
}

// An object's requests keep their order among themselves.
Result<void> ReadObjectIdentifiers(const TrackBody& body, Job& job) {
  ASSIGN_OR_RETURN(const TrackBody identifiers, body.Inside("identifiers"));
  std::string name = "object";
  for (const Member& member : identifiers.members()) {
    ASSIGN_OR_RETURN(const std::string value,
                     ReadIdentifier(identifiers, member, "identifiers." + member.key));
    name += "/" + value;
  }
  if (identifiers.members().empty()) return Needs("identifiers");
  if (name.size() <= limits::kCustomerIdBytes) job.customer = std::move(name);
  return {};
}

Result<void> ReadPersonIdentifiers(const TrackBody& body, Job& job) {
  ASSIGN_OR_RETURN(job.customer, ReadPerson(body, "identifiers", job));
  return {};
}

bool IsKnownAction(std::string_view type, std::string_view action) {
  if (type == "object")
    return std::find(kObjectActions.begin(), kObjectActions.end(), action) != kObjectActions.end();
  return std::any_of(kPersonActions.begin(), kPersonActions.end(),
                     [action](const EntityAction& row) { return row.name == action; });
}

}  // namespace

Result<void> CheckCustomer(const std::string& customer, std::string field) {
  if (customer.empty()) return Needs(field);
  if (customer.size() > limits::kCustomerIdBytes) {
    return Bad("is longer than " + std::to_string(limits::kCustomerIdBytes) + " bytes", std::move(field));
  }
  const bool is_text = IsUtf8(customer) && customer.find('\0') == std::string::npos;
  if (!is_text) return Bad("must be UTF-8 text", std::move(field));
  return {};
}

Result<void> ReadIdentify(const TrackBody& body, Job& job) {
  RETURN_IF_ERROR(members::CheckAttributes(body.members()));
  ReadClaim(body, job);
  ReadStamps(body, TrackCall::Stamps::kTime, "_timestamp", job);
  return {};
}

Result<void> ReadEvent(const TrackBody& body, Job& job) {
  RETURN_IF_ERROR(ReadEventName(body, job));
  ReadEmptyObject(body, "data", job);
  const Member* data = body.Find("data");
  if (data != nullptr && data->kind != ValueKind::kObject && data->kind != ValueKind::kNull &&
      !members::IsEmptyArray(*data, body.Raw(*data)))
    return members::NotA("an object", data->kind, "data");
  if (data != nullptr && data->raw.length > limits::kEventDataBytes &&
      DecodedBytes(body.Raw(*data)) > limits::kEventDataBytes) {
    return Bad("is longer than " + std::to_string(limits::kEventDataBytes) + " bytes", "data");
  }
  ReadStamps(body, TrackCall::Stamps::kIdAndTime, "timestamp", job);
  SortEdits(job);
  return {};
}

// Without an anonymous_id it invites somebody, and belongs to no lane.
Result<void> ReadAnonymousEvent(const TrackBody& body, Job& job) {
  const Member* anonymous = body.Find("anonymous_id");
  if (anonymous != nullptr && anonymous->kind == ValueKind::kNumber) {
    job.customer = members::AnonymousLane(*anonymous, body.Raw(*anonymous)).value_or(std::string());
  } else {
    job.customer = body.Text("anonymous_id");
  }
  job.anonymous = !job.customer.empty();
  if (job.anonymous) {
    RETURN_IF_ERROR(CheckCustomer(job.customer, "anonymous_id"));
  }
  return ReadEvent(body, job);
}

Result<void> ReadDevice(const TrackBody& body, Job& job) {
  ASSIGN_OR_RETURN(const TrackBody device, body.Inside("device"));
  for (const std::string_view key : {"id", "platform"}) {
    ASSIGN_OR_RETURN(const std::string text, ReadNeeded(device, key, "device." + std::string(key)));
    static_cast<void>(text);
  }
  ReadDeviceParts(device, job.body.offset + body.Find("device")->raw.offset, job);
  SortEdits(job);
  return {};
}

Result<void> ReadMerge(const TrackBody& body, Job& job) {
  ASSIGN_OR_RETURN(const std::string primary, ReadPerson(body, "primary", job));
  ASSIGN_OR_RETURN(const std::string secondary, ReadPerson(body, "secondary", job));
  job.customer = primary;
  job.more_customers.push_back(secondary);
  SortEdits(job);
  return {};
}

Result<void> ReadForm(const TrackBody& body, Job& job) {
  ASSIGN_OR_RETURN(const TrackBody data, body.Inside("data"));
  const std::string_view id = data.Text("id");
  const std::string_view email = data.Text("email");
  for (const std::string_view key : {"id", "email"}) {
    const Member* member = data.Find(key);
    if (id.empty() && email.empty() && member != nullptr && !IsNothing(*member))
      return members::NotA("a string", member->kind, "data." + std::string(key));
  }
  if (id.empty() == email.empty()) return Bad("needs exactly one of id and email", "data");
  job.customer = id.empty() ? email : id;
  return CheckCustomer(job.customer, id.empty() ? "data.email" : "data.id");
}

Result<void> ReadSegment(const TrackBody& body, Job& job) {
  const Member* ids = body.Find("ids");
  if (ids == nullptr || ids->kind != ValueKind::kArray) return Bad("must be an array", "ids");
  const std::string array(body.Raw(*ids));
  const std::vector<Member> elements = members::Inside(array);
  if (elements.empty() || elements.size() > limits::kSegmentIds)
    return Bad("must hold 1 to " + std::to_string(limits::kSegmentIds) + " ids", "ids");
  const std::string_view kind =
      job.call->target.find("id_type=cio_id") != std::string::npos ? "cio_id" : "id";
  for (const Member& element : elements) {
    std::string id = element.kind == ValueKind::kString
                         ? element.text
                         : array.substr(element.raw.offset, element.raw.length);
    RETURN_IF_ERROR(CheckCustomer(id, "ids"));
    job.more_customers.push_back(members::LaneName(kind, std::move(id)));
  }
  return {};
}

Result<void> ReadMetric(const TrackBody& body, Job&) {
  return NeedTexts(body, {"delivery_id", "metric"});
}

Result<void> ReadPushMetric(const TrackBody& body, Job&) {
  return NeedTexts(body, {"delivery_id", "event"});
}

Result<JobType> TypeOfEntity(const TrackBody& body) {
  ASSIGN_OR_RETURN(const std::string type, ReadNeeded(body, "type", "type"));
  ASSIGN_OR_RETURN(const std::string action, ReadNeeded(body, "action", "action"));
  if (type == "person") {
    const auto known = std::find_if(kPersonActions.begin(), kPersonActions.end(),
                                    [&action](const EntityAction& row) { return row.name == action; });
    if (known != kPersonActions.end()) return known->type;
  } else if (type == "delivery") {
    if (action == "event") return JobType::kMetric;
  } else if (type != "object") {
    return Bad("must be person, object or delivery", "type");
  }
  return JobType::kRaw;
}

Result<void> ReadEntity(const TrackBody& body, Job& job) {
  if (job.body.length > limits::kEntityBytes)
    return Bad("is longer than " + std::to_string(limits::kEntityBytes) + " bytes");
  const std::string_view type = body.Text("type");
  ReadAttributes(body, job);
  if (type == "delivery") return {};
  if (!IsKnownAction(type, body.Text("action"))) {
    // The lane where one can be told; the rest is Customer.io's to judge.
    static_cast<void>(type == "object" ? ReadObjectIdentifiers(body, job) : ReadPersonIdentifiers(body, job));
    job.call->edits.clear();
    return {};
  }
  if (type == "object") return ReadObjectIdentifiers(body, job);
  if (job.type == JobType::kMerge) return ReadMerge(body, job);
  RETURN_IF_ERROR(ReadPersonIdentifiers(body, job));
  if (job.type == JobType::kIdentify) ReadStamps(body, TrackCall::Stamps::kTime, "timestamp", job);
  if (job.type == JobType::kAddDevice) {
    if (const Result<TrackBody> device = body.Inside("device"))
      ReadDeviceParts(*device, job.body.offset + body.Find("device")->raw.offset, job);
  }
  if (IsEvent(job.type)) {
    RETURN_IF_ERROR(ReadEventName(body, job));
    ReadStamps(body, TrackCall::Stamps::kIdAndTime, "timestamp", job);
  }
  SortEdits(job);
  return {};
}

}  // namespace outboxd::track
