#include "core/track_route.h"

#include <array>

namespace outboxd {
namespace {

struct Row {
  std::string_view method;
  std::string_view pattern;  // "{c}" stands for the customer's segment, "{a}" for the argument's
  TrackOperation operation;
  std::optional<JobType> type;
};

constexpr std::array kRows = {
    Row{"DELETE", "/api/v1/customers/{c}", TrackOperation::kDestroy, JobType::kDestroy},
    Row{"PUT", "/api/v1/customers/{c}", TrackOperation::kIdentify, JobType::kIdentify},
    Row{"POST", "/api/v1/customers/{c}/events", TrackOperation::kEvent, JobType::kTrack},
    Row{"POST", "/api/v1/customers/{c}/suppress", TrackOperation::kSuppress, JobType::kSuppress},
    Row{"POST", "/api/v1/customers/{c}/unsuppress", TrackOperation::kUnsuppress, JobType::kUnsuppress},
    Row{"PUT", "/api/v1/customers/{c}/devices", TrackOperation::kAddDevice, JobType::kAddDevice},
    Row{"DELETE", "/api/v1/customers/{c}/devices/{a}", TrackOperation::kDeleteDevice, JobType::kDeleteDevice},
    Row{"POST", "/api/v1/events", TrackOperation::kAnonymousEvent, JobType::kTrack},
    Row{"POST", "/api/v1/merge_customers", TrackOperation::kMerge, JobType::kMerge},
    Row{"POST", "/api/v1/forms/{a}/submit", TrackOperation::kForm, JobType::kForm},
    Row{"POST", "/api/v1/segments/{a}/add_customers", TrackOperation::kAddToSegment, JobType::kAddToSegment},
    Row{"POST", "/api/v1/segments/{a}/remove_customers", TrackOperation::kRemoveFromSegment,
        JobType::kRemoveFromSegment},
    Row{"POST", "/api/v1/metrics", TrackOperation::kMetric, JobType::kMetric},
    Row{"POST", "/api/v1/push/events", TrackOperation::kPushMetric, JobType::kMetric},
    Row{"POST", "/push/events", TrackOperation::kPushMetric, JobType::kMetric},
    Row{"POST", "/unsubscribe/{a}", TrackOperation::kUnsubscribe, JobType::kRaw},
    Row{"GET", "/api/v1/accounts/region", TrackOperation::kRegion, std::nullopt},
    Row{"POST", "/api/v2/entity", TrackOperation::kEntity, std::nullopt},
    Row{"POST", "/api/v2/batch", TrackOperation::kBatch, std::nullopt},
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

}  // namespace

bool IsSecondVersion(TrackOperation operation) {
  return operation == TrackOperation::kEntity || operation == TrackOperation::kBatch;
}

bool IsOpenToAll(TrackOperation operation) {
  return operation == TrackOperation::kMetric || operation == TrackOperation::kPushMetric ||
         operation == TrackOperation::kUnsubscribe;
}

Result<TrackRoute> FindTrackRoute(std::string_view method, std::string_view path) {
  std::string allowed;
  for (const Row& row : kRows) {
    TrackRoute route;
    if (!Matches(row.pattern, path, route)) continue;
    route.operation = row.operation;
    route.type = row.type;
    if (row.method == method) return route;
    if (!allowed.empty()) allowed += ", ";
    allowed += row.method;
  }
  if (allowed.empty()) return Fail(ErrorKind::kNotFound, "no such path in the Track API");
  return Fail(ErrorKind::kConflict, "this path takes " + allowed, allowed);
}

}  // namespace outboxd
