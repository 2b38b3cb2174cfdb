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
#include "daemon/intake/inherited.h"

namespace outboxd {
namespace {

constexpr Milliseconds kDrainPoll{10};
constexpr Milliseconds kTickInterval{1000};
// A stop gives clients of the Track-compatible endpoint so long to end by an answer. Idle ones take all of
// it.
constexpr Milliseconds kClientsPatience{1000};

std::size_t RequestsInFlight(DispatcherThread& dispatcher) {
  const Result<std::size_t> left =
      AskDispatcher<std::size_t>(dispatcher, [](Dispatcher& logic, Timestamp) { return logic.InFlight(); });
  return left.value_or(0);
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

Result<Service> Service::Start(Config config, Inherited inherited) {
  ASSIGN_OR_RETURN(std::unique_ptr<Assembly> assembly,
                   Assembly::Build(std::move(config), std::move(inherited)));
  return Service(std::move(assembly));
}

// Nothing more leaves; until what is in flight has ended, at most `drain_timeout`. Jobs are accepted as ever.
void Service::Drain(Assembly& all) {
  all.dispatcher.Post([](Dispatcher& logic, Timestamp) { logic.StopSending(); });
  all.intake->BeginToStop();
  const auto begin = std::chrono::steady_clock::now();
  const Milliseconds patience = all.config.Get()->drain_timeout;
  auto ticked = begin;
  for (;;) {
    const auto now = std::chrono::steady_clock::now();
    const std::size_t requests = RequestsInFlight(all.dispatcher);
    const bool waits_for_clients = now - begin < kClientsPatience && all.intake->EndpointConnections() > 0;
    if (requests == 0 && !waits_for_clients) return;
    if (requests > 0 && now - begin >= patience) {
      Log(LogLevel::kWarn, "stopping with requests in flight; they will be sent again",
          {{"requests", std::to_string(requests)}});
      return;
    }
    if (now - ticked >= kTickInterval) {
      ticked = now;
      TickOf(all, WallClockNow());
    }
    std::this_thread::sleep_for(kDrainPoll);
  }
}

void Service::Tick(Timestamp now) {
  TickOf(*assembly_, now);
}

void Service::TickOf(Assembly& all, Timestamp now) {
  all.metrics->Tick(now);
  all.intake->Refresh(all.config, now);
  const auto steady_now = std::chrono::steady_clock::now();
  all.admin->Tick(steady_now);
  all.debug_output.Tick(steady_now);
  all.place.Tick(steady_now);
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
  Drain(*all);
  all->StopIntake();
}  // the rest ends with the assembly

}  // namespace outboxd
