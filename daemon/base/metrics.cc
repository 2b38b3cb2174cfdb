#include "daemon/base/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/batch_switch.h"
#include "core/gate.h"
#include "core/job.h"
#include "core/job_types.h"  // IWYU pragma: keep: the names of job types
#include "core/names.h"
#include "core/refusal.h"
#include "core/time.h"
#include "core/verdict.h"
#include "daemon/base/mutex.h"
#include "daemon/base/process_usage.h"
#include "daemon/base/status.h"
#include "storage/outcome.h"

namespace outboxd {

namespace {

using prometheus::Counter;
using prometheus::Histogram;
using prometheus::MetricFamily;

constexpr auto kRateWindow = std::chrono::seconds(10);

struct AtomicTotals {
  std::atomic<std::uint64_t> accepted{0}, refused{0}, attempts{0}, delivered{0}, dead{0};
};

// --- every metric is one row -------------------------------------------------------------------------------

// Counted as it happens, by the values of an enum that has names.
struct CounterRow {
  const char* name;
  const char* help;
  const char* label;  // nullptr: none
};
constexpr CounterRow kAccepted{"outboxd_jobs_accepted_total", "Jobs accepted, on stable storage", "type"};
constexpr CounterRow kAttempts{"outboxd_attempts_total", "Requests that left for the Track API, by result",
                               "result"};
constexpr CounterRow kDelivered{"outboxd_jobs_delivered_total", "Jobs delivered", "type"};
constexpr CounterRow kDead{"outboxd_jobs_dead_total", "Jobs that became dead letters", "reason"};
constexpr CounterRow kRefused{"outboxd_jobs_refused_total", "Lines refused, by error code", "code"};

constexpr CounterRow kCredentials{
    "outboxd_credentials_refused_total",
    "Requests of the Track-compatible endpoint with credentials of no connection", nullptr};

struct HistogramRow {
  const char* name;
  const char* help;
  Histogram::BucketBoundaries bounds;
};
const HistogramRow kDeliverySeconds{
    "outboxd_delivery_seconds",
    "Time from acceptance to delivery",
    {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1'800, 7'200, 43'200, 259'200}};
const HistogramRow kCommitSeconds{
    "outboxd_accept_commit_seconds",
    "Time of one commit that stored new jobs",
    {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}};

// Read anew for each scrape.
class Samples {
 public:
  using Labels = std::vector<prometheus::ClientMetric::Label>;

  void Add(double value, Labels labels = {}) {
    prometheus::ClientMetric& metric = metrics_.emplace_back();
    metric.label = std::move(labels);
    metric.gauge.value = value;
    metric.counter.value = value;
  }
  std::vector<prometheus::ClientMetric> Take() { return std::move(metrics_); }

 private:
  std::vector<prometheus::ClientMetric> metrics_;
};

struct ReadRow {
  const char* name;
  const char* help;
  prometheus::MetricType type;
  void (*read)(const DaemonStatus& status, Samples& samples);
};

void ReadJobs(const DaemonStatus& status, Samples& samples) {
  for (const ConnectionStatus& connection : status.connections) {
    const auto add = [&](const char* state, std::uint64_t count) {
      samples.Add(static_cast<double>(count), {{"connection", connection.name}, {"state", state}});
    };
    add("ready", connection.Ready());
    add("in_flight", connection.in_flight);
    add("deferred", connection.deferred);
    add("blocked", connection.blocked);
    add("dead", connection.dead);
  }
}

void ReadAges(const DaemonStatus& status, Samples& samples) {
  for (const ConnectionStatus& connection : status.connections) {
    const Milliseconds age =
        connection.oldest ? std::max(Milliseconds(0), status.now - *connection.oldest) : Milliseconds(0);
    samples.Add(static_cast<double>(age.count()) / 1000, {{"connection", connection.name}});
  }
}

void ReadStates(const DaemonStatus& status, Samples& samples) {
  for (const ConnectionStatus& connection : status.connections) {
    for (const auto& [state, name] : kNames<GateState>) {
      samples.Add(connection.gate.state == state ? 1 : 0,
                  {{"connection", connection.name}, {"state", std::string(name)}});
    }
  }
}

void ReadSuspects(const DaemonStatus& status, Samples& samples) {
  for (const ConnectionStatus& connection : status.connections)
    samples.Add(static_cast<double>(connection.suspects), {{"connection", connection.name}});
}

void ReadLimits(const DaemonStatus& status, Samples& samples) {
  for (const ConnectionStatus& connection : status.connections)
    samples.Add(connection.limit, {{"connection", connection.name}});
}

void ReadBatches(const DaemonStatus& status, Samples& samples) {
  for (const ConnectionStatus& connection : status.connections)
    samples.Add(connection.batch_use == BatchUse::kUsed ? 1 : 0, {{"connection", connection.name}});
}

void ReadListeners(const DaemonStatus& status, Samples& samples) {
  for (const ListenerStatus& listener : status.listeners)
    samples.Add(listener.problem.empty() ? 1 : 0, {{"key", listener.key}, {"address", listener.address}});
}

constexpr auto kGauge = prometheus::MetricType::Gauge;

constexpr ReadRow kRead[] = {
    {"outboxd_jobs", "Jobs held, by state; dead ones are the dead letters", kGauge, &ReadJobs},
    {"outboxd_suspects", "Jobs that are suspected of failing by their own fault, whatever their state",
     kGauge, &ReadSuspects},
    {"outboxd_oldest_job_age_seconds",
     "Age of the oldest waiting job since its acceptance; 0 when none waits", kGauge, &ReadAges},
    {"outboxd_spool_bytes", "Size of the outbox on disk", kGauge,
     [](const DaemonStatus& status, Samples& samples) { samples.Add(static_cast<double>(status.bytes)); }},
    {"outboxd_wal_held_bytes", "Of the outbox, WAL that a reader keeps from being checkpointed", kGauge,
     [](const DaemonStatus& status, Samples& samples) {
       samples.Add(static_cast<double>(status.wal_held_bytes));
     }},
    {"outboxd_connection_state", "1 for the state the connection is in, 0 for the others", kGauge,
     &ReadStates},
    {"outboxd_connection_limit", "Requests that may be in flight at once at present, at most max_in_flight",
     kGauge, &ReadLimits},
    {"outboxd_connection_batches", "1 while jobs may share requests, 0 while each goes by itself", kGauge,
     &ReadBatches},
    {"outboxd_listening", "1 for a TCP address of the config that is listened on, 0 while it cannot be",
     kGauge, &ReadListeners},
    {"outboxd_log_lines_dropped_total", "Log lines that stderr did not take", prometheus::MetricType::Counter,
     [](const DaemonStatus& status, Samples& samples) {
       samples.Add(static_cast<double>(status.log_lines_dropped));
     }},
    {"process_cpu_seconds_total", "User and system CPU time", prometheus::MetricType::Counter,
     [](const DaemonStatus&, Samples& samples) { samples.Add(ProcessCpuSeconds()); }},
    {"process_resident_memory_bytes", "Resident memory", kGauge,
     [](const DaemonStatus&, Samples& samples) { samples.Add(ProcessResidentBytes()); }},
    {"process_open_fds", "Open file descriptors", kGauge,
     [](const DaemonStatus&, Samples& samples) { samples.Add(ProcessOpenDescriptors()); }},
    {"process_start_time_seconds", "Start of the process, Unix time", kGauge,
     [](const DaemonStatus& status, Samples& samples) {
       samples.Add(static_cast<double>(ToUnixMs(status.started)) / 1000);
     }},
};

MetricFamily Read(const ReadRow& row, const DaemonStatus& status) {
  Samples samples;
  row.read(status, samples);
  MetricFamily family;
  family.name = row.name;
  family.help = row.help;
  family.type = row.type;
  family.metric = samples.Take();
  return family;
}

// The counters of one row, by the values of its label.
template <typename Enum>
class CountersBy {
 public:
  // `labels` are the others.
  CountersBy(prometheus::Registry& registry, const CounterRow& row, const prometheus::Labels& labels) {
    auto& family = prometheus::BuildCounter().Name(row.name).Help(row.help).Register(registry);
    for (const auto& [value, name] : kNames<Enum>) {
      prometheus::Labels all = labels;
      all.emplace(row.label, name);
      counters_.at(static_cast<std::size_t>(value)) = &family.Add(all);
    }
  }
  void Add(Enum value, std::uint64_t count) const {
    counters_.at(static_cast<std::size_t>(value))->Increment(static_cast<double>(count));
  }

 private:
  std::array<Counter*, Names<Enum>::kCount> counters_{};
};

class CachedCounters final : public ConnectionMetrics {
 public:
  CachedCounters(prometheus::Registry& registry, const prometheus::Labels& labels, AtomicTotals& totals)
      : totals_(totals),
        accepted_(registry, kAccepted, labels),
        attempts_(registry, kAttempts, labels),
        delivered_(registry, kDelivered, labels),
        dead_(registry, kDead, labels) {}

  void Accepted(JobType type, std::uint64_t count) override {
    accepted_.Add(type, count);
    totals_.accepted += count;
  }
  void Attempts(Fate result, std::uint64_t count) override {
    attempts_.Add(result, count);
    totals_.attempts += count;
  }
  void Delivered(JobType type, std::uint64_t count) override {
    delivered_.Add(type, count);
    totals_.delivered += count;
  }
  void Dead(Death death, std::uint64_t count) override {
    dead_.Add(death, count);
    totals_.dead += count;
  }

 private:
  AtomicTotals& totals_;
  const CountersBy<JobType> accepted_;
  const CountersBy<Fate> attempts_;
  const CountersBy<JobType> delivered_;
  const CountersBy<Death> dead_;
};

// One Observe for many values: the histogram's lock is taken once.
void ObserveAll(Histogram& histogram, const Histogram::BucketBoundaries& bounds,
                std::span<const double> values) {
  std::vector<double> increments(bounds.size() + 1);
  double sum = 0;
  for (const double value : values) {
    ++increments[static_cast<std::size_t>(std::lower_bound(bounds.begin(), bounds.end(), value) -
                                          bounds.begin())];
    sum += value;
  }
  histogram.ObserveMultiple(increments, sum);
}

struct RateSample {
  Timestamp at;
  Totals totals;
};

double PerSecond(std::uint64_t from, std::uint64_t to, Milliseconds span) {
  return static_cast<double>(to - from) * 1000 / static_cast<double>(span.count());
}

}  // namespace

class Metrics::Impl {
 public:
  ConnectionMetrics& Of(std::string_view name) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    auto found = connections_.find(name);
    if (found == connections_.end()) {
      const std::string key(name);
      auto counters =
          std::make_unique<CachedCounters>(registry_, prometheus::Labels{{"connection", key}}, totals_);
      found = connections_.emplace(key, std::move(counters)).first;
    }
    return *found->second;
  }

  void Refused(Refusal refusal, std::uint64_t count) {
    refused_.Add(refusal, count);
    totals_.refused += count;
  }

  void CredentialsRefused() { credentials_.Increment(); }

  void ObserveDeliveries(std::span<const double> seconds) {
    ObserveAll(delivery_, kDeliverySeconds.bounds, seconds);
  }
  void ObserveCommit(double seconds) { commit_.Observe(seconds); }

  Totals ReadTotals() const {
    return {totals_.accepted, totals_.refused, totals_.attempts, totals_.delivered, totals_.dead};
  }

  void Tick(Timestamp now) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    // The clock was set back: the old samples say nothing any more.
    if (!samples_.empty() && now <= samples_.back().at) samples_.clear();
    samples_.push_back({now, ReadTotals()});
    while (samples_.size() > 2 && samples_[1].at <= now - kRateWindow) samples_.pop_front();
  }

  Rates ReadRates() const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (samples_.size() < 2) return {};
    const RateSample& from = samples_.front();
    const RateSample& to = samples_.back();
    const Milliseconds span = to.at - from.at;
    return {PerSecond(from.totals.accepted, to.totals.accepted, span),
            PerSecond(from.totals.attempts, to.totals.attempts, span),
            PerSecond(from.totals.delivered, to.totals.delivered, span),
            PerSecond(from.totals.dead, to.totals.dead, span)};
  }

  std::string Render(const DaemonStatus& status) const {
    std::vector<MetricFamily> families = registry_.Collect();
    for (const ReadRow& row : kRead) families.push_back(Read(row, status));
    return prometheus::TextSerializer().Serialize(families);
  }

 private:
  Histogram& AddHistogram(const HistogramRow& row) {
    return prometheus::BuildHistogram().Name(row.name).Help(row.help).Register(registry_).Add({}, row.bounds);
  }

  // Constant after construction; counters and histograms are thread-safe by themselves.
  prometheus::Registry registry_;
  const CountersBy<Refusal> refused_{registry_, kRefused, {}};
  Counter& credentials_ =
      prometheus::BuildCounter().Name(kCredentials.name).Help(kCredentials.help).Register(registry_).Add({});
  Histogram& delivery_ = AddHistogram(kDeliverySeconds);
  Histogram& commit_ = AddHistogram(kCommitSeconds);

  AtomicTotals totals_;
  mutable Mutex mutex_;
  std::map<std::string, std::unique_ptr<CachedCounters>, std::less<>> connections_ GUARDED_BY(mutex_);
  std::deque<RateSample> samples_ GUARDED_BY(mutex_);
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;
ConnectionMetrics& Metrics::Of(std::string_view connection) {
  return impl_->Of(connection);
}
void Metrics::Refused(Refusal refusal, std::uint64_t count) {
  impl_->Refused(refusal, count);
}
void Metrics::CredentialsRefused() {
  impl_->CredentialsRefused();
}
void Metrics::ObserveDeliveries(std::span<const double> seconds) {
  impl_->ObserveDeliveries(seconds);
}
void Metrics::ObserveCommit(double seconds) {
  impl_->ObserveCommit(seconds);
}
void Metrics::Tick(Timestamp now) {
  impl_->Tick(now);
}
Totals Metrics::ReadTotals() const {
  return impl_->ReadTotals();
}
Rates Metrics::ReadRates() const {
  return impl_->ReadRates();
}
std::string Metrics::Render(const DaemonStatus& status) const {
  return impl_->Render(status);
}

}  // namespace outboxd
