// tests/daemon/delivery/queue_steps.h — what tests of a connection's queue do with the rig again and again.
#pragma once

#include <string>
#include <vector>

#include "tests/daemon/delivery/delivery_rig.h"

namespace outboxd::test {

using EventNames = std::vector<std::string>;

inline std::vector<std::string> Lines(const std::string& customer, int first, int last) {
  std::vector<std::string> lines;
  for (int number = first; number <= last; ++number)
    lines.push_back(TrackLine(customer, std::to_string(number)));
  return lines;
}

// Answers 200 one by one and returns the names in the order in which they left.
inline EventNames DeliverOneByOne(DeliveryRig& rig) {
  EventNames names;
  for (int round = 0; round < 10'000 && rig.Total().jobs > 0; ++round) {
    if (!rig.probes.empty()) rig.FinishProbe(AnswerOf(200, R"({"region":"us"})"));
    if (rig.out.empty()) {
      rig.PassToWake();
      continue;
    }
    names.push_back(rig.out.front().transfer.job->job.name);
    rig.Finish(0, AnswerOf(200));
    rig.Run();
  }
  return names;
}

inline EventNames Numbers(int first, int last) {
  EventNames names;
  for (int number = first; number <= last; ++number) names.push_back(std::to_string(number));
  return names;
}

}  // namespace outboxd::test
