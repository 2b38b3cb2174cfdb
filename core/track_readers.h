// core/track_readers.h — what follows for a job from the body of a request of the Track API, and what the API
// asks for there. core/track_route.cc says which request has which reader.
//
// A reader gets a job whose type, call and body are there, and the customer of the path where it names one;
// it fills in the lanes, the name and the stamps.
//
// Errors: kMissing, kInvalid; `field` is the path below the body, empty: the body as a whole.
#pragma once

#include <string>

#include "core/job.h"
#include "core/result.h"
#include "core/track_body.h"

namespace outboxd::track {

// Of a v1 request.
Result<void> ReadIdentify(const TrackBody& body, Job& job);
Result<void> ReadEvent(const TrackBody& body, Job& job);
Result<void> ReadAnonymousEvent(const TrackBody& body, Job& job);
Result<void> ReadDevice(const TrackBody& body, Job& job);
Result<void> ReadMerge(const TrackBody& body, Job& job);
Result<void> ReadForm(const TrackBody& body, Job& job);
Result<void> ReadSegment(const TrackBody& body, Job& job);
Result<void> ReadMetric(const TrackBody& body, Job& job);
Result<void> ReadPushMetric(const TrackBody& body, Job& job);

// Of an entity, which says in its body what it is. An action that has no job type of its own is raw; so is
// one that this version does not know, which goes on as it is.
Result<JobType> TypeOfEntity(const TrackBody& body);
Result<void> ReadEntity(const TrackBody& body, Job& job);

// That a job can name this customer; an error names `field`.
Result<void> CheckCustomer(const std::string& customer, std::string field);

}  // namespace outboxd::track
