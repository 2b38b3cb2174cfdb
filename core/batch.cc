#include "core/batch.h"

#include <string>
#include <string_view>
#include <vector>

#include "core/limits.h"
#include "core/object_scan.h"
#include "core/splice.h"
#include "core/track_call.h"

namespace outboxd {
namespace {

// An item says what its line says in other words, with an id and a time at most: longer than the line by less
// than this.
constexpr std::size_t kItemExtraBytes = 192;

// v1 tells kinds of identifiers apart by their shape and the workspace's settings; v2 wants to be told.
bool IsPlainId(std::string_view customer) {
  return customer.find('@') == std::string_view::npos && !customer.starts_with("cio_");
}

void AppendMember(std::string& out, std::string_view name, std::string_view json) {
  out.append(",\"").append(name).append("\":").append(json);
}

void AppendPerson(std::string& out, const Job& job, std::string_view action) {
  out += R"({"type":"person","identifiers":{"id":)";
  AppendJsonString(out, job.customer);
  out.append(R"(},"action":")").append(action).append("\"");
}

void AppendIdentify(std::string& out, const Job& job, const Stamp& stamp) {
  AppendPerson(out, job, "identify");
  out += ",\"timestamp\":";
  AppendTimestamp(out, job, stamp);
  AppendMember(out, "attributes", job.body.empty() ? "{}" : job.Text(job.body));
}

void AppendEvent(std::string& out, const Job& job, const Stamp& stamp) {
  AppendPerson(out, job, job.type == JobType::kPageview ? "page" : "event");
  out += ",\"name\":";
  AppendJsonString(out, job.name);
  out += ",\"id\":";
  AppendEventId(out, job, stamp);
  out += ",\"timestamp\":";
  AppendTimestamp(out, job, stamp);
  if (!job.body.empty()) AppendMember(out, "attributes", job.Text(job.body));
}

// v1 calls a device's token its id.
void AppendDevice(std::string& out, const Job& job) {
  AppendPerson(out, job, "add_device");
  const std::string device(job.Text(job.body));
  std::vector<Member> members;
  static_cast<void>(
      ScanMembers(device, members));  // the line as a whole was scanned: a part of it is valid JSON
  out += ",\"device\":{";
  std::string_view separator;
  for (const Member& member : members) {
    out.append(separator).append("\"").append(member.key == "id" ? "token" : member.key).append("\":");
    out.append(device, member.raw.offset, member.raw.length);
    separator = ",";
  }
  out += '}';
}

void AppendDeviceRemoval(std::string& out, const Job& job) {
  AppendPerson(out, job, "delete_device");
  out += ",\"device\":{\"token\":";
  AppendJsonString(out, job.other ? job.other->device_id : std::string());
  out += '}';
}

void AppendItem(std::string& out, const Job& job, const Stamp& stamp) {
  if (job.call) return AppendTrackCallBody(out, job, stamp);
  switch (job.type) {
    case JobType::kIdentify:
      AppendIdentify(out, job, stamp);
      break;
    case JobType::kTrack:
    case JobType::kPageview:
      AppendEvent(out, job, stamp);
      break;
    case JobType::kDestroy:
      AppendPerson(out, job, "delete");
      break;
    case JobType::kSuppress:
    case JobType::kUnsuppress:
      AppendPerson(out, job, JobTypeName(job.type));
      break;
    case JobType::kAddDevice:
      AppendDevice(out, job);
      break;
    case JobType::kDeleteDevice:
      AppendDeviceRemoval(out, job);
      break;
    case JobType::kRaw:
    case JobType::kMerge:
    case JobType::kForm:
    case JobType::kAddToSegment:
    case JobType::kRemoveFromSegment:
    case JobType::kMetric:
      return;  // FitsBatch() says no to them
  }
  out += '}';
}

}  // namespace

bool FitsBatch(const Job& job) {
  if (job.anonymous || job.region || BatchItemBytesMax(job) > limits::kBatchItemBytes) return false;
  if (job.call) return job.call->is_entity && job.type != JobType::kMerge;
  switch (job.type) {
    case JobType::kIdentify:
      return !job.attributes_are_v1 && IsPlainId(job.customer);
    case JobType::kTrack:
    case JobType::kPageview:
    case JobType::kDestroy:
    case JobType::kSuppress:
    case JobType::kUnsuppress:
    case JobType::kAddDevice:
    case JobType::kDeleteDevice:
      return IsPlainId(job.customer);
    case JobType::kRaw:
    case JobType::kMerge:
    case JobType::kForm:
    case JobType::kAddToSegment:
    case JobType::kRemoveFromSegment:
    case JobType::kMetric:
      break;
  }
  return false;
}

std::size_t BatchItemBytesMax(const Job& job) {
  return job.line.size() + kItemExtraBytes;
}

bool IsFence(const Job& job) {
  return job.type == JobType::kDestroy || job.type == JobType::kSuppress ||
         job.type == JobType::kUnsuppress || job.type == JobType::kMerge;
}

HttpRequest BuildBatchRequest(std::span<const std::unique_ptr<QueuedJob>> jobs) {
  HttpRequest request;
  request.method = "POST";
  request.target = "/api/v2/batch";
  request.headers.emplace_back("Content-Type", "application/json");
  std::size_t bytes = kBatchFrameBytes;
  for (const std::unique_ptr<QueuedJob>& queued : jobs) bytes += BatchItemBytesMax(queued->job);
  request.body.reserve(bytes);
  request.body += "{\"batch\":[";
  for (const std::unique_ptr<QueuedJob>& queued : jobs) {
    if (queued != jobs.front()) request.body += ',';
    AppendItem(request.body, queued->job, queued->stamp);
  }
  request.body += "]}";
  return request;
}

}  // namespace outboxd
