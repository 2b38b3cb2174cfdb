#include "daemon/assembly.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.h"
#include "config/log_level.h"
#include "config/outbox_disk.h"
#include "core/clock.h"
#include "core/result.h"
#include "core/time.h"
#include "core/user_shares.h"
#include "daemon/admin/admin_servers.h"
#include "daemon/base/crash_record.h"
#include "daemon/base/host_clock.h"
#include "daemon/base/log.h"
#include "daemon/base/metrics.h"
#include "daemon/base/outbox_place.h"
#include "daemon/base/status.h"
#include "daemon/base/wall_clock.h"
#include "daemon/clerk/clerk.h"
#include "daemon/clerk/disk_space.h"
#include "daemon/clerk/report.h"
#include "daemon/clerk/stored_jobs.h"
#include "daemon/clerk/submission.h"
#include "daemon/delivery/debug_output.h"
#include "daemon/delivery/delivery_hold.h"
#include "daemon/delivery/dispatcher.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/delivery/transfer.h"
#include "daemon/intake/inherited.h"
#include "daemon/intake/intake.h"
#include "daemon/reloader.h"
#include "daemon/upgrade_notice.h"
#include "storage/outbox.h"
#include "storage/outbox_reader.h"
#include "storage/upgrade.h"

namespace outboxd {
namespace {

constexpr std::size_t kSubmissionsWaiting =
    65'536;  // in front of the clerk; their bytes are bounded by limits.intake_bytes

constexpr Milliseconds kIntakePatience{5000};  // how long a stop waits for producers to take their replies

std::uint64_t RandomSeed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

void WarnOfForgottenConnections(const Outbox& outbox, const Config& config) {
  for (const auto& [name, counts] : outbox.CountsByConnection()) {
    if (counts.jobs == 0 || config.connections.contains(name)) continue;
    Log(LogLevel::kWarn, "jobs wait for a connection that is not in the config",
        {{"connection", name}, {"jobs", std::to_string(counts.jobs)}});
  }
}

Result<Outbox> OpenOutbox(const std::filesystem::path& file) {
  UpgradeNotice notice;
  ASSIGN_OR_RETURN(Outbox outbox,
                   Outbox::Open(file, RandomSeed(), [&](const Upgrade& upgrade) { notice.Before(upgrade); }));
  notice.After();
  return outbox;
}

Clerk MakeClerk(Outbox outbox, const Config& config) {
  return {std::move(outbox),
          {config.outbox, config.history, config.limits.per_uid},
          [path = config.outbox.path] { return FreeDiskBytes(path); }};
}

// nullopt: crashes of this run will not be known to the next start.
std::optional<CrashRecord> OpenCrashRecord(std::filesystem::path outbox) {
  Result<CrashRecord> record = CrashRecord::Open(outbox += ".crashes");
  if (record) return *std::move(record);
  Log(LogLevel::kWarn, "crashes are not recorded", {{"reason", record.error().message}});
  return std::nullopt;
}

DeliveryHold MakeHold(const std::optional<CrashRecord>& record, const Config& config) {
  const Timestamp now = WallClockNow();
  const auto until = record ? HoldUntil(record->crashes(), now) : std::nullopt;
  return until ? DeliveryHold(config.ConnectionNames(), now, *until) : DeliveryHold();
}

Dispatcher Obeying(Dispatcher dispatcher, const DeliveryHold& hold) {
  dispatcher.Obey(hold);
  return dispatcher;
}

OutboxPlace PlaceOf(const OutboxConfig& config) {
  return {config, FileSystemOf(config.path)};
}

void LogRawDebug(std::string_view line) {
  Log(LogLevel::kInfo, "raw debug", {{"text", line}});
}

void LogRawDebugLeftOut(User user, const DebugOutput::LeftOut& left_out) {
  Log(LogLevel::kWarn, "raw debug left out",
      {{"user", user ? "uid " + std::to_string(*user) : "tcp"},
       {"lines", left_out.lines},
       {"bytes", left_out.bytes}});
}

}  // namespace

// What can fail, before anything runs.
struct Assembly::Loaded {
  std::optional<CrashRecord> crashes;
  Endpoints endpoints;
  std::unique_ptr<Metrics> metrics;
  Outbox outbox;
  Dispatcher dispatcher;
};

Result<Assembly::Loaded> Assembly::Load(const Config& config) {
  ASSIGN_OR_RETURN(Endpoints endpoints, MakeEndpoints(config));
  RETURN_IF_ERROR(PlaceOf(config.outbox).Check());
  ASSIGN_OR_RETURN(Outbox outbox, OpenOutbox(config.outbox.path));
  if (const std::optional<Error>& why = outbox.PagesKept())
    Log(LogLevel::kWarn, "the outbox keeps its large pages, which write more to the disk",
        {{"reason", why->message}});
  std::optional<CrashRecord> crashes = OpenCrashRecord(config.outbox.path);  // the outbox is ours now
  if (crashes) crashes->Watch();
  const ClockReading clock = ReadHostClock();
  // What cannot be written now is news to the clerk again.
  if (const auto moved = outbox.SeeClock(clock); moved && *moved) LogClockStep(**moved);
  ASSIGN_OR_RETURN(OutboxReader reader, OutboxReader::Open(config.outbox.path));
  auto metrics = std::make_unique<Metrics>();
  Dispatcher dispatcher(std::move(reader), *metrics, RandomSeed());
  dispatcher.SeeClock(clock);
  RETURN_IF_ERROR(dispatcher.Start(endpoints, config.limits, outbox.AtStart(), clock.wall));
  WarnOfForgottenConnections(outbox, config);
  LogRenamedKeys(config);
  return Loaded{std::move(crashes), std::move(endpoints), std::move(metrics), std::move(outbox),
                std::move(dispatcher)};
}

Assembly::Assembly(Config with, Loaded loaded)
    : config(std::move(with)),
      metrics(std::move(loaded.metrics)),
      hold(MakeHold(loaded.crashes, *config.Get())),
      place(PlaceOf(config.Get()->outbox)),
      crashes(std::move(loaded.crashes)),
      debug_output({LogRawDebug, LogRawDebugLeftOut}),
      clerk(MakeClerk(std::move(loaded.outbox), *config.Get()), kSubmissionsWaiting, PortsOfClerk()),
      workers(
          config.Get()->workers,
          [this](std::vector<Finished> finished) { dispatcher.OnFinished(std::move(finished)); },
          [this](User user, std::string line) {
            debug_output.Write(user, std::move(line), std::chrono::steady_clock::now());
          }),
      dispatcher(Obeying(std::move(loaded.dispatcher), hold), PortsOfDispatcher()),
      reloader({config, clerk, dispatcher, intake, awaited}),
      operations({WallClockNow(), config, *metrics, clerk, dispatcher, probe_waiters, hold, awaited,
                  listeners, [this] { return reloader.Reload(); }}),
      admin_api(config.Get()->outbox.path, operations, *metrics, WallClockNow) {}

ClerkThread::Ports Assembly::PortsOfClerk() {
  return {.committed = [this](Committed committed) { dispatcher.OnCommitted(std::move(committed)); },
          .dispatcher_is_behind = [this] { return dispatcher.IsBehind(); },
          .stored = [this](double seconds, const auto& jobs) { CountStored(*metrics, seconds, jobs); },
          .fatal = [this](const Error& error) { fatal.Raise(error); }};
}

DispatcherThread::Ports Assembly::PortsOfDispatcher() {
  return {.send = [this](std::vector<Transfer> transfers) { workers.Send(std::move(transfers)); },
          .report = [this](Report report) { clerk.OnReport(std::move(report)); },
          .probed =
              [this](const std::string& connection, const ProbeReport& report) {
                if (report.ok && report.environment_id != 0)
                  environments.Saw(connection, report.environment_id);
                probe_waiters.Answer(connection, report);
              },
          .failed =
              [this](const Error& error) {
                Log(LogLevel::kError, "outbox cannot be read", {{"reason", error.message}});
                if (error.kind == ErrorKind::kCorrupt) fatal.Raise(error);
              }};
}

Result<std::unique_ptr<Assembly>> Assembly::Build(Config config, Inherited inherited) {
  const Config wanted = config;
  ASSIGN_OR_RETURN(Loaded loaded, Load(wanted));
  const Endpoints endpoints = loaded.endpoints;
  std::unique_ptr<Assembly> all(new Assembly(std::move(config), std::move(loaded)));
  ClerkThread& clerk = all->clerk;
  const auto submit = [&clerk](std::unique_ptr<Submission> submission) {
    clerk.Submit(std::move(submission));
  };
  if (const std::optional<std::string> held = all->hold.Reason())
    Log(LogLevel::kError, "accepting without delivering", {{"reason", *held}});
  all->awaited.See(endpoints, wanted.file, WallClockNow());
  ASSIGN_OR_RETURN(all->intake,
                   Intake::Open(wanted, inherited, endpoints, all->environments, *all->metrics, submit));
  RETURN_IF_ERROR(all->intake->ServeTrack(wanted, inherited.sockets, all->listeners, WallClockNow()));
  ASSIGN_OR_RETURN(all->admin, AdminServers::Open(wanted, inherited.sockets, all->admin_api, all->listeners));
  return all;
}

void Assembly::StopIntake() {
  if (intake) intake->Stop(kIntakePatience);
}

Assembly::~Assembly() {
  StopIntake();
  admin.reset();
  workers.Stop();
  dispatcher.Stop();
  clerk.Stop();
}

}  // namespace outboxd
