#include "daemon/clerk/stored_jobs.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string_view>

#include "config/log_level.h"
#include "core/job.h"
#include "core/job_types.h"
#include "daemon/base/log.h"
#include "daemon/base/metrics.h"

namespace outboxd {

void CountStored(Metrics& metrics, double seconds, std::span<const std::unique_ptr<QueuedJob>> jobs) {
  metrics.ObserveCommit(seconds);
  std::map<std::string_view, std::array<std::uint64_t, kJobTypeCount>> counts;
  for (const auto& job : jobs) ++counts[job->job.connection][static_cast<std::size_t>(job->job.type)];
  for (const auto& [connection, by_type] : counts) {
    ConnectionMetrics& of_connection = metrics.Of(connection);
    for (std::size_t type = 0; type < by_type.size(); ++type) {
      if (by_type[type] > 0) of_connection.Accepted(static_cast<JobType>(type), by_type[type]);
    }
  }
  if (!LogEnabled(LogLevel::kDebug)) return;
  for (const auto& job : jobs) {
    Log(LogLevel::kDebug, "accepted",
        {{"job", job->stamp.id.ToText()},
         {"connection", job->job.connection},
         {"type", JobTypeName(job->job.type)}});
  }
}

}  // namespace outboxd
