// tests/simulation/ledger.h — the oracle: knows what producers were told and what the Track API saw, and
// judges outboxd's promises by that.
//
// It knows nothing of the code under test but the tables an operator may read. Every promise broken is a
// Violation.
//
//   acceptance  a job told `ok` is never lost; one refused is never sent; an id belongs to one job
//   payload     what arrives is what was produced
//   effects     every request of an event carries the job's id: it takes effect once
//   order       of a lane one request at a time; nothing of it leaves while an earlier job waits; nothing
//   comes back behind a later one history     recorded attempts are requests that were answered, in order,
//   with their results; none is missing but for a crash fates       every job ends once: delivered, or dead
//   with a reason that is true
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "storage/database.h"
#include "tests/simulation/producer.h"
#include "tests/simulation/track_api.h"

namespace outboxd::simulation {

struct Rules {
  std::uint32_t max_attempts = 0;
  std::int64_t max_age_s = 0;
  bool clock_is_steady = true;   // else a job may expire by another time than the one it is recorded with
  bool may_share_batch = false;  // jobs of one lane, in their order
};

class Ledger {
 public:
  explicit Ledger(Rules rules) : rules_(rules) {}

  void OnProduced(const ProducedJob& job);
  void OnAccepted(int number, const Ulid& id);
  enum class Refusal : std::uint8_t { kNoRoom, kFailedWrite };
  void OnRefused(int number, Refusal refusal);
  // Whoever was not answered does not know; what was not committed may be gone, but for what `accepted` and
  // an answer say.
  void OnCrash();

  // A request left. `waits` tells whether a job is in the outbox for its first time, not redriven.
  using Waits = std::function<bool(Sequence)>;
  void OnSent(const std::string& connection, std::span<const SeenJob> jobs, const Waits& waits);
  void OnAnswered(const std::string& connection, std::span<const SeenJob> jobs, const Answer& answer,
                  std::span<const Meaning> meanings);

  // An operator's work; one that a crash interrupted may have been done or not.
  void OnRedriven(std::span<const Sequence> jobs);
  void OnAllRedriven();
  void OnCancelled(Sequence job);
  void OnForgotten(const std::string& customer, std::optional<Sequence> last = std::nullopt);
  std::optional<Sequence> AnyAccepted(Random& random) const;

  // After the last job has ended.
  void CheckEnd(Database& database) const;
  std::size_t Accepted() const { return by_sequence_.size(); }
  std::size_t Delivered() const;

 private:
  enum class Told : std::uint8_t { kNothing, kAccepted, kNoRoom, kFailedWrite, kUnknown };
  struct Record {
    ProducedJob job;
    Told told = Told::kNothing;
    std::optional<Sequence> sequence;
    std::string id;                    // once it is known
    std::vector<std::string> answers;  // "503 deferred", in order
    std::uint32_t deferrals = 0;
    std::uint32_t maybe_unrecorded = 0;  // answers that a crash may have kept from being recorded
    std::optional<Meaning> last;
    bool delivered = false, redriven = false, cancelled = false, forgotten = false;
    std::set<Sequence> companions;  // that shared a batch with it
  };
  struct Lane {
    std::set<Sequence> waiting;  // accepted, and not yet seen to have left the outbox
    std::set<Sequence> sent;
    std::set<Sequence> busy;  // whose request is out
  };

  Record& Find(int number);
  void Place(Record& record, Sequence sequence);
  Lane& LaneOf(const std::string& connection, const std::string& customer) {
    return lanes_[connection + " " + customer];
  }
  void CheckContent(const std::string& connection, const SeenJob& seen, Record& record);
  void CheckOrder(const std::string& connection, const SeenJob& seen, const Record& record,
                  const std::set<Sequence>& before, const Waits& waits);
  void CheckHistory(Database& database, const Record& record) const;
  void CheckFate(Database& database, const Record& record) const;

  Rules rules_;
  std::map<int, Record> records_;
  std::map<Sequence, int> by_sequence_;
  std::map<std::string, int> by_event_;
  std::set<Sequence>
      redriven_unseen_;  // jobs nobody was told of, by a crash, that died before they were ever sent
  std::map<std::string, Lane> lanes_;
};

}  // namespace outboxd::simulation
