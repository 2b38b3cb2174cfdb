#include "core/job_line.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/acceptance.h"
#include "core/job.h"
#include "core/job_members.h"
#include "core/job_types.h"
#include "core/limits.h"
#include "core/object_scan.h"
#include "core/refusal.h"
#include "core/result.h"
#include "core/track_call.h"

namespace outboxd {
namespace {

using members::Name;

constexpr std::size_t kMembersKept = 256;  // for the next line: a hostile one may have a hundred thousand

tl::unexpected<LineError> Refuse(std::string field, std::string message,
                                 Refusal code = Refusal::kInvalidJob) {
  return tl::unexpected(LineError{code, std::move(field), std::move(message), {}, false});
}

// The line's members by name: each known, at most once. One that is null is absent; a raw body's null is a
// body.
struct Table {
  std::array<const Member*, members::kCount> at{};  // filled in where `given` has the name
  members::Set given;
  const Member& operator[](Name name) const { return *at[static_cast<std::size_t>(name)]; }
};

tl::expected<Table, LineError> Sort(const std::vector<Member>& found) {
  Table table;
  for (const Member& member : found) {
    const std::optional<Name> name = members::FromText(member.key);
    if (!name) return Refuse(member.key.substr(0, limits::kShortTextBytes), "unknown member");
    if (table.given.Has(*name)) return Refuse(member.key, "given twice");
    if (member.kind == ValueKind::kNull && *name != Name::kType && *name != Name::kBody) continue;
    table.given.Add(*name);
    table.at[static_cast<std::size_t>(*name)] = &member;
  }
  return table;
}

tl::expected<JobType, LineError> ReadType(const Table& table) {
  if (!table.given.Has(Name::kType)) return Refuse("type", "a job needs \"type\"");
  const Member& type = table[Name::kType];
  if (type.kind != ValueKind::kString) return Refuse("type", "must be a string");
  const std::optional<JobType> known = kNames<JobType>.Find(type.text);
  if (!known) return Refuse("type", "unknown type; one of " + ListJobTypes());
  return *known;
}

tl::expected<void, LineError> RefuseStrangers(const Table& table, const JobTypeRow& row) {
  const members::Set strangers = table.given.Without(row.Allowed());
  if (!strangers.IsEmpty())
    return Refuse(table[strangers.First()].key, "does not belong to " + std::string(row.name));
  if (!table.given.Has(Name::kRequest)) return {};
  const members::Set beside = table.given.Without(members::kOfEveryType);
  if (!beside.IsEmpty()) return Refuse(table[beside.First()].key, "does not stand beside \"request\"");
  return {};
}

// What no single member shows. Fills in the lanes of types that name their customers inside.
Result<void> CheckWhole(Job& job, const JobTypeRow& row, members::Set given) {
  if (job.call) {
    Result<void> checked = CheckTrackCall(job);
    if (!checked)
      checked.error().field =
          checked.error().field.empty() ? "request" : "request.body." + checked.error().field;
    return checked;
  }
  const bool is_of_nobody = !given.Has(Name::kId) && !given.Has(Name::kAnonymousId);
  if (is_of_nobody && row.goes_without_customer != nullptr && row.goes_without_customer(job))
    given.Add(Name::kId);
  if (const Need* missing = FirstMissing(row, given)) {
    return Fail(ErrorKind::kInvalid, std::string(row.name) + " needs " + TextOf(*missing),
                std::string(members::TextOf(missing->member)));
  }
  return row.check != nullptr ? row.check(job) : Result<void>();
}

tl::expected<Job, LineError> Read(std::string line, const std::vector<Member>& found) {
  const tl::expected<Table, LineError> table = Sort(found);
  if (!table) return tl::unexpected(table.error());
  const tl::expected<JobType, LineError> type = ReadType(*table);
  if (!type) return tl::unexpected(type.error());
  const JobTypeRow& row = RowOf(*type);
  if (tl::expected<void, LineError> strangers = RefuseStrangers(*table, row); !strangers)
    return tl::unexpected(std::move(strangers.error()));

  Job job;
  job.type = *type;
  job.line = std::move(line);
  for (const members::Rule& rule : members::Rules()) {
    if (!table->given.Has(rule.name)) continue;
    const Member& member = (*table)[rule.name];
    if (Result<void> read = rule.read(member, job); !read) {
      std::string field = read.error().field.empty() ? member.key : member.key + "." + read.error().field;
      return Refuse(std::move(field), std::move(read.error().message));
    }
  }
  if (Result<void> whole = CheckWhole(job, row, table->given); !whole)
    return Refuse(std::move(whole.error().field), std::move(whole.error().message));
  return job;
}

tl::expected<Job, LineError> ReadScanned(const Result<ValueKind>& root, std::string line,
                                         const std::vector<Member>& found) {
  if (!root && root.error().kind == ErrorKind::kInvalid)
    return Refuse({}, root.error().message, Refusal::kInvalidJson);
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

tl::expected<Job, LineError> ParseStoredLine(std::string line) {
  thread_local std::vector<Member> found;
  found.clear();
  const Result<ValueKind> root = ScanMembers(line, found);
  tl::expected<Job, LineError> job = ReadScanned(root, std::move(line), found);
  if (!job) EchoRef(found, job.error());
  if (found.capacity() > kMembersKept) found = {};
  return job;
}

tl::expected<Job, LineError> ParseJobLine(std::string line) {
  tl::expected<Job, LineError> job = ParseStoredLine(std::move(line));
  if (!job) return job;
  if (const Result<void> allowed = CheckNew(*job); !allowed) {
    const std::string field = (job->call ? "request." : "") + allowed.error().field;
    return tl::unexpected(
        LineError{Refusal::kInvalidJob, field, allowed.error().message, std::move(job->ref), job->has_ref});
  }
  return job;
}

}  // namespace outboxd
