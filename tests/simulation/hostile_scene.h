// tests/simulation/hostile_scene.h — a scene made of one seed: limits, what good producers hand over and
// when, and what one or two hostile users do beside them.
//
// First attempts are in the order of acceptance, whoever handed the jobs over: who floods has his turn. So
// all first attempts of hostile lines together take at most a quarter of what the connection can do in the
// scene.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/time.h"
#include "core/user_shares.h"
#include "daemon/clerk/clerk.h"
#include "tests/simulation/hostile_lines.h"
#include "tests/simulation/random.h"

namespace outboxd::simulation {

struct Arrival {
  Milliseconds at{0};
  User user;
  std::vector<Line> lines;
};

struct Scene {
  std::uint64_t seed = 0;
  ConnectionConfig config;  // of each connection
  std::vector<std::string> connections;
  LimitsConfig limits;
  Clerk::Limits clerk_limits;
  bool is_filled = false;  // one user tries to have all of outbox.max_jobs or max_bytes
  Milliseconds length{0};
  std::vector<Arrival> good, hostile;  // by time
  std::vector<Milliseconds> crashes;
  std::vector<std::string> attacks;  // in words
};

Scene MakeScene(std::uint64_t seed);

}  // namespace outboxd::simulation
