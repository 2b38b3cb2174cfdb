// tests/outage/few_jobs.h — the API is away for days while a few jobs wait, and outboxd is restarted between
// any two attempts: the outage uses up nobody's attempts, and then all are delivered.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/verdict.h"

namespace outboxd::outage {

// How it looks from outside.
struct Kind {
  std::string name;
  Answer answer;
  Milliseconds after{0};
  bool probe_is_well = false;
};
std::vector<Kind> Kinds();

struct FewFigures {
  std::uint64_t attempts = 0, probes = 0, restarts = 0;
  Milliseconds noticed{0};  // from the API's return to the first delivery
  Milliseconds drained{0};  // to the last
};

// Throws simulation::Violation.
FewFigures PlayFewJobs(const Kind& kind, std::uint64_t jobs, std::chrono::hours length);

}  // namespace outboxd::outage
