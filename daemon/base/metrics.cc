#include "daemon/base/metrics.h"

#include <dirent.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <fstream>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "core/job_types.h"
#include "daemon/base/mutex.h"

namespace outboxd {

namespace {

using prometheus::Counter;
using prometheus::Histogram;
using prometheus::MetricFamily;
using CounterFamily = prometheus::Family<Counter>;

constexpr auto kRateWindow = std::chrono::seconds(10);

const Histogram::BucketBoundaries kDeliveryBuckets = {
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1'800, 7'200, 43'200, 259'200};
const Histogram::BucketBoundaries kCommitBuckets = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5};

struct AtomicTotals {
  std::atomic<std::uint64_t> accepted{0}, refused{0}, attempts{0}, delivered{0}, dead{0};
};

struct Families {
  CounterFamily& accepted;
  CounterFamily& attempts;
  CounterFamily& delivered;
  CounterFamily& dead;
};

class CachedCounters final : public ConnectionMetrics {
 public:
  CachedCounters(const std::string& name, const Families& families, AtomicTotals& totals) : totals_(totals) {
    for (std::size_t index = 0; index < kJobTypeCount; ++index) {
      const std::string type(JobTypeName(static_cast<JobType>(index)));
      accepted_[index] = &families.accepted.Add({{"connection", name}, {"type", type}});
      delivered_[index] = &families.delivered.Add({{"connection", name}, {"type", type}});
    }
    for (const auto& [fate, result] : kNames<Fate>) {
      attempts_.at(static_cast<std::size_t>(fate)) =
          &families.attempts.Add({{"connection", name}, {"result", std::string(result)}});
    }
    for (const auto& [death, reason] : kNames<Death>) {
      dead_.at(static_cast<std::size_t>(death)) =
          &families.dead.Add({{"connection", name}, {"reason", std::string(reason)}});
    }
  }

  void Accepted(JobType type, std::uint64_t count) override {
    accepted_.at(static_cast<std::size_t>(type))->Increment(static_cast<double>(count));
    totals_.accepted += count;
  }
  void Attempts(Fate result, std::uint64_t count) override {
    attempts_.at(static_cast<std::size_t>(result))->Increment(static_cast<double>(count));
    totals_.attempts += count;
  }
  void Delivered(JobType type, std::uint64_t count) override {
    delivered_.at(static_cast<std::size_t>(type))->Increment(static_cast<double>(count));
    totals_.delivered += count;
  }
  void Dead(Death death, std::uint64_t count) override {
    dead_.at(static_cast<std::size_t>(death))->Increment(static_cast<double>(count));
    totals_.dead += count;
  }

 private:
  AtomicTotals& totals_;
  std::array<Counter*, kJobTypeCount> accepted_{}, delivered_{};
  std::array<Counter*, Names<Fate>::kCount> attempts_{};
  std::array<Counter*, Names<Death>::kCount> dead_{};
};

// Gauges are made anew for each scrape, from values read for it.
class GaugeFamily {
 public:
  GaugeFamily(std::string name, std::string help,
              prometheus::MetricType type = prometheus::MetricType::Gauge) {
    family_.name = std::move(name);
    family_.help = std::move(help);
    family_.type = type;
  }
  void Add(double value, std::vector<prometheus::ClientMetric::Label> labels = {}) {
    prometheus::ClientMetric metric;
    metric.label = std::move(labels);
    metric.gauge.value = value;
    metric.counter.value = value;
    family_.metric.push_back(std::move(metric));
  }
  MetricFamily Take() { return std::move(family_); }

 private:
  MetricFamily family_;
};

MetricFamily JobsFamily(const DaemonStatus& status) {
  GaugeFamily jobs("outboxd_jobs", "Jobs held, by state; dead ones are the dead letters");
  for (const ConnectionStatus& connection : status.connections) {
    const auto add = [&](const char* state, std::uint64_t count) {
      jobs.Add(static_cast<double>(count), {{"connection", connection.name}, {"state", state}});
    };
    add("ready", connection.Ready());
    add("in_flight", connection.in_flight);
    add("deferred", connection.deferred);
    add("blocked", connection.blocked);
    add("dead", connection.dead);
  }
  return jobs.Take();
}

MetricFamily AgeFamily(const DaemonStatus& status) {
  GaugeFamily ages("outboxd_oldest_job_age_seconds",
                   "Age of the oldest waiting job since its acceptance; 0 when none waits");
  for (const ConnectionStatus& connection : status.connections) {
    const Milliseconds age =
        connection.oldest ? std::max(Milliseconds(0), status.now - *connection.oldest) : Milliseconds(0);
    ages.Add(static_cast<double>(age.count()) / 1000, {{"connection", connection.name}});
  }
  return ages.Take();
}

MetricFamily StateFamily(const DaemonStatus& status) {
  GaugeFamily states("outboxd_connection_state", "1 for the state the connection is in, 0 for the others");
  for (const ConnectionStatus& connection : status.connections) {
    for (const auto& [state, name] : kNames<GateState>) {
      states.Add(connection.gate.state == state ? 1 : 0,
                 {{"connection", connection.name}, {"state", std::string(name)}});
    }
  }
  return states.Take();
}

MetricFamily LimitFamily(const DaemonStatus& status) {
  GaugeFamily limits("outboxd_connection_limit",
                     "Requests that may be in flight at once at present, at most max_in_flight");
  for (const ConnectionStatus& connection : status.connections)
    limits.Add(connection.limit, {{"connection", connection.name}});
  return limits.Take();
}

MetricFamily Single(std::string name, std::string help, double value,
                    prometheus::MetricType type = prometheus::MetricType::Gauge) {
  GaugeFamily family(std::move(name), std::move(help), type);
  family.Add(value);
  return family.Take();
}

double CpuSeconds() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total_pages = 0;
  std::uint64_t resident_pages = 0;
  if (!(statm >> total_pages >> resident_pages)) return 0;
  return static_cast<double>(resident_pages) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double OpenDescriptors() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  int entries = 0;
  while (readdir(directory) != nullptr) ++entries;
  closedir(directory);
  return std::max(0, entries - 3);  // ".", ".." and the directory's own descriptor
}

void AppendProcess(std::vector<MetricFamily>& families, const DaemonStatus& status) {
  families.push_back(Single("process_cpu_seconds_total", "User and system CPU time", CpuSeconds(),
                            prometheus::MetricType::Counter));
  families.push_back(Single("process_resident_memory_bytes", "Resident memory", ResidentBytes()));
  families.push_back(Single("process_open_fds", "Open file descriptors", OpenDescriptors()));
  families.push_back(Single("process_start_time_seconds", "Start of the process, Unix time",
                            static_cast<double>(ToUnixMs(status.started)) / 1000));
}

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
  Impl() {
    for (const auto& [refusal, code] : kNames<Refusal>)
      refused_.at(static_cast<std::size_t>(refusal)) = &refused_family_.Add({{"code", std::string(code)}});
  }

  ConnectionMetrics& Of(std::string_view name) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    auto found = connections_.find(name);
    if (found == connections_.end()) {
      const std::string key(name);
      found = connections_.emplace(key, std::make_unique<CachedCounters>(key, families_, totals_)).first;
    }
    return *found->second;
  }

  void Refused(Refusal refusal, std::uint64_t count) {
    refused_.at(static_cast<std::size_t>(refusal))->Increment(static_cast<double>(count));
    totals_.refused += count;
  }

  void ObserveDeliveries(std::span<const double> seconds) {
    ObserveAll(delivery_, kDeliveryBuckets, seconds);
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
    families.push_back(JobsFamily(status));
    families.push_back(AgeFamily(status));
    families.push_back(
        Single("outboxd_spool_bytes", "Size of the outbox on disk", static_cast<double>(status.bytes)));
    families.push_back(StateFamily(status));
    families.push_back(LimitFamily(status));
    AppendProcess(families, status);
    return prometheus::TextSerializer().Serialize(families);
  }

 private:
  CounterFamily& AddFamily(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry_);
  }
  Histogram& AddHistogram(const char* name, const char* help, const Histogram::BucketBoundaries& bounds) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry_).Add({}, bounds);
  }

  // Constant after construction; counters and histograms are thread-safe by themselves.
  prometheus::Registry registry_;
  const Families families_{
      AddFamily("outboxd_jobs_accepted_total", "Jobs accepted, on stable storage"),
      AddFamily("outboxd_attempts_total", "Requests that left for the Track API, by result"),
      AddFamily("outboxd_jobs_delivered_total", "Jobs delivered"),
      AddFamily("outboxd_jobs_dead_total", "Jobs that became dead letters")};
  CounterFamily& refused_family_ = AddFamily("outboxd_jobs_refused_total", "Lines refused, by error code");
  Histogram& delivery_ =
      AddHistogram("outboxd_delivery_seconds", "Time from acceptance to delivery", kDeliveryBuckets);
  Histogram& commit_ = AddHistogram("outboxd_accept_commit_seconds",
                                    "Time of one commit that stored new jobs", kCommitBuckets);
  std::array<Counter*, kNames<Refusal>.size()> refused_{};

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
