// core/raw_request.h — the request of a `raw` job: what its producer wrote, apart from what is the
// connection's or the transport's.
#pragma once

#include "core/job.h"
#include "core/request.h"

namespace outboxd {

// Never fails. The stamp plays no part: nothing is put into a raw request.
HttpRequest BuildRaw(const Job& job, const Stamp& stamp);

}  // namespace outboxd
