// daemon/base/metrics.h — what the daemon counts, and its Prometheus text.
//
// Threads: every method may be called on any thread. An increment through a ConnectionMetrics is an atomic
// addition; the methods that take a connection's name look it up first (one uncontended lock), so call them
// once per batch.
// Time: Tick() is told the time; nothing here reads a clock.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/job.h"
#include "core/refusal.h"
#include "core/time.h"
#include "core/verdict.h"
#include "daemon/base/status.h"
#include "storage/outcome.h"

namespace outboxd {

// The counters of one connection. Lives as long as its Metrics.
class ConnectionMetrics {
 public:
  virtual ~ConnectionMetrics() = default;
  virtual void Accepted(JobType type, std::uint64_t count) = 0;
  virtual void Attempts(Fate result, std::uint64_t count) = 0;
  virtual void Delivered(JobType type, std::uint64_t count) = 0;
  virtual void Dead(Death death, std::uint64_t count) = 0;
};

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Made at the first call for a name; all its series show 0 from then on. Names are those of the config, so
  // their number is bounded.
  ConnectionMetrics& Of(std::string_view connection);

  void Refused(Refusal refusal, std::uint64_t count);
  // A request of the Track-compatible endpoint came with credentials of no connection.
  void CredentialsRefused();

  // Seconds from acceptance to delivery, one for each job delivered.
  void ObserveDeliveries(std::span<const double> seconds);
  // Seconds of one commit that stored new jobs.
  void ObserveCommit(double seconds);

  // Takes a sample for the rates; call it about once a second.
  void Tick(Timestamp now);
  // Since the start.
  Totals ReadTotals() const;
  // Means over the samples of the last 10 s; 0 until there are two.
  Rates ReadRates() const;

  // The Prometheus text, version 0.0.4. What `status` knows becomes gauges: nothing is kept of a connection
  // that left the config.
  std::string Render(const DaemonStatus& status) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace outboxd
