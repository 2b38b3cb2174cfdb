// tests/crash/crash_options.h — what the command line asks of the crash tests, beside doctest's own options.
#pragma once

#include <cstdint>

namespace outboxd {

struct CrashOptions {
  std::uint64_t kills = 20;  // --kills N
  std::uint64_t seed = 0;    // --seed N; 0: a random one
};

CrashOptions& TheCrashOptions();

}  // namespace outboxd
