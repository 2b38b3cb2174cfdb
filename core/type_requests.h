// core/type_requests.h — what each job type sends: its request of the v1 API, and its item of a v2 batch
// where it has one that means the same. core/job_types.h says which type has which; `raw` has
// core/raw_request.h.
//
// Values are spliced from the producer's bytes, never re-encoded. A builder never fails: a member that is
// absent counts as empty. An item is appended without a comma.
#pragma once

#include <string>

#include "core/job.h"
#include "core/request.h"

namespace outboxd {

HttpRequest BuildIdentify(const Job& job, const Stamp& stamp);
// Track and pageview, of a known or an anonymous customer.
HttpRequest BuildEvent(const Job& job, const Stamp& stamp);
HttpRequest BuildDestroy(const Job& job, const Stamp& stamp);
HttpRequest BuildSuppress(const Job& job, const Stamp& stamp);
HttpRequest BuildUnsuppress(const Job& job, const Stamp& stamp);
HttpRequest BuildAddDevice(const Job& job, const Stamp& stamp);
HttpRequest BuildDeleteDevice(const Job& job, const Stamp& stamp);
HttpRequest BuildMerge(const Job& job, const Stamp& stamp);
HttpRequest BuildForm(const Job& job, const Stamp& stamp);
HttpRequest BuildSegmentChange(const Job& job, const Stamp& stamp);
HttpRequest BuildMetric(const Job& job, const Stamp& stamp);

void AppendIdentifyItem(std::string& out, const Job& job, const Stamp& stamp);
void AppendEventItem(std::string& out, const Job& job, const Stamp& stamp);
void AppendDestroyItem(std::string& out, const Job& job, const Stamp& stamp);
void AppendSuppressItem(std::string& out, const Job& job, const Stamp& stamp);
void AppendUnsuppressItem(std::string& out, const Job& job, const Stamp& stamp);
void AppendAddDeviceItem(std::string& out, const Job& job, const Stamp& stamp);
void AppendDeleteDeviceItem(std::string& out, const Job& job, const Stamp& stamp);

}  // namespace outboxd
