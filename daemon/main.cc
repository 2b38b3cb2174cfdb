// outboxd: reads the command line and the config, runs the Service until a signal ends it.
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <ctime>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "config/daemon_options.h"
#include "config/log_level.h"
#include "config/named_files.h"
#include "config/warnings.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/base/descriptor_store.h"
#include "daemon/base/log.h"
#include "daemon/base/passed_sockets.h"
#include "daemon/base/service_manager.h"
#include "daemon/base/wall_clock.h"
#include "daemon/intake/kept_connections.h"
#include "daemon/service.h"

namespace outboxd {
namespace {

constexpr int kExitUsage = 2;
constexpr int kExitConfig = 78;  // EX_CONFIG of sysexits(3): restarting will not help

sigset_t OwnSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, number);
  return signals;
}

// Memory holds credentials and customers' data: no core dumps, no debugger of another process. With
// SSLKEYLOGFILE libcurl and GnuTLS would write the keys of every TLS connection into a file.
void KeepMemoryPrivate() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
  unsetenv("SSLKEYLOGFILE");
}

int Complain(const Error& error, int exit_code = 1) {
  WriteToLog("outboxd: " + error.message + '\n');
  return exit_code;
}

void Reload(Service& service) {
  NotifyReloading();
  service.Reload();
  NotifyReady(service.Summary());
}

// Until SIGTERM or SIGINT.
void Serve(Service& service, const sigset_t& signals) {
  std::string told;
  for (;;) {
    const timespec second{1, 0};
    const int number = sigtimedwait(&signals, nullptr, &second);
    if (number == SIGTERM || number == SIGINT) return;
    if (number == SIGHUP) Reload(service);
    service.Tick(WallClockNow());
    NotifyWatchdog();
    if (std::string summary = service.Summary(); summary != told) NotifyStatus(told = std::move(summary));
  }
}

// Of what the daemon says before it ends, to whoever still reads it.
constexpr Milliseconds kLogPatience{1000};

// What the whole life of a daemon relies on, before anything else.
void PrepareProcess() {
  KeepMemoryPrivate();
  const sigset_t signals = OwnSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  StartLogThread();
}

// Only a service manager that passes sockets keeps connections.
std::unique_ptr<KeptConnections> KeptFrom(std::vector<PassedDescriptor>& given) {
  if (given.empty()) return nullptr;
  std::unique_ptr<DescriptorStore> store = StoreOfServiceManager();
  return store ? std::make_unique<KeptConnections>(std::move(store), given) : nullptr;
}

int Run(Config config, std::vector<PassedDescriptor> given) {
  SetLogLevel(config.log_level);
  const std::unique_ptr<KeptConnections> kept = KeptFrom(given);
  Result<PassedSockets> sockets = PassedSockets::Match(std::move(given), config);
  if (!sockets) return Complain(sockets.error(), kExitConfig);
  Result<Service> service = Service::Start(std::move(config), {*std::move(sockets), kept.get()});
  if (!service) return Complain(service.error());
  Log(LogLevel::kInfo, "started", {{"version", OUTBOXD_VERSION}});
  NotifyReady(service->Summary());
  Serve(*service, OwnSignals());
  NotifyStopping("finishing what is in flight");
  const std::optional<std::string> fatal = service->FatalReason();
  Log(LogLevel::kInfo, "stopping", {});
  service->Stop();
  if (fatal) return Complain({ErrorKind::kCorrupt, *fatal, {}});
  Log(LogLevel::kInfo, "stopped", {});
  return 0;
}

// As the daemon and --check read it.
Result<Config> Load(const std::string& path) {
  ASSIGN_OR_RETURN(Config config, LoadConfig(path));
  if (auto problems = CheckFiles(config); !problems.empty())
    return Failure(std::move(problems.front().error));
  return config;
}

int LoadAndRun(const std::string& path, std::vector<PassedDescriptor> given) {
  Result<Config> config = Load(path);
  return config ? Run(std::move(*config), std::move(given)) : Complain(config.error(), kExitConfig);
}

int Check(const std::string& path) {
  const Result<Config> config = Load(path);
  if (!config) return Complain(config.error(), kExitConfig);
  for (const std::string& warning : ConfigWarnings(*config))
    std::cerr << "outboxd: warning: " << warning << '\n';
  std::cout << config->file.string() << ": ok\n";
  return 0;
}

}  // namespace
}  // namespace outboxd

// What else than a ParseError is thrown here is a bug, which ends the process.
// NOLINTNEXTLINE(bugprone-exception-escape)
int main(int argc, char** argv) {
  CLI::App app;
  outboxd::DaemonOptions options;
  outboxd::AddDaemonOptions(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : outboxd::kExitUsage;
  }
  if (options.check) return outboxd::Check(options.config);
  std::vector<outboxd::PassedDescriptor> given = outboxd::TakePassedDescriptors();
  outboxd::PrepareProcess();
  const int exit_code = outboxd::LoadAndRun(options.config, std::move(given));
  outboxd::FlushLog(outboxd::kLogPatience);
  return exit_code;
}
