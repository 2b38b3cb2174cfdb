#include "core/track_call.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "core/acceptance.h"
#include "core/encoding.h"
#include "core/job.h"
#include "core/job_types.h"
#include "core/limits.h"
#include "core/member_values.h"
#include "core/object_scan.h"
#include "core/request.h"
#include "core/result.h"
#include "core/splice.h"
#include "core/text.h"
#include "core/track_body.h"
#include "core/track_readers.h"
#include "core/track_route.h"

namespace outboxd {
namespace {

using members::Bad;

// No less than they take: together, and each.
constexpr std::size_t kStampBytes = 96;
constexpr std::size_t kIdStampBytes = 40;
constexpr std::size_t kTimeStampBytes = 32;
constexpr std::size_t kContentTypeBytes = 200;

bool IsStamp(Edit::By by) {
  return by == Edit::By::kEventId || by == Edit::By::kTime;
}

Result<JobType> TypeOf(const TrackRoute& route, const TrackBody& body) {
  if (route.kind == TrackKind::kEntity) return track::TypeOfEntity(body);
  if (!route.type) return Bad("is not a request that one job can carry");
  if (*route.type == JobType::kTrack && body.Text("type") == "page") return JobType::kPageview;
  return *route.type;
}

// What follows from the request, of a job whose call and body are there.
Result<void> ReadCall(const TrackRoute& route, const TrackBody& body, Job& job) {
  job.call->is_entity = route.kind == TrackKind::kEntity;
  if (!route.customer.empty()) {
    job.customer = PercentDecode(route.customer);
    RETURN_IF_ERROR(track::CheckCustomer(job.customer, "id"));
  }
  return route.read != nullptr ? route.read(body, job) : Result<void>();
}

Result<void> CheckTarget(std::string_view target) {
  if (target.size() > limits::kRawPathBytes)
    return Bad("is longer than " + std::to_string(limits::kRawPathBytes) + " bytes", "target");
  if (!AreTargetBytes(target)) return Bad("must be a target of HTTP, percent-encoded", "target");
  return {};
}

void WriteLine(Job& job, std::string_view body) {
  const TrackCall& call = *job.call;
  std::string& line = job.line;
  line.reserve(body.size() + call.target.size() + job.connection.size() + 96);
  line.append(R"({"type":")").append(JobTypeName(job.type)).append(R"(","connection":)");
  AppendJsonString(line, job.connection);
  line.append(R"(,"request":{"method":")").append(call.method).append(R"(","target":)");
  AppendJsonString(line, call.target);
  if (call.without_credentials) line += R"(,"credentials":false)";
  if (!call.content_type.empty()) {
    line += R"(,"content_type":)";
    AppendJsonString(line, call.content_type);
  }
  if (!TrackBody::IsBlank(body)) {
    line += R"(,"body":)";
    job.body = {static_cast<std::uint32_t>(line.size()), static_cast<std::uint32_t>(body.size())};
    line += body;
  }
  line += "}}";
}

bool IsContentType(std::string_view text) {
  const auto is_visible = [](char byte) { return byte >= ' ' && byte < 0x7f; };
  return text.size() <= kContentTypeBytes && std::all_of(text.begin(), text.end(), is_visible);
}

std::string_view PathOf(std::string_view target) {
  return target.substr(0, target.find('?'));
}

// The bytes between ":" and "}", white space included.
Slice WidenOverWhiteSpace(const std::string& line, Slice slice) {
  const auto is_space = [&line](std::size_t at) {
    return kJsonWhiteSpace.find(line[at]) != std::string_view::npos;
  };
  std::size_t begin = slice.offset;
  std::size_t end = std::size_t{slice.offset} + slice.length;
  while (begin > 0 && is_space(begin - 1)) --begin;
  while (end < line.size() && is_space(end)) ++end;
  return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end - begin)};
}

}  // namespace

Result<void> ReadTrackCall(const Member& member, Job& job) {
  if (member.kind != ValueKind::kObject) return Bad("must be an object");
  auto call = std::make_unique<TrackCall>();
  for (const Member& part : members::Inside(std::string(job.Text(member.raw)))) {
    if (part.kind == ValueKind::kNull && (part.key == "credentials" || part.key == "content_type")) continue;
    if (part.key == "body") {
      job.body = WidenOverWhiteSpace(job.line, {member.raw.offset + part.raw.offset, part.raw.length});
    } else if (part.kind == ValueKind::kString && part.key == "method") {
      call->method = part.text;
    } else if (part.kind == ValueKind::kString && part.key == "target") {
      call->target = part.text;
    } else if (part.kind == ValueKind::kString && part.key == "content_type" && IsContentType(part.text)) {
      call->content_type = part.text;
    } else if (part.kind == ValueKind::kFalse && part.key == "credentials") {
      call->without_credentials = true;
    } else {
      return Bad(
          "must be \"method\", \"target\" and \"content_type\", all text, \"body\", and \"credentials\", "
          "which "
          "can only be false",
          part.key);
    }
  }
  RETURN_IF_ERROR(CheckTarget(call->target));
  job.call = std::move(call);
  return {};
}

Result<void> CheckTrackCall(Job& job) {
  const TrackCall& call = *job.call;
  const Result<TrackRoute> route = FindTrackRoute(call.method, PathOf(call.target));
  if (!route) return Bad(route.error().message);
  if (call.without_credentials && route->access != TrackAccess::kOpen)
    return Bad("must not have \"credentials\": its path needs them");
  const Result<TrackBody> body = TrackBody::Read(job.Text(job.body));
  if (!body) return Bad(body.error().message);
  ASSIGN_OR_RETURN(const JobType type, TypeOf(*route, *body));
  if (type != job.type) return Bad("is a request of type " + std::string(JobTypeName(type)));
  return ReadCall(*route, *body, job);
}

Result<Job> MakeTrackCallJob(const TrackRoute& route, std::string_view connection, std::string_view method,
                             std::string_view target, const TrackBody& body, CallCredentials credentials,
                             std::string_view content_type) {
  ASSIGN_OR_RETURN(const JobType type, TypeOf(route, body));
  RETURN_IF_ERROR(CheckTarget(target));
  Result<Job> made;  // in its place: a job is large to move
  Job& job = *made;
  job.type = type;
  job.connection = connection;
  job.call = std::make_unique<TrackCall>();
  job.call->method = method;
  job.call->target = target;
  job.call->without_credentials = credentials == CallCredentials::kNone;
  if (TrackBody::IsBlank(body.text()) && IsContentType(content_type)) job.call->content_type = content_type;
  WriteLine(job, body.text());
  RETURN_IF_ERROR(ReadCall(route, body, job));
  RETURN_IF_ERROR(CheckNew(job));
  return made;
}

void AppendTrackCallBody(std::string& out, const Job& job, const Stamp& stamp) {
  const TrackCall& call = *job.call;
  std::string_view body = job.Text(job.body);
  const bool is_array = TrackBody::IsEmptyArray(body);
  if (call.stamps == TrackCall::Stamps::kNone && !is_array)
    return AppendEdited(out, job, stamp, job.body, call.edits);
  // Without an object there is nothing that a stamp could order. Of an identify: events need a name.
  if (body.empty() || TrackBody::IsNull(body)) {
    out += body;
    return;
  }
  if (is_array) body = "{}";
  if (call.stamps == TrackCall::Stamps::kNone) {
    out += body;
    return;
  }
  // An entity at its limit goes without the stamps that it has no room for: it would be refused.
  std::size_t room = call.is_entity
                         ? limits::kEntityBytes - std::min<std::size_t>(body.size(), limits::kEntityBytes)
                         : 2 * kStampBytes;
  const auto has_room = [&room](std::size_t bytes) {
    if (room < bytes) return false;
    room -= bytes;
    return true;
  };
  const std::size_t open = body.find('{') + 1;
  const bool is_empty = body[body.find_first_not_of(kJsonWhiteSpace, open)] == '}';
  out += body.substr(0, open);
  std::string_view separator = is_empty ? "" : ",";
  if (call.stamps == TrackCall::Stamps::kIdAndTime && !call.has_id && has_room(kIdStampBytes)) {
    out += "\"id\":";
    AppendEventId(out, job, stamp);
    out += separator;
  }
  if (!call.has_time && has_room(kTimeStampBytes)) {
    out.append("\"").append(call.time_member).append("\":");
    AppendTimestamp(out, job, stamp);
    out += separator;
  }
  if (call.edits.empty()) {
    out += body.substr(open);
    return;
  }
  Edits edits;
  std::copy_if(call.edits.begin(), call.edits.end(), std::back_inserter(edits),
               [&](const Edit& edit) { return !IsStamp(edit.by) || has_room(kIdStampBytes); });
  const auto skipped = static_cast<std::uint32_t>(open);
  AppendEdited(out, job, stamp, {job.body.offset + skipped, job.body.length - skipped}, edits);
}

HttpRequest BuildTrackCall(const Job& job, const Stamp& stamp) {
  HttpRequest request;
  request.method = job.call->method;
  request.target = job.call->target;
  request.body.reserve(job.body.length + kStampBytes);
  request.without_credentials = job.call->without_credentials;
  AppendTrackCallBody(request.body, job, stamp);
  if (!request.body.empty()) {
    request.headers.emplace_back("Content-Type", "application/json");
  } else if (!job.call->content_type.empty()) {
    request.headers.emplace_back("Content-Type", job.call->content_type);
  }
  return request;
}

}  // namespace outboxd
