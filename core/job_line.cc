#include "core/job_line.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

#include "core/job_members.h"
#include "core/limits.h"
#include "core/object_scan.h"

namespace outboxd {
namespace {

using members::Bit;
using members::Name;

constexpr std::size_t kMembersKept = 256;  // for the next line: a hostile one may have a hundred thousand

tl::unexpected<LineError> Refuse(std::string field, std::string message,
                                 LineErrorCode code = LineErrorCode::kInvalidJob) {
  return tl::unexpected(LineError{code, std::move(field), std::move(message), {}, false});
}

// The line's members by name: each known, at most once.
struct Table {
  std::array<const Member*, members::kCount> at{};
  const Member* operator[](Name name) const { return at[static_cast<std::size_t>(name)]; }
};

tl::expected<Table, LineError> Sort(const std::vector<Member>& found) {
  Table table;
  for (const Member& member : found) {
    const std::optional<Name> name = members::FromText(member.key);
    if (!name) return Refuse(member.key.substr(0, limits::kShortTextBytes), "unknown member");
    const Member*& place = table.at[static_cast<std::size_t>(*name)];
    if (place != nullptr) return Refuse(member.key, "given twice");
    place = &member;
  }
  return table;
}

tl::expected<JobType, LineError> ReadType(const Table& table) {
  const Member* type = table[Name::kType];
  if (type == nullptr) return Refuse("type", "a job needs \"type\"");
  if (type->kind != ValueKind::kString) return Refuse("type", "must be a string");
  const std::optional<JobType> known = JobTypeFromName(type->text);
  if (!known)
    return Refuse(
        "type",
        "unknown type; one of identify, track, pageview, destroy, raw, suppress, unsuppress, add_device, "
        "delete_device, merge, form, add_to_segment, remove_from_segment, metric");
  return *known;
}

std::optional<LineError> RefuseStrangers(const Table& table, JobType type) {
  for (std::size_t i = 0; i < table.at.size(); ++i) {
    if (table.at[i] == nullptr || (members::TypesOf(static_cast<Name>(i)) & Bit(type)) != 0) continue;
    return LineError{LineErrorCode::kInvalidJob,
                     table.at[i]->key,
                     "does not belong to " + std::string(JobTypeName(type)),
                     {},
                     false};
  }
  if (table[Name::kRequest] == nullptr) return std::nullopt;
  for (std::size_t i = 0; i < table.at.size(); ++i) {
    if (table.at[i] == nullptr || members::GoesWithRequest(static_cast<Name>(i))) continue;
    return LineError{
        LineErrorCode::kInvalidJob, table.at[i]->key, "does not stand beside \"request\"", {}, false};
  }
  return std::nullopt;
}

tl::expected<Job, LineError> Read(std::string line, const std::vector<Member>& found) {
  const tl::expected<Table, LineError> table = Sort(found);
  if (!table) return tl::unexpected(table.error());
  const tl::expected<JobType, LineError> type = ReadType(*table);
  if (!type) return tl::unexpected(type.error());
  if (std::optional<LineError> stranger = RefuseStrangers(*table, *type))
    return tl::unexpected(std::move(*stranger));

  Job job;
  job.type = *type;
  job.line = std::move(line);
  for (const members::Rule& rule : members::Rules()) {
    const Member* member = (*table)[rule.name];
    if (member == nullptr) continue;
    if (Result<void> read = rule.read(*member, job); !read) {
      std::string field = read.error().field.empty() ? member->key : member->key + "." + read.error().field;
      return Refuse(std::move(field), std::move(read.error().message));
    }
  }
  if (Result<void> whole = members::CheckWhole(job); !whole)
    return Refuse(std::move(whole.error().field), std::move(whole.error().message));
  return job;
}

tl::expected<Job, LineError> ReadScanned(const Result<ValueKind>& root, std::string line,
                                         const std::vector<Member>& found) {
  if (!root && root.error().kind == ErrorKind::kInvalid)
    return Refuse({}, root.error().message, LineErrorCode::kInvalidJson);
  if (!root || *root != ValueKind::kObject) return Refuse({}, "a job is one JSON object");
  return Read(std::move(line), found);
}

void EchoRef(const std::vector<Member>& found, LineError& error) {
  const auto ref =
      std::find_if(found.begin(), found.end(), [](const Member& member) { return member.key == "ref"; });
  if (ref == found.end() || ref->kind != ValueKind::kString || ref->text.size() > limits::kRefBytes) return;
  error.ref = ref->text;
  error.has_ref = true;
}

}  // namespace

tl::expected<Job, LineError> ParseJobLine(std::string line) {
  thread_local std::vector<Member> found;
  found.clear();
  const Result<ValueKind> root = ScanMembers(line, found);
  tl::expected<Job, LineError> job = ReadScanned(root, std::move(line), found);
  if (!job) EchoRef(found, job.error());
  if (found.capacity() > kMembersKept) found = {};
  return job;
}

}  // namespace outboxd
