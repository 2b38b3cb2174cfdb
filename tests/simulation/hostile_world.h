// tests/simulation/hostile_world.h — good producers with hostile ones beside them, in virtual time: the real
// core, storage, clerk and dispatcher play a Scene.
//
// Judged are, each a Violation when it is broken:
//
//   rate     good jobs are delivered at half of their rate without the hostile ones, at least
//   room     a good job is not refused while the good ones hold less than the tenth that is kept for them
//   memory   what jobs cost in memory stays under what the limits say
//   order    of a lane nothing leaves while an earlier job is in the outbox
//   fates    each accepted job was delivered, once, or is a dead letter, or waits; good ones do not die
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/job.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/delivery/transfer.h"
#include "storage/database.h"
#include "tests/daemon/threadless_daemon.h"
#include "tests/simulation/content_api.h"
#include "tests/simulation/hostile_lines.h"
#include "tests/simulation/hostile_scene.h"
#include "tests/simulation/trace.h"
#include "tests/support/temp_dir.h"

namespace outboxd::simulation {

// Size: a whole world; what happens in it is judged where it happens.
class HostileWorld {
 public:
  enum class Company : std::uint8_t { kGood, kHostile };
  struct Result {
    Summary summary;
    std::uint64_t good_delivered = 0;
    std::size_t most_memory = 0, memory_bound = 0;
  };

  // `scene` and `trace` outlive it.
  HostileWorld(const Scene& scene, Company company, Trace& trace);
  Result Run();

 private:
  struct Job {
    Line line;
    std::optional<Sequence> sequence;
    bool is_delivered = false;
  };
  struct Flight {
    Transfer transfer;
    ContentAnswer answer;
    Timestamp sent{};
    Timestamp ends() const { return sent + answer.after; }
  };
  using Lane = std::set<Sequence>;  // accepted and perhaps in the outbox

  void Start();
  void Crash();
  void HandOver(const Arrival& arrival);
  void HandOverDue();
  bool FinishDue();
  void Work();
  void WorkClerk();
  void Dispatch();
  void NoteGates();
  void OnSent(const Transfer& transfer);
  void CheckOrder(const QueuedJob& job, const Job& known, const std::set<Sequence>& before);
  bool IsInOutbox(Sequence sequence);
  void CheckMemory();
  void CheckFates();
  std::uint64_t GoodHold() const;
  Timestamp NextEvent();
  Milliseconds Elapsed() const { return now_ - begin_; }
  void Note(const std::string& what) { trace_.Note(now_, what); }

  const Scene& scene_;
  Trace& trace_;
  std::vector<const Arrival*> arrivals_;  // by time
  std::size_t next_arrival_ = 0, next_crash_ = 0;
  Timestamp begin_ = FromUnixMs(1'700'000'000'000);
  Timestamp now_ = begin_;
  TempDir folder_;
  test::ThreadlessDaemon daemon_;
  test::ThreadlessDaemon::Setup setup_;
  std::optional<Database> tables_;
  std::optional<Statement> look_;
  std::map<int, Job> jobs_;
  std::map<std::string, Lane> lanes_;
  std::vector<std::vector<int>> submitted_;
  std::vector<Flight> flights_;
  std::map<std::string, std::string> gates_;  // as last noted
  Result result_;
};

// Plays the scene of `seed` without its hostile users and with them. `out` may be null.
Summary PlayHostileScene(std::uint64_t seed, std::ostream* out);

}  // namespace outboxd::simulation
