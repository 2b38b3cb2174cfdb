// tests/support/give_up.h — how test support fails: the surroundings of a test are broken, so the test ends
// here.
#pragma once

#include <stdexcept>
#include <string>

namespace outboxd {

// An exception is what doctest reports as the failure of the test that caused it.
[[noreturn]] inline void GiveUp(const std::string& message) {
  throw std::runtime_error(message);
}

}  // namespace outboxd
