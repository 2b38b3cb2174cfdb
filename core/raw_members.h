// core/raw_members.h — the members of `raw` jobs: any Track API request, within bounds. Used by
// core/job_members.cc and core/job_types.h.
#pragma once

#include "core/job.h"
#include "core/object_scan.h"
#include "core/result.h"

namespace outboxd::members::raw {

Result<void> ReadMethod(const Member& member, Job& job);
Result<void> ReadPath(const Member& member, Job& job);
Result<void> ReadQuery(const Member& member, Job& job);
Result<void> ReadHeaders(const Member& member, Job& job);
Result<void> ReadBody(const Member& member, Job& job);
Result<void> ReadForm(const Member& member, Job& job);
Result<void> ReadFiles(const Member& member, Job& job);
Result<void> ReadResponseType(const Member& member, Job& job);
Result<void> ReadTimeout(const Member& member, Job& job);
Result<void> ReadRetry(const Member& member, Job& job);
Result<void> ReadDebug(const Member& member, Job& job);

// Members that exclude each other; puts a request about /v1/customers/{id}/… into that customer's lane unless
// the job names another.
Result<void> CheckWhole(Job& job);

}  // namespace outboxd::members::raw
