// tests/outage/outage.h — the API is down for days, is back, and what was accepted meanwhile drains: the real
// core, storage, clerk and dispatcher over a real outbox, in virtual time.
//
// The Ledger judges what leaves; here it is judged that memory stays flat, and that with batch.mode auto the
// backlog drains several times faster than rate_limit lets single requests out.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "core/batch_switch.h"
#include "tests/daemon/threadless_daemon.h"
#include "tests/outage/crowd.h"
#include "tests/outage/ledger.h"
#include "tests/simulation/random.h"
#include "tests/support/temp_dir.h"

namespace outboxd::outage {

struct Options {
  std::uint64_t jobs = 200'000;
  std::uint64_t days = 3;
  std::uint64_t max_age_hours = 168;
  std::uint64_t rate_limit = 2'000;
  BatchMode batch = BatchMode::kOff;
};

struct Memory {  // resident bytes
  std::uint64_t before = 0, at_tenth = 0, at_end_of_outage = 0, peak_of_outage = 0, peak_of_drain = 0;
};

class Outage {
 public:
  // `progress` hears now and then what has been done.
  using Progress = std::function<void(const std::string&)>;
  Outage(const Options& options, Progress progress);
  void Run();  // throws Violation

  const Figures& figures() const { return ledger_.figures(); }
  const Memory& memory() const { return memory_; }
  const ConnectionConfig& config() const { return config_; }

 private:
  struct Flight {
    Transfer transfer;
    Answer answer;
    Timestamp sent{};
  };

  void Start();
  void GoDown();
  void Drain();
  void Accept(std::uint64_t count);
  void Step(Timestamp latest);
  Timestamp NextEvent(Timestamp latest);
  void Finish(Flight flight);
  void WorkClerk();
  void Dispatch();
  void Send(Transfer transfer);
  Milliseconds Answer(Flight& flight);
  void CheckPace() const;
  void CheckGrowth(std::uint64_t resident) const;
  std::uint64_t Waiting();
  void Report(const std::string& what);

  Options options_;
  Progress progress_;
  simulation::Random random_{1};
  TempDir folder_;
  ConnectionConfig config_;
  test::ThreadlessDaemon::Setup setup_;
  test::ThreadlessDaemon daemon_;
  Crowd crowd_;
  Ledger ledger_;
  std::uint64_t first_ = 0;  // sequence
  Timestamp now_ = FromUnixMs(1'700'000'000'000);
  Timestamp back_{};
  Timestamp committed_{};
  std::multimap<Timestamp, Flight> flights_;  // by their end
  Memory memory_;
};

}  // namespace outboxd::outage
