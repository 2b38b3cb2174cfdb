// tests/simulation/violation.h — a broken promise: ends the simulated run.
#pragma once

#include <stdexcept>
#include <string>

namespace outboxd::simulation {

class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline void Demand(bool holds, const std::string& promise) {
  if (!holds) throw Violation(promise);
}

}  // namespace outboxd::simulation
