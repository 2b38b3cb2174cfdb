#include "daemon/base/status.h"

namespace outboxd {

std::string_view JobStateName(JobState state) {
  switch (state) {
    case JobState::kReady:
      return "ready";
    case JobState::kInFlight:
      return "in_flight";
    case JobState::kDeferred:
      return "deferred";
    case JobState::kBlocked:
      return "blocked";
  }
  return {};
}

}  // namespace outboxd
