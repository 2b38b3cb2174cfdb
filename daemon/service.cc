#include "daemon/service.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "config/config.h"
#include "config/log_level.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/assembly.h"
#include "daemon/base/log.h"
#include "daemon/base/status.h"
#include "daemon/base/wall_clock.h"
#include "daemon/clerk/clerk.h"
#include "daemon/delivery/ask_dispatcher.h"
#include "daemon/delivery/dispatcher.h"
#include "daemon/delivery/dispatcher_thread.h"

namespace outboxd {
namespace {

// Nothing more leaves; waits until what is in flight has ended, at most `patience`.
void AwaitInFlight(DispatcherThread& dispatcher, Milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  dispatcher.Post([](Dispatcher& logic, Timestamp) { logic.StopSending(); });
  for (;;) {
    const Result<std::size_t> left =
        AskDispatcher<std::size_t>(dispatcher, [](Dispatcher& logic, Timestamp) { return logic.InFlight(); });
    if (!left || *left == 0) return;
    if (std::chrono::steady_clock::now() >= deadline) {
      Log(LogLevel::kWarn, "stopping with requests in flight; they will be sent again",
          {{"requests", std::to_string(*left)}});
      return;
    }
    std::this_thread::sleep_for(Milliseconds(10));
  }
}

}  // namespace

Service::Service(std::unique_ptr<Assembly> assembly) : assembly_(std::move(assembly)) {
  assembly_->metrics->Tick(WallClockNow());
  assembly_->dispatcher.Start();
}

Service::Service(Service&&) noexcept = default;

Service::~Service() {
  Stop();
}

Result<Service> Service::Start(Config config) {
  ASSIGN_OR_RETURN(std::unique_ptr<Assembly> assembly, Assembly::Build(std::move(config)));
  return Service(std::move(assembly));
}

void Service::Tick(Timestamp now) {
  assembly_->metrics->Tick(now);
  assembly_->intake->Refresh(assembly_->config, now);
  const auto steady_now = std::chrono::steady_clock::now();
  assembly_->admin->Tick(steady_now);
  assembly_->debug_output.Tick(steady_now);
  assembly_->place.Tick(steady_now);
}

std::string Service::Summary() const {
  const Health health = assembly_->operations.CheckHealth();
  std::uint64_t jobs = 0;
  std::uint64_t dead = 0;
  const OutboxState state = assembly_->clerk.State();
  for (const auto& [connection, counts] : state.counts) {
    jobs += counts.jobs;
    dead += counts.dead;
  }
  std::string closed;
  for (const ListenerStatus& listener : assembly_->listeners.All()) {
    if (!listener.problem.empty()) closed += "; not listening on " + listener.address;
  }
  return (health.not_accepting ? "refusing jobs, " + *health.not_accepting : "accepting jobs") +
         (health.not_delivering ? ", not delivering: " + *health.not_delivering : "") + "; " +
         std::to_string(jobs) + " wait, " + std::to_string(dead) + " dead letters" + closed;
}

std::optional<std::string> Service::FatalReason() const {
  return assembly_->fatal.Reason();
}

void Service::Reload() {
  assembly_->reloader.Reload();
}

void Service::Stop() {
  const std::unique_ptr<Assembly> all = std::move(assembly_);
  if (!all) return;
  all->operations.StopWork();
  all->StopIntake();
  AwaitInFlight(all->dispatcher, all->config.Get()->drain_timeout);
}  // the rest ends with the assembly

}  // namespace outboxd
