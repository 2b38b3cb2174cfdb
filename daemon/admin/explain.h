// daemon/admin/explain.h — why a job is where it is, in one sentence for people. Pure.
#pragma once

#include <optional>
#include <string>

#include "daemon/base/status.h"
#include "storage/inspection.h"

namespace outboxd {

// What is known of a waiting job when somebody asks for it.
struct WaitingJob {
  JobRow row;
  JobState state = JobState::kReady;
  std::optional<ConnectionStatus> connection;  // absent: no longer in the config
  std::optional<JobRow> blocker;               // the earlier job it waits for
  std::optional<JobState> blocker_state;
};

std::string ExplainWaiting(const WaitingJob& job, Timestamp now);
std::string ExplainDead(const DeadRow& row);
// For a job of which nothing but its attempts is left.
std::string ExplainGone(const AttemptRow& last);

// "850 ms", "12 s", "5 min", "3 h 20 min", "2 d 4 h": rounded down; never negative.
std::string FormatSpan(Milliseconds span);

}  // namespace outboxd
