// tests/simulation/producer.h — jobs as a program would write them, each with a number and a note that its
// requests must carry.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/poison.h"
#include "tests/simulation/random.h"

namespace outboxd::simulation {

struct ProducedJob {
  // Of a raw job that brings a rule of its own for being tried again.
  struct OwnRetry {
    std::uint32_t max_retries = 0;
    bool all_errors = false;
  };

  int number = 0;
  std::string type;  // "track"
  std::string connection;
  // Two for a merge and an identify that claims another's events; none of a raw job that names none.
  std::vector<std::string> customers;
  std::int64_t max_age_s = 0;     // 0: the connection's
  std::string note;               // in `data` or `attributes`; empty for types without
  Poison poison = Poison::kNone;  // beside the note
  bool is_frail = false;  // it fails while others are answered well: by poison, or for want of patience
  std::optional<OwnRetry> own_retry;
  std::string line;

  bool IsEvent() const { return type == "track" || type == "pageview"; }
  bool IsAbout(const std::string& customer) const {
    return !customers.empty() && customers.front() == customer;
  }
};

class Producer {
 public:
  // `poisonous` false: no job has any poison in it.
  Producer(Random& random, std::vector<std::string> connections, bool poisonous);
  ProducedJob Next();

 private:
  Poison NextPoison(const std::string& type);
  std::string Another(ProducedJob& job);
  std::string WithClaim(ProducedJob& job, std::string attributes);
  std::string RawMembers(ProducedJob& job, const std::string& values);

  Random& random_;
  std::vector<std::string> connections_;
  bool poisonous_;
  std::uint32_t customers_;
  int produced_ = 0;
};

}  // namespace outboxd::simulation
