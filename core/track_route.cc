#include "core/track_route.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "core/job.h"
#include "core/result.h"
#include "core/track_body.h"
#include "core/track_readers.h"

namespace outboxd {
namespace {

struct Row {
  std::string_view method;
  std::string_view pattern;  // "{c}" stands for the customer's segment, "{a}" for the argument's
  TrackRoute route;
};

constexpr TrackRoute AsJob(JobType type, Result<void> (*read)(const TrackBody&, Job&) = nullptr) {
  return {.kind = TrackKind::kJob, .type = type, .read = read};
}
constexpr TrackRoute AsOpenJob(JobType type, Result<void> (*read)(const TrackBody&, Job&) = nullptr) {
  return {.kind = TrackKind::kJob, .access = TrackAccess::kOpen, .type = type, .read = read};
}
constexpr TrackRoute kEntity = {.kind = TrackKind::kEntity, .read = track::ReadEntity};

constexpr std::array kRows = {
    Row{"DELETE", "/api/v1/customers/{c}", AsJob(JobType::kDestroy)},
    Row{"PUT", "/api/v1/customers/{c}", AsJob(JobType::kIdentify, track::ReadIdentify)},
    Row{"POST", "/api/v1/customers/{c}/events", AsJob(JobType::kTrack, track::ReadEvent)},
    Row{"POST", "/api/v1/customers/{c}/suppress", AsJob(JobType::kSuppress)},
    Row{"POST", "/api/v1/customers/{c}/unsuppress", AsJob(JobType::kUnsuppress)},
    Row{"PUT", "/api/v1/customers/{c}/devices", AsJob(JobType::kAddDevice, track::ReadDevice)},
    Row{"DELETE", "/api/v1/customers/{c}/devices/{a}", AsJob(JobType::kDeleteDevice)},
    Row{"POST", "/api/v1/events", AsJob(JobType::kTrack, track::ReadAnonymousEvent)},
    Row{"POST", "/api/v1/merge_customers", AsJob(JobType::kMerge, track::ReadMerge)},
    Row{"POST", "/api/v1/forms/{a}/submit", AsJob(JobType::kForm, track::ReadForm)},
    Row{"POST", "/api/v1/segments/{a}/add_customers", AsJob(JobType::kAddToSegment, track::ReadSegment)},
    Row{"POST", "/api/v1/segments/{a}/remove_customers",
        AsJob(JobType::kRemoveFromSegment, track::ReadSegment)},
    Row{"POST", "/api/v1/metrics", AsOpenJob(JobType::kMetric, track::ReadMetric)},
    Row{"POST", "/api/v1/push/events", AsOpenJob(JobType::kMetric, track::ReadPushMetric)},
    Row{"POST", "/push/events", AsOpenJob(JobType::kMetric, track::ReadPushMetric)},
    Row{"POST", "/api/v1/cio_deliveries/events", AsOpenJob(JobType::kMetric)},
    Row{"POST", "/unsubscribe/{a}", AsOpenJob(JobType::kRaw)},
    Row{"GET", "/api/v1/accounts/region", {.kind = TrackKind::kRegion}},
    Row{"GET", "/auth", {.kind = TrackKind::kCredentials}},
    Row{"POST", "/api/v2/entity", kEntity},
    Row{"POST", "/api/v2/batch", {.kind = TrackKind::kBatch}},
};

std::string_view TakeSegment(std::string_view& path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  const std::string_view segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  return segment;
}

bool Matches(std::string_view pattern, std::string_view path, TrackRoute& route) {
  while (!pattern.empty() && path.starts_with('/')) {
    const std::string_view wanted = TakeSegment(pattern);
    const std::string_view segment = TakeSegment(path);
    if (wanted == "{c}" || wanted == "{a}") {
      if (segment.empty()) return false;
      (wanted == "{c}" ? route.customer : route.argument) = segment;
    } else if (wanted != segment) {
      return false;
    }
  }
  return pattern.empty() && path.empty();
}

constexpr std::array<std::string_view, 7> kPipelinesPaths = {"identify", "track", "page", "screen",
                                                             "group",    "alias", "batch"};

// A library that was pointed here and speaks to another API of Customer.io.
std::string_view WhyNotFound(std::string_view path) {
  constexpr std::string_view kVersion = "/v1/";
  if (!path.starts_with(kVersion)) return "no such path in the Track API";
  path.remove_prefix(kVersion.size());
  if (std::find(kPipelinesPaths.begin(), kPipelinesPaths.end(), path) != kPipelinesPaths.end())
    return "this path is the Pipelines API's: send it to https://cdp.customer.io (EU: "
           "https://cdp-eu.customer.io)";
  return "no such path in the Track API; /v1/... is the App API's: send it to https://api.customer.io (EU: "
         "https://api-eu.customer.io)";
}

}  // namespace

TrackRoute EntityRoute() {
  return kEntity;
}

Result<TrackRoute> FindTrackRoute(std::string_view method, std::string_view path) {
  std::string allowed;
  for (const Row& row : kRows) {
    TrackRoute route = row.route;
    if (!Matches(row.pattern, path, route)) continue;
    if (row.method == method) return route;
    if (!allowed.empty()) allowed += ", ";
    allowed += row.method;
  }
  if (allowed.empty()) return Fail(ErrorKind::kNotFound, std::string(WhyNotFound(path)));
  return Fail(ErrorKind::kConflict, "this path takes " + allowed, allowed);
}

}  // namespace outboxd
