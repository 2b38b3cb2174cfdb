// daemon/clerk/stored_jobs.h — what a commit stored, for the metrics and the debug log.
#pragma once

#include <memory>
#include <span>

#include "core/job.h"
#include "daemon/base/metrics.h"

namespace outboxd {

// `seconds` is how long the commit took. On the clerk's thread, before the jobs go on to the dispatcher.
void CountStored(Metrics& metrics, double seconds, std::span<const std::unique_ptr<QueuedJob>> jobs);

}  // namespace outboxd
