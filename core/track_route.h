// core/track_route.h — method and path of the Track API → what is asked for. Pure; paths are split before
// anything is decoded.
//
// Source of the table: the Track API's reference (docs/protocol.md names it); `/push/events` without
// `/api/v1` is what Customer.io's Ruby library calls.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/job.h"
#include "core/result.h"

namespace outboxd {

enum class TrackOperation : std::uint8_t {
  kIdentify,
  kDestroy,
  kSuppress,
  kUnsuppress,
  kAddDevice,
  kDeleteDevice,
  kEvent,
  kAnonymousEvent,
  kMerge,
  kForm,
  kAddToSegment,
  kRemoveFromSegment,
  kMetric,
  kPushMetric,
  kUnsubscribe,
  kRegion,
  kEntity,
  kBatch,
};

struct TrackRoute {
  TrackOperation operation = TrackOperation::kIdentify;
  std::optional<JobType>
      type;  // of the job; an event or entity may say another. nullopt where the path alone gives none
  // Segments of the path as they came, still encoded; empty where the operation has none.
  std::string_view customer;
  std::string_view argument;  // device, form, segment or delivery
};

// Whose body and errors have the shape of the API's second version.
bool IsSecondVersion(TrackOperation operation);
// The API asks for no credentials there.
bool IsOpenToAll(TrackOperation operation);

// `path`: without its query. kNotFound: no such path. kConflict: the path has other methods; `field` lists
// them ("DELETE, PUT").
Result<TrackRoute> FindTrackRoute(std::string_view method, std::string_view path);

}  // namespace outboxd
