// tests/track_sim/script.h — scripted faults: which requests get something else than the API's own answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/track_sim/rules.h"

namespace outboxd::sim {

struct Action {
  std::optional<int> status;  // instead of the API's own
  std::optional<std::string> retry_after, location, body;
  std::optional<bool> effect;  // absent: a request takes effect unless it is reset or its status is not 2xx
  std::chrono::milliseconds delay{0};
  std::chrono::milliseconds jitter{0};  // up to this much on top of the delay
  bool reset = false;                   // the connection is reset instead of an answer
  bool half_answer = false;             // the connection is closed in the middle of the answer
  bool never_answer = false;
  std::vector<std::size_t> batch_errors;  // items of a v2 batch that are refused

  bool TakesEffect() const { return effect.value_or(!reset && (!status || *status / 100 == 2)); }
};

class Script {
 public:
  explicit Script(std::uint64_t seed) : random_(seed) {}

  // Replaces all rules by {"rules":[{"match":{…},"action":{…}}]}. Empty when done; otherwise what is wrong,
  // and the old rules stay.
  std::string Load(std::string_view json);

  // The action of the first rule that matches and still has a count; nullopt: the API's own answer.
  std::optional<Action> Next(const SimRequest& request, const Judged& judged);
  std::chrono::milliseconds DelayOf(const Action& action);

 private:
  struct Rule {
    std::optional<std::string> path_prefix, customer, method, event;
    std::optional<double> probability;
    std::optional<std::int64_t> count;  // how often it still acts
    Action action;
  };
  static std::string ReadMatch(const Node& match, Rule& rule);
  static std::string ReadAction(const Node& node, Action& action);
  bool Matches(const Rule& rule, const SimRequest& request, const Judged& judged);

  std::vector<Rule> rules_;
  std::mt19937_64 random_;
};

}  // namespace outboxd::sim
