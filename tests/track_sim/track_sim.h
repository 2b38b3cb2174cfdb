// tests/track_sim/track_sim.h — the simulated Track API without its sockets: a request goes in, what shall
// happen to it comes out.
//
// Effects take place at once, also when the answer is delayed: a sender that gives up in between cannot undo
// them. The paths below /_sim/ control it and need no credentials (tests/track_sim/README.md has the
// scripts):
//
//   POST /_sim/script        {"rules":[{"match":{…},"action":{…}}]}; the first rule that matches acts
//   POST /_sim/credentials   {"site_id","api_key"}: what is accepted from now on
//   POST /_sim/reset         forgets effects, counts and requests; script and credentials stay
//   GET  /_sim/report        totals
//   GET  /_sim/effects       one object a line, in order; with ?customer=ID {"customer","effects":[…]}
//   GET  /_sim/requests      ?last=N of the last 1000: {"requests":[…]}, each with method, target, headers,
//                            auth_ok, status, body, at_ms
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "tests/track_sim/ledger.h"
#include "tests/track_sim/rules.h"
#include "tests/track_sim/script.h"

namespace outboxd::sim {

enum class Ending : std::uint8_t {
  kKeep,   // the connection stays
  kClose,  // closed after the answer's bytes
  kReset,  // reset after the answer's bytes
  kNever,  // nothing is sent; the client has to give up
};

struct Reaction {
  std::string bytes;
  std::chrono::milliseconds delay{0};
  Ending ending = Ending::kKeep;
  bool is_control = false;
  std::vector<std::string> customers;  // each once
};

// What only the sockets' side knows.
struct Traffic {
  std::uint64_t connections = 0;  // that made at least one request of the API
  std::uint64_t overlaps = 0;  // requests that came while an earlier one of the same customer was unanswered
  std::uint64_t concurrent = 0;  // unanswered now
  std::uint64_t max_concurrent = 0;
};

class TrackSim {
 public:
  TrackSim(Account account, std::uint64_t seed, Remember remember);

  Reaction React(const SimRequest& request, std::int64_t now_ms);
  Traffic& traffic() { return traffic_; }

 private:
  struct LoggedRequest {
    std::string method, target, body;
    std::vector<std::pair<std::string, std::string>> headers;
    bool auth_ok = false;
    int status = 0;  // 0: not answered
    std::int64_t at_ms = 0;
  };
  struct Answer {
    int status = 200;
    std::string body;
    std::string headers;  // complete lines
  };

  Answer OwnAnswer(Judged& judged) const;
  void ApplyEffects(Judged& judged, std::int64_t now_ms);
  Reaction Finish(const SimRequest& request, const Answer& answer, const Action& action);
  void Count(const SimRequest& request, const Judged& judged, int status, std::int64_t now_ms);
  void Log(const SimRequest& request, const Judged& judged, int status, std::int64_t now_ms);

  // In control.cc.
  Answer Control(const SimRequest& request);
  Answer ChangeCredentials(const SimRequest& request);
  Answer Reset();
  std::string Report() const;
  std::string AllEffects() const;
  std::string EffectsOf(const std::string& customer) const;
  std::string Requests(std::size_t last) const;

  Rules rules_;
  Script script_;
  Ledger ledger_;
  Remember remember_;
  Traffic traffic_;
  std::uint64_t requests_ = 0;
  std::map<int, std::uint64_t> by_status_;  // 0: not answered
  std::vector<std::string> invalid_;
  std::deque<LoggedRequest> log_;
  std::size_t log_bytes_ = 0;
};

}  // namespace outboxd::sim
