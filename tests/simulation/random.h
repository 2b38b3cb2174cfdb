// tests/simulation/random.h — everything that happens by chance in a simulated run comes from here, and so
// from its seed.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace outboxd::simulation {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t Next() { return engine_(); }
  std::uint32_t Below(std::uint32_t limit) { return static_cast<std::uint32_t>(engine_() % limit); }
  bool Chance(std::uint32_t percent) { return Below(100) < percent; }
  template <typename T>
  const T& Pick(const std::vector<T>& values) {
    return values[Below(static_cast<std::uint32_t>(values.size()))];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace outboxd::simulation
