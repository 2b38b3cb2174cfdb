#include "core/stamped_line.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/job.h"
#include "core/job_members.h"
#include "core/job_types.h"
#include "core/member_values.h"
#include "core/object_scan.h"
#include "core/splice.h"
#include "core/track_call.h"
#include "core/ulid.h"

namespace outboxd {
namespace {

// `object`, valid JSON, with `json` as the value of `key`: in its place, or in front of all.
std::string Put(std::string object, std::string_view key, std::string_view json) {
  const std::vector<Member> members = members::Inside(object);
  for (const Member& member : members) {
    if (member.key == key) return object.replace(member.raw.offset, member.raw.length, json);
  }
  std::string text = "\"" + std::string(key) + "\":" + std::string(json);
  if (!members.empty()) text += ',';
  return object.insert(object.find('{') + 1, text);
}

std::string WithBody(const Job& job, std::string_view body) {
  for (const Member& member : members::Inside(job.line)) {
    if (member.key != "request") continue;
    const std::string request(job.Text(member.raw));
    return Put(job.line, "request", Put(request, "body", body));
  }
  return job.line;
}

std::string Quoted(const Ulid& id) {
  return '"' + id.ToText() + '"';
}

}  // namespace

std::string EventIdOf(const Job& job, const Stamp& stamp) {
  if (!IsEvent(job.type)) return {};
  if (!job.call) return job.event_id.empty() ? stamp.id.ToText() : job.event_id;
  std::string body;
  AppendTrackCallBody(body, job, stamp);
  const std::string text = body;
  for (const Member& member : members::Inside(text)) {
    if (member.key == "id")
      return member.kind == ValueKind::kString ? member.text
                                               : text.substr(member.raw.offset, member.raw.length);
  }
  return {};
}

std::string LineWithStamps(const Job& job, const Stamp& stamp) {
  if (job.call) {
    if (job.call->stamps == TrackCall::Stamps::kNone) return job.line;
    std::string body;
    AppendTrackCallBody(body, job, stamp);
    return body.empty() ? job.line : WithBody(job, body);
  }
  std::string line = job.line;
  if (IsEvent(job.type) && job.event_id.empty()) line = Put(std::move(line), "event_id", Quoted(stamp.id));
  const bool has_time = !job.timestamp.empty() || job.has_own_timestamp;
  if (RowOf(job.type).Allowed().Has(members::Name::kTimestamp) && !has_time) {
    std::string seconds;
    AppendTimestamp(seconds, job, stamp);
    line = Put(std::move(line), "timestamp", seconds);
  }
  return line;
}

std::string LineWithEventId(const Job& job, const Ulid& id) {
  if (!job.call) return Put(job.line, "event_id", Quoted(id));
  return WithBody(job, Put(std::string(job.Text(job.body)), "id", Quoted(id)));
}

}  // namespace outboxd
