// core/raw_request.h — the request of a `raw` job: what its producer wrote, apart from what is the
// connection's or the transport's.
#pragma once

#include <string>

#include "core/job.h"
#include "core/request.h"

namespace outboxd {

// Path and query as they are sent.
std::string RawTarget(const RawCall& call);

// Never fails. Of the stamp nothing is put into a raw request but the boundary of a multipart body.
HttpRequest BuildRaw(const Job& job, const Stamp& stamp);

}  // namespace outboxd
