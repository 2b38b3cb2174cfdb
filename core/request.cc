#include "core/request.h"

#include "core/job.h"
#include "core/job_types.h"
#include "core/track_call.h"

namespace outboxd {

HttpRequest BuildRequest(const Job& job, const Stamp& stamp) {
  return job.call ? BuildTrackCall(job, stamp) : RowOf(job.type).build(job, stamp);
}

HttpRequest BuildRegionProbe() {
  HttpRequest request;
  request.method = "GET";
  request.target = "/api/v1/accounts/region";
  return request;
}

}  // namespace outboxd
