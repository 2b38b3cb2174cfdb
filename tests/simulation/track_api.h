// tests/simulation/track_api.h — the Track API as outboxd meets it on good and bad days: reads each request
// and decides the answer.
//
// Requests are built as a worker builds them and read back from their bytes alone, so that what the oracle
// judges is what would have travelled. Weather changes from calm to every trouble the API and the way to it
// are known for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/policy.h"
#include "core/verdict.h"
#include "daemon/delivery/transfer.h"
#include "tests/simulation/random.h"

namespace outboxd::simulation {

// One job as a request spoke of it.
struct SeenJob {
  Sequence sequence{};   // of the job that was sent, which the request does not show
  int number = 0;        // of the job, by its ref; by the request's bytes for types that carry values
  std::string type;      // "track"
  std::string customer;  // empty for a merge
  std::string event_id;  // events only
  std::string note;
};

// What an answer says of a job, by contract: the names of the results that outboxd records.
enum class Meaning : std::uint8_t { kDelivered, kDeferred, kRejected, kPausedAuth, kPausedRegion, kSplit };
std::string MeaningName(Meaning meaning);  // "delivered"

struct Reply {
  std::vector<SeenJob> seen;  // empty for a probe, or when the request never arrived
  bool arrived = false;
  Answer answer;
  std::vector<Meaning> meanings;  // of each job of the transfer, in order
  Milliseconds latency{0};
};

class TrackApi {
 public:
  // `troubled` false: every request is answered well.
  TrackApi(Random& random, bool troubled) : random_(random), troubled_(troubled) {}

  Reply Receive(const Transfer& transfer);
  void ChangeWeather();
  void CalmDown();
  std::string WeatherName() const;

 private:
  enum class Weather : std::uint8_t {
    kCalm,
    kDown,
    kFlaky,
    kUnauthorized,
    kOverloaded,
    kMoved,
    kPicky,
    kSlow
  };

  Answer AnswerTo(const Transfer& transfer);
  Answer PickyAnswer(const Transfer& transfer);
  Milliseconds Latency();

  Random& random_;
  bool troubled_;
  Weather weather_ = Weather::kCalm;
};

}  // namespace outboxd::simulation
