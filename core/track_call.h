// core/track_call.h — a request of the Track API, as a library of Customer.io sends it, as a job.
//
// The job line carries it whole:
// {"type":"track","connection":"default","request":{"method":"POST","target":"/api/v1/…","body":{…}}}. Type,
// customer and lanes follow from the request; what goes out is the request again, its bytes as they came,
// with the stamps that a late or repeated delivery needs put in where its sender gave none: `id` and
// `timestamp` of events, `_timestamp` of identifies. `"credentials":false` in `request` sends it without the
// connection's credentials, which a path that needs none takes. A request without a body may have a
// "content_type", which some libraries send all the same.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/job.h"
#include "core/object_scan.h"
#include "core/request.h"
#include "core/result.h"
#include "core/track_body.h"
#include "core/track_route.h"

namespace outboxd {

// What the target of an HTTP request may hold.
constexpr bool IsTargetByte(char byte) {
  return byte > ' ' && byte < 0x7f && byte != '#';
}
constexpr bool AreTargetBytes(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char byte) { return IsTargetByte(byte); });
}

// Member `request` of a job line: fills in job.call and Job::body. kInvalid; `field` is the path below
// `request`.
Result<void> ReadTrackCall(const Member& member, Job& job);

// Fills in what follows from the call and checks what the Track API asks for (kMissing, kInvalid; `field`
// below `body`, empty: the request as a whole). Also that job.type is the type that follows.
Result<void> CheckTrackCall(Job& job);

enum class CallCredentials : std::uint8_t { kOfConnection, kNone };

// The job of a request whose path matched `route`: what ParseJobLine() makes of its line, from one reading of
// the body. `content_type` is kept where there is no body, and where it is one. kMissing, kInvalid; `field`
// below the body, "target", or empty: the request as a whole.
Result<Job> MakeTrackCallJob(const TrackRoute& route, std::string_view connection, std::string_view method,
                             std::string_view target, const TrackBody& body,
                             CallCredentials credentials = CallCredentials::kOfConnection,
                             std::string_view content_type = {});

// The body with its stamps.
void AppendTrackCallBody(std::string& out, const Job& job, const Stamp& stamp);
HttpRequest BuildTrackCall(const Job& job, const Stamp& stamp);

}  // namespace outboxd
