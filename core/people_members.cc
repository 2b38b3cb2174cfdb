#include "core/people_members.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/job.h"
#include "core/limits.h"
#include "core/member_values.h"
#include "core/object_scan.h"
#include "core/result.h"

namespace outboxd::members {
namespace {

constexpr std::string_view kCioIdPrefix = "cio_";  // of a cio_id in a v1 path

bool HasNull(std::span<const Member> parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [](const Member& part) { return part.kind == ValueKind::kNull; });
}

Result<void> ReadPerson(const Member& member, Job& job, Slice& slice, std::string& lane) {
  RETURN_IF_ERROR(NeedObject(member));
  slice = member.raw;
  const std::string object(job.Text(member.raw));
  std::vector<Member> parts = Inside(object);
  if (HasNull(parts)) {
    TakeNullsOut(object, parts, member.raw.offset, Other(job).edits);
    std::erase_if(parts, [](const Member& part) { return part.kind == ValueKind::kNull; });
  }
  const bool known =
      parts.size() == 1 && (parts[0].key == "id" || parts[0].key == "email" || parts[0].key == "cio_id");
  if (!known) return Bad("must hold exactly one of \"id\", \"email\", \"cio_id\"");
  std::string value;
  Result<void> read = ReadIdentifier(
      parts[0], std::string_view(object).substr(parts[0].raw.offset, parts[0].raw.length), value);
  if (!read) return Bad(std::move(read.error().message), parts[0].key);
  lane = LaneName(parts[0].key, std::move(value));
  return {};
}

}  // namespace

std::string LaneName(std::string_view kind, std::string value) {
  return kind == "cio_id" ? std::string(kCioIdPrefix) + value : std::move(value);
}

std::optional<std::string> AnonymousLane(const Member& member, std::string_view json) {
  std::string lane;
  if (member.kind == ValueKind::kString) lane = member.text;
  if (member.kind == ValueKind::kNumber) lane = json;
  if (lane.empty() || lane.size() > limits::kCustomerIdBytes) return std::nullopt;
  return lane;
}

namespace people {

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
  const std::string array(job.Text(member.raw));
  const std::vector<Member> ids = Inside(array);
  if (ids.empty() || ids.size() > limits::kSegmentIds)
    return Bad("must hold 1 to " + std::to_string(limits::kSegmentIds) + " ids");
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::string& id = job.more_customers.emplace_back();
    Result<void> read =
        ReadIdentifier(ids[i], std::string_view(array).substr(ids[i].raw.offset, ids[i].raw.length), id);
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

// A form's data names its person by exactly one of id and email, and holds strings alone: the API answers 400
// otherwise.
Result<void> CheckForm(Job& job) {
  const std::string data(job.Text(job.body));
  std::size_t persons = 0;
  const std::vector<Member> parts = Inside(data);
  if (HasNull(parts)) TakeNullsOut(data, parts, job.body.offset, Other(job).edits);
  for (const Member& part : parts) {
    if (part.kind == ValueKind::kNull) continue;
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

bool IsInvite(const Job& job) {
  if (job.body.empty()) return false;
  const std::vector<Member> data = Inside(std::string(job.Text(job.body)));
  return std::any_of(data.begin(), data.end(), [](const Member& member) {
    return member.key == "recipient" && member.kind == ValueKind::kString && !member.text.empty();
  });
}

Result<void> CheckSegment(Job& job) {
  for (std::string& id : job.more_customers) id = LaneName(job.other->id_type, std::move(id));
  return {};
}

}  // namespace people
}  // namespace outboxd::members
