// tests/simulation/trace.h — what a simulated run did: line by line, and in sum.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>

#include "core/time.h"

namespace outboxd::simulation {

// What happened, line by line, or only its hash: two runs of a seed have the same.
class Trace {
 public:
  // `out` may be null.
  explicit Trace(std::ostream* out) : out_(out) {}
  void Note(Timestamp now, const std::string& what) {
    const std::string line = std::to_string(ToUnixMs(now)) + " " + what;
    for (const char byte : line) hash_ = (hash_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
    if (out_ != nullptr) *out_ << line << '\n';
  }
  std::uint64_t Hash() const { return hash_; }

 private:
  std::ostream* out_;
  std::uint64_t hash_ = 0xcbf29ce484222325;  // FNV-1a
};

struct Summary {
  std::uint64_t jobs = 0, delivered = 0, requests = 0, crashes = 0, disk_faults = 0, restarts = 0;
  std::uint64_t hash = 0;
};

}  // namespace outboxd::simulation
