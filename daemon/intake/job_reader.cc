#include "daemon/intake/job_reader.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/job.h"
#include "core/job_line.h"
#include "core/refusal.h"
#include "daemon/base/stopping.h"
#include "daemon/intake/producer_submission.h"

namespace outboxd {

void JobReader::Read(std::string line, std::optional<std::uint32_t> uid,
                     ProducerSubmission& submission) const {
  auto job = ParseJobLine(std::move(line));
  if (!job) return Refuse(std::move(job.error()), submission);
  const auto connection = ages_.find(job->connection);
  if (connection == ages_.end()) {
    std::string message = "no connection \"" + job->connection + "\" is configured";
    return Refuse({Refusal::kUnknownConnection, "connection", std::move(message), job->ref, job->has_ref},
                  submission);
  }
  if (job->max_age.value_or(std::chrono::seconds(0)) > connection->second) {
    std::string message =
        "must be at most " + std::to_string(connection->second.count()) + ", ten times retry.max_age";
    return Refuse({Refusal::kInvalidJob, "max_age", std::move(message), job->ref, job->has_ref}, submission);
  }
  if (is_stopping_)
    return Refuse({Refusal::kBusy, {}, StoppingError().message, job->ref, job->has_ref}, submission);
  submission.replies.push_back({nullptr, job->ref, job->has_ref});
  auto queued = std::make_unique<QueuedJob>();
  queued->job = std::move(*job);
  queued->uid = uid;
  submission.jobs.push_back(std::move(queued));
}

void JobReader::Refuse(LineError error, ProducerSubmission& submission) {
  submission.replies.push_back({std::make_unique<LineError>(std::move(error)), {}, false});
}

}  // namespace outboxd
