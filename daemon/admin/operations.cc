#include "daemon/admin/operations.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "config/folder.h"
#include "config/log_level.h"
#include "config/warnings.h"
#include "core/gate.h"
#include "core/limits.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/base/crash_record.h"
#include "daemon/base/log.h"
#include "daemon/base/status.h"
#include "daemon/base/stopping.h"
#include "daemon/base/wall_clock.h"
#include "daemon/clerk/clerk.h"
#include "daemon/delivery/ask_dispatcher.h"
#include "daemon/delivery/awaited_credentials.h"
#include "daemon/delivery/connection_queue.h"
#include "daemon/delivery/dispatcher.h"
#include "storage/counters.h"
#include "storage/database.h"
#include "storage/filter.h"
#include "storage/operator_work.h"
#include "storage/outbox_reader.h"
#include "storage/outcome.h"

namespace outboxd {
namespace {

constexpr std::size_t kRowsAStep = 500;

Failure Stopping() {
  return Failure(StoppingError());
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

// One that has jobs or dead letters, and that the dispatcher does not know.
ConnectionStatus NotInConfig(const std::string& name) {
  ConnectionStatus gone;
  gone.name = name;
  gone.gate.state = GateState::kPaused;
  gone.gate.pause = PauseReason::kUnconfigured;
  gone.gate.detail = "not in the config";
  return gone;
}

// What the clerk knows, and the age of each connection's oldest job as the disk has it.
void FillCounts(DaemonStatus& status, const OutboxState& outbox) {
  status.bytes = outbox.used_bytes;
  status.disk_free_bytes = outbox.disk_free_bytes;
  status.wal_held_bytes = outbox.wal_held_bytes;
  status.wal_held_since = outbox.wal_held_since;
  Result<OutboxReader> reader = OutboxReader::Open(status.outbox_path);
  for (const auto& [name, counts] : outbox.counts) {
    status.attempts_rows += counts.attempts;
    const auto named = [&](const ConnectionStatus& connection) { return connection.name == name; };
    auto found = std::find_if(status.connections.begin(), status.connections.end(), named);
    if (found == status.connections.end()) {
      if (counts.jobs == 0 && counts.dead == 0) continue;
      found = status.connections.insert(status.connections.end(), NotInConfig(name));
    }
    found->jobs = counts.jobs;
    found->dead = counts.dead;
    if (counts.jobs > 0 && reader) found->oldest = Oldest(*reader, *found);
  }
}

}  // namespace

Operations::Operations(Parts parts) : parts_(std::move(parts)) {}

void Operations::StopWork() {
  stopping_ = true;
  parts_.probe_waiters.Close(StoppingError());
}

Health Operations::CheckHealth() {
  const OutboxState outbox = parts_.clerk.State();
  Health health;
  if (!outbox.not_accepting.empty()) health.not_accepting = outbox.not_accepting;
  if (!outbox.not_healthy.empty()) health.not_healthy = outbox.not_healthy;
  if (stopping_) health.not_accepting = StoppingError().message;
  health.not_delivering = parts_.hold.Reason();
  if (!health.not_delivering) health.not_delivering = parts_.awaited.Reason();
  return health;
}

// What keeps a connection from sending beside its gate is shown as a pause, unless one of the gate's own says
// more.
void Operations::ShowWhatHolds(ConnectionStatus& connection) const {
  if (parts_.hold.IsHeld(connection.name)) {
    connection.gate = GateSnapshot();
    connection.gate.state = GateState::kPaused;
    connection.gate.pause = PauseReason::kCrashes;
    connection.gate.detail = "outboxd crashed " + std::to_string(kCrashesMax) + " times within 10 minutes";
    connection.gate.since = parts_.hold.since();
    return;
  }
  const std::optional<AwaitedCredentials::Wait> wait = parts_.awaited.Of(connection.name);
  const bool is_paused_anyway =
      connection.gate.state == GateState::kPaused && !EndsByProbe(connection.gate.pause);
  if (!wait || is_paused_anyway) return;
  connection.awaits_credentials = true;
  connection.gate = GateSnapshot();
  connection.gate.state = GateState::kPaused;
  connection.gate.pause = PauseReason::kAuth;
  connection.gate.detail = wait->detail;
  connection.gate.since = wait->since;
}

Result<std::vector<ConnectionStatus>> Operations::AskConnections() {
  using Statuses = std::vector<ConnectionStatus>;
  ASSIGN_OR_RETURN(Statuses connections,
                   AskDispatcher<Statuses>(parts_.dispatcher, [](Dispatcher& dispatcher, Timestamp) {
                     return dispatcher.Status();
                   }));
  for (ConnectionStatus& connection : connections) ShowWhatHolds(connection);
  return connections;
}

Result<DaemonStatus> Operations::Status() {
  DaemonStatus status;
  status.started = parts_.started;
  status.now = WallClockNow();
  const std::shared_ptr<const Config> config = parts_.config.Get();
  status.outbox_path = config->outbox.path;
  status.max_jobs = config->outbox.max_jobs;
  status.max_bytes = config->outbox.max_bytes;
  status.totals = parts_.metrics.ReadTotals();
  status.rates = parts_.metrics.ReadRates();
  status.log_lines_dropped = LogLinesDropped();
  ASSIGN_OR_RETURN(status.connections, AskConnections());
  FillCounts(status, parts_.clerk.State());
  status.listeners = parts_.listeners.All();
  status.health = CheckHealth();
  return status;
}

Result<std::vector<std::optional<JobPlace>>> Operations::Places(std::span<const Sequence> sequences) {
  return AskDispatcher<std::vector<std::optional<JobPlace>>>(
      parts_.dispatcher,
      [sequences](Dispatcher& dispatcher, Timestamp) { return dispatcher.Places(sequences); });
}

Result<std::vector<Sequence>> Operations::InFlight() {
  return AskDispatcher<std::vector<Sequence>>(
      parts_.dispatcher, [](Dispatcher& dispatcher, Timestamp) { return dispatcher.InFlightJobs(); });
}

Result<ConnectionStatus> Operations::ChangeGate(const std::string& connection, const GateChange& change) {
  using Changed = Result<ConnectionStatus>;
  ASSIGN_OR_RETURN(
      Changed changed,
      AskDispatcher<Changed>(parts_.dispatcher, [&](Dispatcher& dispatcher, Timestamp now) -> Changed {
        ConnectionQueue* queue = dispatcher.Find(connection);
        if (queue == nullptr) return UnknownConnection(connection);
        RETURN_IF_ERROR(change(*queue, now));
        return queue->Status();
      }));
  if (changed) ShowWhatHolds(*changed);
  return changed;
}

// A queue outlives its connection's place in the config, with the credentials that were removed. An
// operator's pause hides the gate's own.
Result<void> Operations::DemandMaySend(const std::string& name, const ConnectionQueue& queue) const {
  if (queue.gate().pause == PauseReason::kClock)
    return Fail(ErrorKind::kConflict, queue.gate().detail + ", nothing is sent before", "connection");
  const bool is_gone = queue.gate().pause == PauseReason::kUnconfigured;
  if (!is_gone && parts_.config.Get()->connections.contains(name)) return {};
  return Fail(ErrorKind::kConflict,
              "\"" + name + "\" is not in the config: put it back and reload, nothing is sent before",
              "connection");
}

Result<ConnectionStatus> Operations::Pause(const std::string& connection) {
  return ChangeGate(connection, [](ConnectionQueue& queue, Timestamp now) -> Result<void> {
    queue.Pause(PauseReason::kOperator, "paused by an operator", now);
    return {};
  });
}

// On the dispatcher's thread as well, so that the round that follows sends.
Result<ConnectionStatus> Operations::Resume(const std::string& connection) {
  return ChangeGate(connection, [&](ConnectionQueue& queue, Timestamp now) -> Result<void> {
    RETURN_IF_ERROR(DemandMaySend(connection, queue));
    const bool was_held = parts_.hold.Lift(connection);
    if (was_held) Log(LogLevel::kInfo, "sending again after crashes", {{"connection", connection}});
    const bool lifts = was_held || queue.gate().pause == PauseReason::kOperator;
    if (!lifts) RETURN_IF_ERROR(parts_.awaited.DemandThere(connection));
    queue.Resume(now);
    return {};
  });
}

Result<ProbeReport> Operations::Probe(const std::string& connection) {
  // Taken once: an operator may lift the hold at any moment.
  const std::optional<std::string> reason = parts_.hold.Reason();
  if (reason && parts_.hold.IsHeld(connection)) return Fail(ErrorKind::kConflict, *reason, "connection");
  Milliseconds patience = kDispatcherPatience;
  const std::shared_ptr<const Config> config = parts_.config.Get();
  if (const auto found = config->connections.find(connection); found != config->connections.end())
    patience += found->second.timeout;
  return parts_.probe_waiters.Await(connection, patience, [&]() -> Result<void> {
    RETURN_IF_ERROR(ChangeGate(connection, [&](ConnectionQueue& queue, Timestamp) -> Result<void> {
      RETURN_IF_ERROR(DemandMaySend(connection, queue));
      RETURN_IF_ERROR(parts_.awaited.DemandThere(connection));
      queue.ProbeNow();
      return {};
    }));
    return {};
  });
}

std::vector<std::string> Operations::WarningsOf(const std::string& connection) {
  const std::shared_ptr<const Config> config = parts_.config.Get();
  const auto found = config->connections.find(connection);
  return found == config->connections.end() ? std::vector<std::string>() : CredentialWarnings(found->second);
}

// A ClerkTask must be copyable and outlive the caller's patience: what it needs lives in shared state.
Result<std::uint64_t> Operations::RunOnClerk(Step step, AfterStep after) {
  struct Work {
    std::promise<Result<std::uint64_t>> promise;
    std::uint64_t changed = 0;
  };
  auto work = std::make_shared<Work>();
  std::future<Result<std::uint64_t>> result = work->promise.get_future();
  const bool posted = parts_.clerk.Post([this, work, step = std::move(step), after = std::move(after)](
                                            OperatorWork& rows, Timestamp now) mutable {
    const Result<OperatorWork::Step> done =
        stopping_ ? Result<OperatorWork::Step>(Stopping()) : step(rows, now);
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

Result<std::uint64_t> Operations::CountDead(const DeadFilter& filter) {
  ASSIGN_OR_RETURN(OutboxReader reader, OutboxReader::Open(parts_.config.Get()->outbox.path));
  return reader.CountDead(filter);
}

void Operations::Rewind(const OperatorWork::Step& step) {
  parts_.dispatcher.Post(
      [first = step.sequences.front()](Dispatcher& dispatcher, Timestamp) { dispatcher.Rewind(first); });
}

Result<std::uint64_t> Operations::Redrive(const DeadFilter& filter) {
  const Result<std::uint64_t> changed = RunOnClerk(
      [filter, walk = OperatorWork::Walk()](OperatorWork& work, Timestamp now) mutable {
        return work.Redrive(filter, walk, now, kRowsAStep);
      },
      [this](const OperatorWork::Step& step) { Rewind(step); });
  if (changed) Log(LogLevel::kInfo, "redrive", {{"jobs", std::to_string(*changed)}});
  return changed;
}

// A connection that is gone from the config has no age of its own to keep.
Result<void> Operations::Amend(const OperatorWork::Amendment& amendment, std::chrono::seconds max_age) {
  const std::shared_ptr<const Config> config = parts_.config.Get();
  if (amendment.line.size() > config->limits.line_bytes)
    return Fail(ErrorKind::kInvalid, "is longer than limits.line_bytes", "line");
  for (const auto& [name, connection] : config->connections) {
    const auto longest =
        std::chrono::floor<std::chrono::seconds>(connection.retry.max_age) * limits::kMaxAgeFactor;
    if (name == amendment.connection && max_age > longest) {
      return Fail(ErrorKind::kInvalid,
                  "must be at most " + std::to_string(longest.count()) + ", ten times retry.max_age",
                  "line.max_age");
    }
  }
  RETURN_IF_ERROR(
      RunOnClerk([amendment](OperatorWork& work, Timestamp now) { return work.Amend(amendment, now); },
                 [this](const OperatorWork::Step& step) { Rewind(step); }));
  Log(LogLevel::kInfo, "amended", {{"job", amendment.job}});
  return {};
}

Result<std::uint64_t> Operations::Drop(const DeadFilter& filter) {
  const Result<std::uint64_t> changed =
      RunOnClerk([filter, walk = OperatorWork::Walk()](
                     OperatorWork& work, Timestamp) mutable { return work.Drop(filter, walk, kRowsAStep); },
                 [](const OperatorWork::Step&) {});
  if (changed) Log(LogLevel::kInfo, "dead letters dropped", {{"jobs", std::to_string(*changed)}});
  return changed;
}

Result<void> Operations::Cancel(Sequence sequence) {
  const auto cancel = [this, sequence](OperatorWork& work, Timestamp now) -> Result<OperatorWork::Step> {
    ASSIGN_OR_RETURN(const std::string connection, work.Cancel(sequence, now));
    parts_.metrics.Of(connection).Dead(Death::kCancelled, 1);
    return OperatorWork::Step{{sequence}, false};
  };
  RETURN_IF_ERROR(RunOnClerk(cancel, [this](const OperatorWork::Step& step) { Remove(step); }));
  return {};
}

void Operations::Remove(const OperatorWork::Step& step) {
  parts_.dispatcher.Post(
      [gone = step.sequences](Dispatcher& dispatcher, Timestamp) { dispatcher.Remove(gone); });
}

Result<ForgetCount> Operations::Forget(const std::string& customer,
                                       const std::optional<std::string>& connection) {
  auto counts = std::make_shared<Counts>();
  const Result<std::uint64_t> changed = RunOnClerk(
      [=, walk = OperatorWork::Walk()](OperatorWork& work, Timestamp) mutable {
        return work.Forget(customer, connection, walk, kRowsAStep, *counts);
      },
      [this](const OperatorWork::Step& step) { Remove(step); });
  if (!changed) return Failure(changed.error());
  return ForgetCount{counts->jobs, counts->dead, counts->attempts};
}

Result<std::uint64_t> Operations::Backup(const std::filesystem::path& file) {
  if (!file.is_absolute()) return Fail(ErrorKind::kInvalid, "must be an absolute path", "path");
  if (stopping_) return Stopping();
  const Result<Folder> folder = Folder::Of(file);
  if (!folder) return Fail(folder.error().kind, folder.error().message, "path");
  ASSIGN_OR_RETURN(Database database, Database::Open(parts_.config.Get()->outbox.path, OpenMode::kReadOnly));
  Result<std::uint64_t> bytes =
      database.BackupTo(folder->Held() / file.filename(), file, [this] { return stopping_.load(); });
  return !bytes && stopping_ ? Stopping() : bytes;
}

}  // namespace outboxd
