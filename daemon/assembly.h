// daemon/assembly.h — the object graph of the daemon: every object that lives as long as it does, and what
// each reaches. Wired in one place, assembly.cc; started and stopped by Service.
//
//                    submit                committed
//        intake ───────────► clerk ─────────────────────► dispatcher ─────► workers
//                              ▲  ◄──────────────────────   │  ▲     send      │
//                              │           report           │  └───────────────┘
//                              │ steps                      │       finished
//        admin ─► admin_api ─► operations ◄── probe_waiters ◄┘ probed
//                              │ reload
//                              └─► reloader ─► dispatcher, clerk, intake, config
//
// The clerk, the dispatcher and the workers reach each other in a circle, so they are wired by ports:
// functions that find the other one in this object. Nothing goes round before the dispatcher is started, and
// then all of them are there.
#pragma once

#include <memory>
#include <optional>

#include "config/config.h"
#include "core/result.h"
#include "daemon/admin/admin_servers.h"
#include "daemon/admin/api.h"
#include "daemon/admin/operations.h"
#include "daemon/admin/probe_waiters.h"
#include "daemon/base/crash_record.h"
#include "daemon/base/current_config.h"
#include "daemon/base/environments.h"
#include "daemon/base/late_listener.h"
#include "daemon/base/metrics.h"
#include "daemon/base/outbox_place.h"
#include "daemon/clerk/clerk_thread.h"
#include "daemon/delivery/awaited_credentials.h"
#include "daemon/delivery/debug_output.h"
#include "daemon/delivery/delivery_hold.h"
#include "daemon/delivery/dispatcher_thread.h"
#include "daemon/delivery/worker_pool.h"
#include "daemon/fatal_error.h"
#include "daemon/intake/inherited.h"
#include "daemon/intake/intake.h"
#include "daemon/reloader.h"

namespace outboxd {

// Size: all objects that live as long as the daemon.
struct Assembly {
  // Opens the outbox, loads what waits in it, and opens the sockets: jobs are accepted and questions answered
  // when it returns. Nothing is sent before dispatcher.Start(). Signals that end the daemon must be blocked
  // in every thread before.
  static Result<std::unique_ptr<Assembly>> Build(Config config, Inherited inherited = {});
  // Ends what runs in an order in which nothing that was accepted or answered is left unwritten: intake,
  // admin sockets, workers (which abort what is in flight), dispatcher, clerk.
  ~Assembly();
  // The first step of it: what was read is answered, nothing new is.
  void StopIntake();
  Assembly(const Assembly&) = delete;
  Assembly& operator=(const Assembly&) = delete;

  CurrentConfig config;
  const std::unique_ptr<Metrics> metrics;  // never null; the dispatcher was loaded with it
  FatalError fatal;
  ProbeWaiters probe_waiters;
  DeliveryHold hold;
  AwaitedCredentials awaited;
  OutboxPlace place;
  ListenerStates listeners;
  Environments environments;
  std::optional<CrashRecord> crashes;  // absent where its file cannot be written

  DebugOutput debug_output;
  ClerkThread clerk;
  WorkerPool workers;
  DispatcherThread dispatcher;

  std::unique_ptr<Intake> intake;  // null until Build() opens it, before the admin sockets
  Reloader reloader;
  Operations operations;
  AdminApi admin_api;
  std::unique_ptr<AdminServers> admin;  // null until Build() opens it

 private:
  struct Loaded;
  Assembly(Config config, Loaded loaded);
  static Result<Loaded> Load(const Config& config);
  ClerkThread::Ports PortsOfClerk();
  DispatcherThread::Ports PortsOfDispatcher();
};

}  // namespace outboxd
