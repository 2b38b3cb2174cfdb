#include "daemon/service.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <thread>

#include "config/loopback_certificate.h"
#include "daemon/admin/render.h"
#include "daemon/base/log.h"
#include "daemon/base/tcp_socket.h"
#include "daemon/base/wall_clock.h"
#include "daemon/clerk/disk_space.h"
#include "daemon/delivery/ask_dispatcher.h"
#include "daemon/delivery/endpoint.h"
#include "storage/outbox_reader.h"

namespace outboxd {
namespace {

constexpr std::size_t kSubmissionsWaiting =
    65'536;  // in front of the clerk; their bytes are bounded by limits.intake_bytes
constexpr std::chrono::hours kCertificateInterval{1};
constexpr Milliseconds kIntakePatience{5000};  // how long a stop waits for producers to take their replies

std::uint64_t RandomSeed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

}  // namespace

Service::Service(Config config)
    : config_(std::move(config)), outbox_path_(config_.Get()->outbox.path), started_(WallClockNow()) {
  metrics_.Tick(started_);
}

Service::~Service() {
  Stop();
}

Result<std::unique_ptr<Service>> Service::Start(Config config) {
  std::unique_ptr<Service> service(new Service(std::move(config)));
  RETURN_IF_ERROR(service->OpenOutbox());
  RETURN_IF_ERROR(service->OpenListeners());
  return service;
}

Result<void> Service::OpenOutbox() {
  const std::shared_ptr<const Config> config = config_.Get();
  ASSIGN_OR_RETURN(const Endpoints endpoints, MakeEndpoints(*config));
  ASSIGN_OR_RETURN(Outbox outbox, Outbox::Open(outbox_path_, RandomSeed()));
  ASSIGN_OR_RETURN(OutboxReader reader, OutboxReader::Open(outbox_path_));
  Dispatcher dispatcher(std::move(reader), metrics_, RandomSeed());
  if (Result<void> started =
          dispatcher.Start(endpoints, config->limits, outbox.LastSequence(), WallClockNow());
      !started)
    return started;
  for (const auto& [name, counts] : outbox.CountsByConnection()) {
    if (counts.jobs == 0 || config->connections.contains(name)) continue;
    Log(LogLevel::kWarn, "jobs wait for a connection that is not in the config",
        {{"connection", name}, {"jobs", std::to_string(counts.jobs)}});
  }
  if (!config->track.empty()) {
    track_endpoint_ = std::make_unique<TrackEndpoint>(
        endpoints, config->limits.line_bytes, metrics_,
        [this](std::unique_ptr<Submission> submission) { clerk_->Submit(std::move(submission)); });
  }
  workers_.emplace(
      config->workers,
      [this](std::vector<Finished> finished) { dispatcher_->OnFinished(std::move(finished)); },
      [](const std::string& line) { Log(LogLevel::kInfo, "raw debug", {{"text", line}}); });
  Clerk clerk(std::move(outbox), {config->outbox, config->history},
              [path = outbox_path_] { return FreeDiskBytes(path); });
  ClerkThread::Ports ports;
  ports.committed = [this](Committed committed) { dispatcher_->OnCommitted(std::move(committed)); };
  ports.dispatcher_is_behind = [this] { return dispatcher_->IsBehind(); };
  ports.stored = [this](double seconds, const auto& jobs) { OnStored(seconds, jobs); };
  ports.fatal = [this](const Error& error) { OnFatal(error); };
  clerk_ = std::make_unique<ClerkThread>(std::move(clerk), kSubmissionsWaiting, std::move(ports));

  DispatcherThread::Ports outward;
  outward.send = [this](std::vector<Transfer> transfers) { workers_->Send(std::move(transfers)); };
  outward.report = [this](Report report) { clerk_->OnReport(std::move(report)); };
  outward.probed = [this](const std::string& connection, const ProbeReport& report) {
    probe_waiters_.Answer(connection, report);
  };
  outward.failed = [this](const Error& error) {
    Log(LogLevel::kError, "outbox cannot be read", {{"reason", error.message}});
    if (error.kind == ErrorKind::kCorrupt) OnFatal(error);
  };
  dispatcher_ = std::make_unique<DispatcherThread>(std::move(dispatcher), std::move(outward));
  dispatcher_->Start();
  operations_.emplace(Operations::Parts{outbox_path_, started_, config_, metrics_, *clerk_, *dispatcher_,
                                        probe_waiters_, [this] { return Reload(); }});
  return {};
}

Result<void> Service::OpenListeners() {
  MutexLock lock(reload_mutex_);  // the first of them may bring a reload
  const std::shared_ptr<const Config> config = config_.Get();
  admin_api_ = std::make_unique<AdminApi>(outbox_path_, *operations_, metrics_, WallClockNow);
  ASSIGN_OR_RETURN(UnixListener admin, UnixListener::Open(config->admin));
  admin_socket_ = std::move(admin);
  HttpServerOptions options;
  options.thread_name = "outboxd-admin";
  options.users = admin_socket_->users();
  if (!options.users.empty())
    options.users.push_back(geteuid());  // systemd runs outboxctl reload as the daemon's own user
  options.forbidden = ForbiddenAnswer();
  auto server =
      HttpServer::Start(dup(admin_socket_->descriptor()), options,
                        [this](const HttpRequestView& request) { return admin_api_->Handle(request); });
  if (!server) return Failure(server.error());
  admin_server_ = std::move(*server);
  if (!config->metrics.tcp.empty()) {
    ASSIGN_OR_RETURN(const int listening, ListenOnLoopback(config->metrics.tcp));
    options.thread_name = "outboxd-metrics";
    options.users.clear();  // TCP has none
    auto metrics = HttpServer::Start(listening, options, [this](const HttpRequestView& request) {
      return admin_api_->HandleMetrics(request);
    });
    if (!metrics) return Failure(metrics.error());
    metrics_server_ = std::move(*metrics);
  }
  ASSIGN_OR_RETURN(UnixListener producer, UnixListener::Open(config->producer));
  producers_ = std::make_unique<ProducerListener>(
      std::move(producer), config->limits, config->ConnectionNames(), metrics_,
      [this](std::unique_ptr<Submission> submission) { clerk_->Submit(std::move(submission)); });
  return OpenTrackListeners();
}

Result<void> Service::OpenTrackListeners() {
  const std::shared_ptr<const Config> config = config_.Get();
  if (config->track.empty()) return {};
  ASSIGN_OR_RETURN(auto listeners,
                   TrackListeners::Open(config->track, config->limits, LoopbackDirectory(outbox_path_),
                                        *track_endpoint_, WallClockNow()));
  track_listeners_.emplace(std::move(listeners));
  return {};
}

void Service::OnStored(double seconds, const std::vector<std::unique_ptr<QueuedJob>>& jobs) {
  metrics_.ObserveCommit(seconds);
  std::map<std::string_view, std::array<std::uint64_t, kJobTypeCount>> counts;
  for (const auto& job : jobs) ++counts[job->job.connection][static_cast<std::size_t>(job->job.type)];
  for (const auto& [connection, by_type] : counts) {
    ConnectionMetrics& metrics = metrics_.Of(connection);
    for (std::size_t type = 0; type < by_type.size(); ++type) {
      if (by_type[type] > 0) metrics.Accepted(static_cast<JobType>(type), by_type[type]);
    }
  }
  if (!LogEnabled(LogLevel::kDebug)) return;
  for (const auto& job : jobs) {
    Log(LogLevel::kDebug, "accepted",
        {{"job", job->stamp.id.ToText()},
         {"connection", job->job.connection},
         {"type", JobTypeName(job->job.type)}});
  }
}

void Service::OnFatal(const Error& error) {
  {
    MutexLock lock(fatal_mutex_);
    if (!fatal_.empty()) return;
    fatal_ = error.message;
  }
  kill(getpid(), SIGTERM);  // wakes the main thread
}

std::string Service::FatalReason() const {
  MutexLock lock(fatal_mutex_);
  return fatal_;
}

std::string Service::Summary() const {
  const OutboxState state = clerk_->State();
  std::uint64_t jobs = 0;
  std::uint64_t dead = 0;
  for (const auto& [connection, counts] : state.counts) {
    jobs += counts.jobs;
    dead += counts.dead;
  }
  return (state.not_accepting.empty() ? "accepting jobs" : "refusing jobs, " + state.not_accepting) + "; " +
         std::to_string(jobs) + " wait, " + std::to_string(dead) + " dead letters";
}

void Service::Tick(Timestamp now) {
  metrics_.Tick(now);
  if (track_listeners_) RefreshListeners(now);
}

void Service::RefreshListeners(Timestamp now) {
  const bool is_reloaded = listeners_to_reload_.exchange(false);
  if (!is_reloaded && now >= certificates_checked_ && now < certificates_checked_ + kCertificateInterval)
    return;
  certificates_checked_ = now;
  Result<void> refreshed;
  if (is_reloaded) {
    refreshed = track_listeners_->Reload(config_.Get()->limits, now);
  } else {
    refreshed = track_listeners_->Refresh(now);
  }
  if (!refreshed)
    Log(LogLevel::kWarn, "listen.track stays as it was", {{"reason", refreshed.error().message}});
}

void Service::Stop() {
  if (std::exchange(stopped_, true)) return;
  if (operations_) operations_->StopWork();
  if (track_endpoint_) track_endpoint_->StopAccepting();
  track_listeners_.reset();
  if (producers_) producers_->Stop(kIntakePatience);
  if (dispatcher_) AwaitInFlight(config_.Get()->drain_timeout);
  admin_server_.reset();
  admin_socket_.reset();
  metrics_server_.reset();
  if (workers_) workers_->Stop();
  if (dispatcher_) dispatcher_->Stop();
  if (clerk_) clerk_->Stop();
  producers_.reset();
  track_endpoint_.reset();
}

void Service::AwaitInFlight(Milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  dispatcher_->Post([](Dispatcher& dispatcher, Timestamp) { dispatcher.StopSending(); });
  for (;;) {
    const auto left = AskDispatcher<std::size_t>(
        *dispatcher_, [](Dispatcher& dispatcher, Timestamp) { return dispatcher.InFlight(); });
    if (!left || *left == 0) return;
    if (std::chrono::steady_clock::now() >= deadline) {
      Log(LogLevel::kWarn, "stopping with requests in flight; they will be sent again",
          {{"requests", std::to_string(*left)}});
      return;
    }
    std::this_thread::sleep_for(Milliseconds(10));
  }
}

Result<void> Service::Reload() {
  MutexLock lock(reload_mutex_);
  const std::shared_ptr<const Config> before = config_.Get();
  ASSIGN_OR_RETURN(Config fresh, LoadConfig(before->file));
  if (std::string fixed = NeedsRestart(*before, fresh); !fixed.empty()) {
    Log(LogLevel::kWarn, "takes effect at the next start only", {{"keys", fixed}});
  }
  ASSIGN_OR_RETURN(const Endpoints endpoints, MakeEndpoints(fresh));
  auto done = AskDispatcher<Result<void>>(
      *dispatcher_, [endpoints = endpoints, limits = fresh.limits](Dispatcher& dispatcher, Timestamp now) {
        return dispatcher.Configure(endpoints, limits, now);
      });
  if (!done) return Failure(done.error());
  if (!*done) return *done;
  OutboxConfig outbox = fresh.outbox;
  outbox.path = outbox_path_;
  clerk_->Configure({outbox, fresh.history});
  if (producers_) producers_->Configure(fresh.limits, fresh.ConnectionNames());
  if (track_endpoint_) track_endpoint_->Configure(endpoints, fresh.limits.line_bytes);
  SetLogLevel(fresh.log_level);
  Log(LogLevel::kInfo, "config reloaded", {{"file", fresh.file.string()}});
  config_.Replace(std::move(fresh));
  listeners_to_reload_ = true;
  return {};
}

}  // namespace outboxd
