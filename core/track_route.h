// core/track_route.h — method and path of the Track API → what is asked for. Pure; paths are split before
// anything is decoded.
//
// Source of the table: the Track API's reference (docs/protocol.md names it); `/push/events` without
// `/api/v1` is what Customer.io's Ruby library calls, `/api/v1/cio_deliveries/events` what its mobile and web
// libraries do, and `/auth` is by what others test credentials.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/job.h"
#include "core/result.h"
#include "core/track_body.h"

namespace outboxd {

// What a request becomes.
enum class TrackKind : std::uint8_t {
  kJob,          // one job, of the type that the path gives
  kEntity,       // one job, of the type that the body gives
  kBatch,        // a job for each of its items, which are entities
  kRegion,       // questions that are answered at once
  kCredentials,  // whether they are right
};

enum class TrackAccess : std::uint8_t { kCredentials, kOpen };  // kOpen: the API asks for none

struct TrackRoute {
  TrackKind kind = TrackKind::kJob;
  TrackAccess access = TrackAccess::kCredentials;
  std::optional<JobType> type = {};  // of kJob; the body of an event may make it a pageview
  // core/track_readers.h; nullptr: nothing to read.
  Result<void> (*read)(const TrackBody& body, Job& job) = nullptr;
  // Segments of the path as they came, still encoded; empty where the route has none.
  std::string_view customer = {};
  std::string_view argument = {};  // device, form, segment or delivery
};

// Whose body and errors have the shape of the API's second version.
constexpr bool IsSecondVersion(TrackKind kind) {
  return kind == TrackKind::kEntity || kind == TrackKind::kBatch;
}

// Of the items of a batch.
TrackRoute EntityRoute();

// `path`: without its query. kNotFound: no such path; the message names the host of the API that has it,
// where it is another one of Customer.io's. kConflict: the path has other methods; `field` lists them
// ("DELETE, PUT").
Result<TrackRoute> FindTrackRoute(std::string_view method, std::string_view path);

}  // namespace outboxd
