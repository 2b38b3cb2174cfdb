// tests/simulation/simulation.h — one run: the real core, storage, clerk and dispatcher in a world made of
// one seed.
//
// Replaced at their seams are the network (TrackApi), the clock and the disk (FaultVfs). Which troubles a run
// has is drawn by its seed as well, so that some runs are calm enough to go far and others are nothing but
// trouble. In the end all trouble stops and everything must drain. The Ledger judges.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "core/user_shares.h"
#include "tests/daemon/threadless_daemon.h"
#include "tests/simulation/host_clock.h"
#include "tests/simulation/ledger.h"
#include "tests/simulation/link.h"
#include "tests/simulation/producer.h"
#include "tests/simulation/random.h"
#include "tests/simulation/trace.h"
#include "tests/simulation/track_api.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/temp_dir.h"

namespace outboxd::simulation {

// Size: a whole world and the steps that can happen in it; each step may touch any part of the world.
class Simulation {
 public:
  // `trace` may be null.
  Simulation(std::uint64_t seed, std::ostream* trace);
  Summary Run();  // throws Violation

 private:
  struct Troubles {
    bool api = false, disk = false, power = false, kill = false, restarts = false, operators = false,
         clock = false, room = false, poison = false;
  };
  struct Flight {
    Transfer transfer;
    Reply reply;
    Timestamp sent{};  // by the daemon's clock
    Timestamp ends{};  // by the world's
    Milliseconds duration{0};
    bool probes_gate = false;
    std::uint32_t era = 0;             // the link's
    bool is_troubles_suspect = false;  // its job was one when it left: 5xx, resets and timeouts are its own
  };
  void Configure();
  void Step();
  void StepOfTrouble();
  void Submit();
  void WorkClerk();
  void Dispatch(std::size_t count);
  void Send(Transfer transfer, const GateSnapshot& gate_before);
  Link& LinkOf(const std::string& connection) {
    return links_.try_emplace(connection, config_).first->second;
  }
  void FinishOne();
  void Finish(std::size_t index);
  test::ThreadlessDaemon::Call Listen(const Flight& flight);
  void Hear(const std::string& connection, Route route, std::uint32_t era, const Reply& reply);
  void HearProbe(const std::string& connection, bool is_good);
  void LookForDeaths();
  void LookForAllDeaths();
  void CheckShares(const Submission& submission);
  void ActAsOperator();
  void Resume();
  void Start();
  void Restart();
  void StopAll();
  void ArmCrash();
  test::Unsynced PowerOrKill();
  void Crash();
  void SetClock();
  void OnClockSet(bool was_set);
  void Reboot();
  void TellClock();
  void Endure();
  void LiveWithPoison();
  void PassTime();
  void Drain();
  void DrainHealthy();
  void GiveMemory();
  void RunRound(Timestamp deadline, const std::string& promise);
  bool IsEmpty();
  std::string WhyStuck();
  void Note(const std::string& what) { trace_.Note(world_, what); }
  Timestamp Now() const { return world_ + clock_.error(); }
  std::optional<Ledger::Row> Look(Sequence job);

  Random random_;
  Trace trace_;
  Troubles troubles_;
  test::FaultVfs disk_;
  TempDir folder_;
  test::ThreadlessDaemon daemon_;
  test::ThreadlessDaemon::Setup setup_;
  std::vector<std::string> connections_;
  std::vector<User> users_{User()};  // whose programs hand over jobs
  ConnectionConfig config_;
  std::optional<TrackApi> api_;
  std::optional<Producer> producer_;
  std::optional<Ledger> ledger_;
  std::optional<Database> tables_;  // as an operator may read them
  std::optional<Statement> look_;

  Timestamp world_ = FromUnixMs(1'700'000'000'000);
  HostClock clock_{world_};
  // As it was when jobs may have expired whose deaths were not looked for.
  std::vector<std::pair<HostClock, Timestamp>> clocks_;
  std::vector<Flight> flights_;
  std::map<std::string, Link> links_;
  std::deque<std::vector<int>> submitted_;  // numbers of each submission not yet answered
  std::vector<std::function<void()>>
      unfinished_;           // for the ledger, should a crash interrupt an operator's work
  GateState gate_before_{};  // of the connection whose answer is taken in next
  std::uint64_t dead_seen_ = 0;
  int drain_rounds_ = 0;
  std::uint64_t disk_free_ = 1ULL << 40;
  bool has_memory_ = false;  // for all jobs there are
  bool crash_armed_ = false;
  Summary summary_;
};

}  // namespace outboxd::simulation
