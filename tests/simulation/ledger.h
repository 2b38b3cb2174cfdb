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
//               comes back behind a later one
//   history     recorded attempts are requests that were answered, in order, with their results; none is
//               missing but for a crash
//   repeats     at most three in a row, from the second on a connection of its own
//   charges     a job is exhausted by failures between which others were delivered, and by enough of those;
//               one that has enough of them is not sent again
//   time        no job expires before its age by the clocks' rules; it is sent with the time of its
//   acceptance,
//               moved as the clock was
//   fates       every job ends once: delivered by an answer of the Track API's own, or dead with a reason
//   that
//               is true
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
#include "tests/simulation/charges.h"
#include "tests/simulation/host_clock.h"
#include "tests/simulation/producer.h"
#include "tests/simulation/track_api.h"

namespace outboxd::simulation {

struct Rules {
  std::uint32_t max_attempts = 0;
  std::int64_t max_age_s = 0;
  bool clock_is_steady = true;   // else a job may expire by another time than the one it is recorded with
  bool may_share_batch = false;  // jobs of one lane, in their order
};

// Size: one oracle; each member is a fact of a job that several promises are judged by.
class Ledger {
 public:
  explicit Ledger(Rules rules) : rules_(rules) {}

  void OnProduced(const ProducedJob& job);
  void OnAccepted(int number, const Ulid& id, const NotedTime& accepted);
  enum class Refusal : std::uint8_t { kNoRoom, kFailedWrite };
  void OnRefused(int number, Refusal refusal);
  // Whoever was not answered does not know; what was not committed may be gone, but for what `accepted` and
  // an answer say.
  void OnCrash();
  // What is not on disk is forgotten.
  void OnStarted();

  // What an operator may read of a job that is in the outbox for its first time, not redriven.
  struct Row {
    std::uint32_t failures = 0;
    std::string suspicion;
    bool is_parked = false;
  };
  using Look = std::function<std::optional<Row>(Sequence)>;
  // A request left.
  void OnSent(const Transfer& transfer, std::span<const SeenJob> jobs, Timestamp now, const Look& look);
  void OnAnswered(const std::string& connection, const Reply& reply);
  // The dispatcher has taken that answer in.
  void OnHeard(const std::string& connection, Route route, const Reply& reply, Timestamp now);
  // The same of the region probe: credentials, region and host are right.
  void OnGoodProbeHeard(const std::string& connection) { links_[connection].probe_was_good = true; }
  // How old a job accepted then may count at most; nullopt: nothing may expire.
  using AgeOf = std::function<std::optional<Milliseconds>(const NotedTime&)>;
  // Looks for dead letters that it does not know.
  void LookForDeaths(Database& database, Timestamp now, const AgeOf& age_of);
  // What time a job has that was accepted then; nullopt: not known from outside.
  using TimeOf = std::function<std::optional<Timestamp>(const NotedTime&)>;
  // Of the jobs of a request that leaves.
  void CheckTimes(const Transfer& transfer, const TimeOf& time_of) const;

  // An operator's work; one that a crash interrupted may have been done or not.
  void OnRedriven(std::span<const Sequence> jobs);
  void OnAllRedriven();
  void OnCancelled(Sequence job);
  void OnForgotten(const std::string& customer, std::optional<Sequence> last = std::nullopt);
  std::optional<Sequence> AnyAccepted(Random& random) const;

  // What the outbox holds: jobs with poison in them, or without patience, and those that wait for nobody
  // such.
  struct Waiting {
    std::size_t frail = 0, healthy = 0;
    int a_healthy_one = 0;
  };
  Waiting CountWaiting(Database& database) const;

  // After the last job has ended.
  void CheckEnd(Database& database) const;
  std::size_t Accepted() const { return by_sequence_.size(); }
  std::size_t Delivered() const;

 private:
  enum class Told : std::uint8_t { kNothing, kAccepted, kNoRoom, kFailedWrite, kUnknown };
  struct Refusals {
    std::uint32_t count = 0;
    Charges::Standing at_first;
  };
  struct Record {
    ProducedJob job;
    Told told = Told::kNothing;
    std::optional<Sequence> sequence;
    std::string id;                    // once it is known
    std::vector<std::string> answers;  // "503 deferred", in order
    Charges charges;
    std::map<Meaning, Refusals> refusals;  // alike
    std::uint64_t deliveries_at_sent = 0;
    std::optional<Charges::Standing> at_death;  // as it was soon after
    std::optional<NotedTime> accepted;          // once its producer was told
    std::optional<Milliseconds> age_at_death;   // nullopt: none, it could not expire
    std::uint32_t unanswered = 0;               // in a row, as the dispatcher has heard
    std::uint32_t failures = 0;                 // as its row had them before those
    std::uint32_t maybe_unrecorded = 0;         // answers that a crash may have kept from being recorded
    std::optional<Meaning> last;
    int last_status = 0;
    bool delivered = false, redriven = false, cancelled = false, forgotten = false;
    std::set<Sequence> companions;  // that shared a batch with it

    // What is not in its row is forgotten.
    void OnRedriven() {
      redriven = true;
      unanswered = 0;
    }
  };
  struct Lane {
    std::set<Sequence> waiting;  // accepted, and not yet seen to have left the outbox
    std::set<Sequence> sent;
    std::set<Sequence> busy;  // whose request is out
  };

  struct Link {  // a connection, as the dispatcher has heard of it
    std::uint64_t deliveries = 0;
    bool probe_was_good = false;  // once
  };

  Record& Find(int number);
  Charges::Standing StandingOf(const std::string& connection, Timestamp now) const;
  Charges::Standing StandingAtDeath(const Record& record) const;
  void Place(Record& record, Sequence sequence);
  Lane& LaneOf(const std::string& connection, const std::string& customer) {
    return lanes_[connection + " " + customer];
  }
  void CheckContent(const std::string& connection, const SeenJob& seen, Record& record);
  void CheckOrder(const std::string& connection, const SeenJob& seen, const Record& record,
                  const std::set<Sequence>& before, const Look& look);
  Waiting CountWaiting(Database& database, std::set<std::string>& held) const;
  void CheckRepeat(Record& record, Route route, const Look& look);
  void CheckCharges(const Record& record) const;
  void Hear(Record& record, Meaning meaning, Route route, const Reply& reply,
            const Charges::Standing& standing);
  void CheckHistory(Database& database, const Record& record) const;
  bool IsTrulyRejected(const Record& record) const;
  bool IsTrulyExhausted(const Record& record) const;
  bool IsTrulyExpired(const Record& record, std::int64_t recorded_ms) const;
  void CheckFate(Database& database, const Record& record) const;

  Rules rules_;
  std::map<int, Record> records_;
  std::map<Sequence, int> by_sequence_;
  std::map<std::string, int> by_event_;
  std::set<Sequence>
      redriven_unseen_;  // jobs nobody was told of, by a crash, that died before they were ever sent
  std::map<std::string, Lane> lanes_;
  std::map<std::string, Link> links_;  // by connection
};

}  // namespace outboxd::simulation
