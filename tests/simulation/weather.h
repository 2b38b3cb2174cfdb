// tests/simulation/weather.h — how the Track API and the way to it are: what everybody is answered, the
// region probe with the rest.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/delivery/transfer.h"
#include "tests/simulation/meaning.h"
#include "tests/simulation/random.h"

namespace outboxd::simulation {

class Weather {
 public:
  explicit Weather(Random& random) : random_(random) {}

  void Change();
  void Clear() { kind_ = Kind::kCalm; }
  // Nobody is answered as he should be, until it changes.
  void GoDown();
  std::string Name() const;

  Said AnswerTo(const Transfer& transfer);
  // Of a host that does not know the path.
  Said NoRoute();
  Milliseconds Latency();

 private:
  enum class Kind : std::uint8_t {
    kCalm,
    kDown,          // nobody listens, or a front says so
    kFlaky,         // all kinds of failures among answers
    kUnauthorized,  // most are refused
    kOverloaded,    // 429 and 503, with and without Retry-After
    kMoved,         // most are redirected
    kPicky,         // jobs are refused, in every shape that the API has
    kSlow,          // some never come back
    kBreaks,        // kept connections break before an answer; new ones do not
    kLocked,        // 401 for all
    kPortal,        // a login page, with 200
    kWrongHost,     // a page, with 404
    kProxy,         // a proxy that opens no tunnel
    kSilent,        // nobody is ever answered
    kBroken,        // 500 for all jobs
    kOdd,           // some are answered by something else than the API
  };
  static constexpr std::uint32_t kMixed = 9;  // the first: good and bad at once, and so more frequent
  static constexpr std::uint32_t kKinds = 16;

  Said Flaky();
  Said Overloaded();
  Said Picky(const Transfer& transfer);
  Said Breaking(Route route);
  Said Proxy();
  Said Odd();

  Random& random_;
  Kind kind_ = Kind::kCalm;
  bool is_total_ =
      false;  // where a weather leaves some alone: this one does not, and the probe fares as the rest
};

// Answers by which weathers and poison are made.
Said Well(const Transfer& transfer);
Said WithStatus(int status);  // a 4xx in a shape that both versions have
Said Page(int status);
Said Lost(std::string error, Fault fault = Fault::kNetwork);

}  // namespace outboxd::simulation
