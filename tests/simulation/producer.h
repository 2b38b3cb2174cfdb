// tests/simulation/producer.h — jobs as a program would write them, each with a number and a note that its
// requests must carry.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/random.h"

namespace outboxd::simulation {

struct ProducedJob {
  int number = 0;
  std::string type;  // "track"
  std::string connection;
  std::vector<std::string> customers;  // two for a merge
  std::int64_t max_age_s = 0;          // 0: the connection's
  std::string note;                    // in `data` or `attributes`; empty for types without
  std::string line;

  bool IsEvent() const { return type == "track" || type == "pageview"; }
};

class Producer {
 public:
  Producer(Random& random, std::vector<std::string> connections);
  ProducedJob Next();

 private:
  Random& random_;
  std::vector<std::string> connections_;
  std::uint32_t customers_;
  int produced_ = 0;
};

}  // namespace outboxd::simulation
