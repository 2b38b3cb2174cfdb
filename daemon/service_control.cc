// What the admin API may ask of the running daemon: Service as Control.
#include <algorithm>

#include "daemon/base/log.h"
#include "daemon/base/wall_clock.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/service.h"
#include "storage/database.h"
#include "storage/outbox_reader.h"

namespace outboxd {
namespace {

constexpr std::size_t kRowsAStep = 500;
constexpr std::chrono::seconds kAnswerPatience{10};

Failure Stopping() {
  return Fail(ErrorKind::kBusy, "outboxd is stopping");
}

Failure UnknownConnection(const std::string& name) {
  return Fail(ErrorKind::kNotFound, "no connection \"" + name + "\" is configured", "connection");
}

std::optional<Timestamp> Oldest(OutboxReader& reader, const ConnectionStatus& connection) {
  if (connection.oldest_known) {
    if (const auto known = reader.ReadOne(*connection.oldest_known); known && *known)
      return (*known)->job->stamp.accepted;
  }
  return reader.Oldest(connection.name).value_or(std::nullopt);
}

}  // namespace

// nullopt: the dispatcher has stopped, or is too busy to answer.
template <typename T>
std::optional<T> Service::AskDispatcher(std::function<T(Dispatcher&, Timestamp)> question) {
  auto promise = std::make_shared<std::promise<T>>();
  std::future<T> answer = promise->get_future();
  const bool posted =
      dispatcher_->Post([promise, question = std::move(question)](Dispatcher& dispatcher, Timestamp now) {
        promise->set_value(question(dispatcher, now));
      });
  if (!posted || answer.wait_for(kAnswerPatience) != std::future_status::ready) return std::nullopt;
  return answer.get();
}

template std::optional<std::size_t> Service::AskDispatcher(
    std::function<std::size_t(Dispatcher&, Timestamp)> question);

DaemonStatus Service::Status() {
  DaemonStatus status;
  status.started = started_;
  status.now = WallClockNow();
  status.outbox_path = outbox_path_;
  {
    MutexLock lock(config_mutex_);
    status.max_jobs = config_.outbox.max_jobs;
    status.max_bytes = config_.outbox.max_bytes;
  }
  status.totals = metrics_.ReadTotals();
  status.rates = metrics_.ReadRates();
  using Statuses = std::vector<ConnectionStatus>;
  if (auto connections =
          AskDispatcher<Statuses>([](Dispatcher& dispatcher, Timestamp) { return dispatcher.Status(); })) {
    status.connections = std::move(*connections);
  }
  FillCounts(status, clerk_->State());
  if (stopping_) status.not_accepting = "outboxd is stopping";
  return status;
}

void Service::FillCounts(DaemonStatus& status, const OutboxState& outbox) {
  status.bytes = outbox.used_bytes;
  status.disk_free_bytes = outbox.disk_free_bytes;
  status.not_accepting = outbox.not_accepting;
  status.not_healthy = outbox.not_healthy;
  Result<OutboxReader> reader = OutboxReader::Open(outbox_path_);
  for (const auto& [name, counts] : outbox.counts) {
    status.attempts_rows += counts.attempts;
    const auto named = [&](const ConnectionStatus& connection) { return connection.name == name; };
    auto found = std::find_if(status.connections.begin(), status.connections.end(), named);
    if (found == status.connections.end()) {
      if (counts.jobs == 0 && counts.dead == 0) continue;
      ConnectionStatus gone;
      gone.name = name;
      gone.gate.state = GateState::kPaused;
      gone.gate.pause = PauseReason::kOperator;
      gone.gate.detail = "not in the config";
      found = status.connections.insert(status.connections.end(), std::move(gone));
    }
    found->jobs = counts.jobs;
    found->dead = counts.dead;
    if (counts.jobs == 0 || !reader) continue;
    found->oldest = Oldest(*reader, *found);
  }
}

std::vector<std::optional<JobPlace>> Service::Places(std::span<const Sequence> sequences) {
  using Found = std::vector<std::optional<JobPlace>>;
  const std::vector<Sequence> asked(sequences.begin(), sequences.end());
  auto places =
      AskDispatcher<Found>([asked](Dispatcher& dispatcher, Timestamp) { return dispatcher.Places(asked); });
  return places ? std::move(*places) : Found(asked.size());
}

std::vector<Sequence> Service::InFlight() {
  return AskDispatcher<std::vector<Sequence>>(
             [](Dispatcher& dispatcher, Timestamp) { return dispatcher.InFlightJobs(); })
      .value_or(std::vector<Sequence>());
}

Result<ConnectionStatus> Service::ChangeGate(const std::string& connection,
                                             std::function<void(ConnectionQueue&, Timestamp)> change) {
  using Changed = std::optional<ConnectionStatus>;
  auto answer = AskDispatcher<Changed>(
      [connection, change = std::move(change)](Dispatcher& dispatcher, Timestamp now) -> Changed {
        ConnectionQueue* queue = dispatcher.Find(connection);
        if (queue == nullptr) return std::nullopt;
        change(*queue, now);
        return queue->Status();
      });
  if (!answer) return Stopping();
  if (!*answer) return UnknownConnection(connection);
  return **answer;
}

Result<ConnectionStatus> Service::Pause(const std::string& connection) {
  return ChangeGate(connection, [](ConnectionQueue& queue, Timestamp now) {
    queue.Pause(PauseReason::kOperator, "paused by an operator", now);
  });
}

Result<ConnectionStatus> Service::Resume(const std::string& connection) {
  return ChangeGate(connection, [](ConnectionQueue& queue, Timestamp now) { queue.Resume(now); });
}

Result<ProbeReport> Service::Probe(const std::string& connection) {
  Milliseconds patience = kAnswerPatience;
  {
    MutexLock lock(config_mutex_);
    if (const auto found = config_.connections.find(connection); found != config_.connections.end())
      patience += found->second.timeout;
  }
  return probe_waiters_.Await(connection, patience, [&]() -> Result<void> {
    const Result<ConnectionStatus> asked =
        ChangeGate(connection, [](ConnectionQueue& queue, Timestamp) { queue.ProbeNow(); });
    if (!asked) return Failure(asked.error());
    return {};
  });
}

// A ClerkTask must be copyable and outlive the caller's patience: what it needs lives in shared state.
Result<std::uint64_t> Service::RunOnClerk(Step step, AfterStep after) {
  struct Work {
    std::promise<Result<std::uint64_t>> promise;
    std::uint64_t changed = 0;
  };
  auto work = std::make_shared<Work>();
  std::future<Result<std::uint64_t>> result = work->promise.get_future();
  const bool posted = clerk_->Post(
      [this, work, step = std::move(step), after = std::move(after)](Outbox& outbox, Timestamp now) mutable {
        const Result<Outbox::Step> done = stopping_ ? Result<Outbox::Step>(Stopping()) : step(outbox, now);
        if (!done) {
          work->promise.set_value(Failure(done.error()));
          return false;
        }
        work->changed += done->sequences.size();
        if (!done->sequences.empty()) after(*done);
        if (!done->more) work->promise.set_value(work->changed);
        return done->more;
      });
  work.reset();
  if (!posted) return Stopping();
  try {
    return result.get();
  } catch (const std::future_error&) {
    return Stopping();  // the clerk ended before the work did; each finished step holds
  }
}

Result<ChangeCount> Service::CountOnly(const DeadFilter& filter) {
  ASSIGN_OR_RETURN(OutboxReader reader, OutboxReader::Open(outbox_path_));
  ASSIGN_OR_RETURN(const std::uint64_t count, reader.CountDead(filter));
  return ChangeCount{count, 0};
}

Result<ChangeCount> Service::Redrive(const DeadFilter& filter, bool dry_run) {
  if (dry_run) return CountOnly(filter);
  const auto rewind = [this](const Outbox::Step& step) {
    dispatcher_->Post(
        [first = step.sequences.front()](Dispatcher& dispatcher, Timestamp) { dispatcher.Rewind(first); });
  };
  const Result<std::uint64_t> changed = RunOnClerk(
      [filter, walk = Outbox::Walk()](Outbox& outbox, Timestamp now) mutable {
        return outbox.Redrive(filter, walk, now, kRowsAStep);
      },
      rewind);
  if (!changed) return Failure(changed.error());
  Log(LogLevel::kInfo, "redrive", {{"jobs", std::to_string(*changed)}});
  return ChangeCount{*changed, *changed};
}

Result<ChangeCount> Service::Drop(const DeadFilter& filter, bool dry_run) {
  if (dry_run) return CountOnly(filter);
  const Result<std::uint64_t> changed =
      RunOnClerk([filter, walk = Outbox::Walk()](
                     Outbox& outbox, Timestamp) mutable { return outbox.Drop(filter, walk, kRowsAStep); },
                 [](const Outbox::Step&) {});
  if (!changed) return Failure(changed.error());
  Log(LogLevel::kInfo, "dead letters dropped", {{"jobs", std::to_string(*changed)}});
  return ChangeCount{*changed, *changed};
}

Result<void> Service::Cancel(Sequence sequence) {
  const auto cancel = [this, sequence](Outbox& outbox, Timestamp now) -> Result<Outbox::Step> {
    ASSIGN_OR_RETURN(const std::string connection, outbox.Cancel(sequence, now));
    metrics_.Of(connection).Dead(Death::kCancelled, 1);
    return Outbox::Step{{sequence}, false};
  };
  const Result<std::uint64_t> changed =
      RunOnClerk(cancel, [this](const Outbox::Step& step) { Remove(step); });
  if (!changed) return Failure(changed.error());
  return {};
}

void Service::Remove(const Outbox::Step& step) {
  dispatcher_->Post([gone = step.sequences](Dispatcher& dispatcher, Timestamp) { dispatcher.Remove(gone); });
}

Result<ForgetCount> Service::Forget(const std::string& customer,
                                    const std::optional<std::string>& connection) {
  auto counts = std::make_shared<Counts>();
  const Result<std::uint64_t> changed = RunOnClerk(
      [=, walk = Outbox::Walk()](Outbox& outbox, Timestamp) mutable {
        return outbox.Forget(customer, connection, walk, kRowsAStep, *counts);
      },
      [this](const Outbox::Step& step) { Remove(step); });
  if (!changed) return Failure(changed.error());
  return ForgetCount{counts->jobs, counts->dead, counts->attempts};
}

Result<std::uint64_t> Service::Backup(const std::filesystem::path& file) {
  if (!file.is_absolute()) return Fail(ErrorKind::kInvalid, "must be an absolute path", "path");
  ASSIGN_OR_RETURN(Database database, Database::Open(outbox_path_, OpenMode::kReadOnly));
  Result<std::uint64_t> bytes = database.BackupTo(file, [this] { return stopping_.load(); });
  return !bytes && stopping_ ? Stopping() : bytes;
}

Result<void> Service::Reload() {
  MutexLock lock(config_mutex_);
  ASSIGN_OR_RETURN(Config fresh, LoadConfig(config_.file));
  if (std::string fixed = NeedsRestart(config_, fresh); !fixed.empty()) {
    Log(LogLevel::kWarn, "takes effect at the next start only", {{"keys", fixed}});
  }
  ASSIGN_OR_RETURN(const Endpoints endpoints, MakeEndpoints(fresh));
  auto done = AskDispatcher<Result<void>>(
      [endpoints = endpoints, limits = fresh.limits](Dispatcher& dispatcher, Timestamp now) {
        return dispatcher.Configure(endpoints, limits, now);
      });
  if (!done) return Stopping();
  if (!*done) return *done;
  OutboxConfig outbox = fresh.outbox;
  outbox.path = outbox_path_;
  clerk_->Configure({outbox, fresh.history});
  if (producers_) producers_->Configure(fresh.limits, fresh.ConnectionNames());
  if (track_endpoint_) track_endpoint_->Configure(endpoints, fresh.limits.line_bytes);
  listeners_to_reload_ = true;
  SetLogLevel(fresh.log_level);
  config_ = std::move(fresh);
  Log(LogLevel::kInfo, "config reloaded", {{"file", config_.file.string()}});
  return {};
}

}  // namespace outboxd
