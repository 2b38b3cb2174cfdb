// daemon/admin/explain.h — why a job is where it is, in a sentence or two for people. Pure.
#pragma once

#include <optional>
#include <string>

#include "core/time.h"
#include "daemon/base/status.h"
#include "storage/history_pack.h"
#include "storage/inspection.h"

namespace outboxd {

// What is known of a waiting job when somebody asks for it.
struct WaitingJob {
  JobRow row;
  JobState state = JobState::kReady;
  std::optional<ConnectionStatus> connection;  // absent: no longer in the config
  std::optional<JobRow> blocker;               // the job it waits for, as a rule an earlier one
  std::optional<JobState> blocker_state;
  bool is_on_disk = false;  // alone: it is ready, and not in memory
  // For a job that is on disk alone: the oldest waiting job of its customer, if that is an earlier one.
  std::optional<std::string> ahead;
};

std::string ExplainWaiting(const WaitingJob& job, Timestamp now);
std::string ExplainDead(const DeadRow& row);
// For a job of which nothing but its attempts is left.
std::string ExplainGone(const AttemptRow& last);

}  // namespace outboxd
