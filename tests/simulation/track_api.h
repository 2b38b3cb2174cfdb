// tests/simulation/track_api.h — the Track API as outboxd meets it on good and bad days: reads each request
// and decides the answer.
//
// Weather is everybody's; poison is in one job and spoils its own request while the weather is fine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/delivery/transfer.h"
#include "tests/simulation/meaning.h"
#include "tests/simulation/random.h"
#include "tests/simulation/request_reader.h"
#include "tests/simulation/weather.h"

namespace outboxd::simulation {

struct Reply {
  std::vector<SeenJob> seen;  // empty for a probe
  Answer answer;
  std::vector<Meaning> meanings;  // of each job of the transfer, in order
  Milliseconds latency{0};
};

enum class HasBatches : std::uint8_t { kNo, kYes };

class TrackApi {
 public:
  // `troubled` false: the weather is always fine.
  TrackApi(Random& random, bool troubled, HasBatches has_batches)
      : weather_(random), troubled_(troubled), has_batches_(has_batches) {}

  Reply Receive(const Transfer& transfer);
  void ChangeWeather();
  void GoDown() { weather_.GoDown(); }
  // Fine weather from now on.
  void CalmDown();
  // No job is poison any more, and none waits for longer than it likes to.
  void Heal() { poisons_ = false; }
  std::string WeatherName() const { return weather_.Name(); }

 private:
  Said AnswerTo(const Transfer& transfer, const std::vector<SeenJob>& seen);

  Weather weather_;
  bool troubled_;
  HasBatches has_batches_;
  bool poisons_ = true;
};

}  // namespace outboxd::simulation
