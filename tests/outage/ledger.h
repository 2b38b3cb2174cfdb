// tests/outage/ledger.h — what can be seen of an outage from outside: what was accepted, what left when, what
// was answered. Judges each.
//
// What it demands follows from the config and docs/design.md alone. A broken demand is a
// simulation::Violation.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "config/config.h"
#include "core/job.h"
#include "storage/database.h"
#include "tests/outage/crowd.h"

namespace outboxd::outage {

struct Figures {
  std::uint64_t accepted = 0, delivered = 0, expired = 0;
  std::uint64_t probes = 0;                          // that failed, each alone, through a closed gate
  std::uint64_t tried_customers = 0;                 // of requests that failed
  std::uint64_t most_attempts = 0;                   // at one job, until it was delivered
  std::uint64_t first_second = 0, first_minute = 0;  // requests since the gate opened
  std::uint64_t most_out_first_second = 0, most_out = 0;
  std::uint64_t requests = 0;       // since the gate opened
  std::uint64_t most_jobs = 0;      // in a request
  std::uint64_t most_ahead_of = 0;  // jobs not settled that were accepted before one that left
  std::uint64_t most_behind =
      0;  // jobs settled that were accepted after one that left, of a customer without a failure
  Milliseconds noticed{0};       // from the API's return to the open gate
  Milliseconds drained{0};       // from there to the last delivery of the backlog
  Milliseconds bulk_drained{0};  // the same for the first 95 % of it, which no retry holds up
  std::uint64_t bulk = 0;        // deliveries in that time
  std::vector<Milliseconds>
      waits;  // of jobs accepted since the API's return, for the open gate and for their turn
  Milliseconds longest_wait_of_new{0};  // of those, the customers' who had no backlog
};

// Size: one tally of an outage; each member is a count that several checks compare with others.
class Ledger {
 public:
  // The first `backlog` jobs are accepted during the outage.
  Ledger(const Crowd& crowd, ConnectionConfig config, LimitsConfig limits, std::uint64_t backlog);

  void OnApiDown(Timestamp now, Timestamp until);
  // Jobs are numbered from 1 as they are accepted. `waiting`: all that the outbox holds now.
  void OnAccepted(std::uint64_t count, std::uint64_t waiting, Timestamp now);
  void OnSettled(std::uint64_t waiting) { settled_ = figures_.accepted - waiting; }
  // A request with so many jobs leaves, and then OnSent() of each; it was answered, and then OnAnswered() of
  // each.
  void OnRequest(std::uint64_t jobs, Timestamp now);
  void OnRequestAnswered(std::uint64_t jobs, bool well);
  void OnSent(const QueuedJob& job, std::uint64_t number, Timestamp now);
  void OnAnswered(const QueuedJob& job, std::uint64_t number, bool well, Timestamp now);
  // Nothing waits any more: each job was delivered, or is a dead letter for its age. `first`: the first job's
  // sequence.
  void CheckEnd(Database& tables, std::uint64_t first);

  const Figures& figures() const { return figures_; }

 private:
  enum class Fate : std::uint8_t { kWaits, kOut, kTried, kDelivered, kExpired };
  struct Customer {
    std::uint64_t last = 0;  // delivered
    std::uint32_t jobs = 0;
    bool is_out = false;
    bool was_tried = false;  // a request of it failed
  };
  struct Fresh {  // a job behind the backlog
    Timestamp accepted;
    std::uint64_t ahead = 0;  // in the outbox then, itself among them
  };

  std::chrono::seconds MaxAgeOf(std::uint64_t number) const;
  void CheckRate(Timestamp now);
  void CheckRamp(Timestamp now);
  void CheckTurn(std::uint64_t number, const Customer& customer);
  void CheckRetry(std::uint64_t number, Timestamp now);
  void CheckProbes(Timestamp now) const;
  void OnDelivered(std::uint64_t number, const Customer& customer, Timestamp now);
  void CheckWait(std::uint64_t number, const Customer& customer, Timestamp now);

  const Crowd& crowd_;
  ConnectionConfig config_;
  LimitsConfig limits_;
  std::uint64_t backlog_;
  std::vector<Fate> fates_;  // by number
  std::vector<Customer> customers_;
  std::vector<Fresh> fresh_;
  std::map<std::uint64_t, Timestamp> due_;  // of jobs that were tried, at the latest

  Timestamp down_since_{}, down_until_{};
  bool is_closed_ = false;  // the gate, by what was answered
  std::optional<Timestamp> opened_;
  std::uint64_t probe_ = 0;  // the job that is out through the closed gate; 0: none
  std::uint64_t out_ = 0;
  std::uint64_t successes_ = 0;      // requests, since the gate opened
  std::uint64_t largest_taken_ = 1;  // jobs in one of them
  std::uint64_t settled_ = 0;
  std::uint64_t drained_ = 0;        // delivered of the backlog
  std::uint64_t jobs_of_tried_ = 0;  // accepted so far from customers that were tried
  double bucket_ = 0;                // requests that rate_limit has not yet made good
  Timestamp last_sent_{};
  Figures figures_;
};

}  // namespace outboxd::outage
