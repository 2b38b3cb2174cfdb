// daemon/reloader.h — a reload: reads the config and the files it names, and hands each part to whom it
// concerns.
#pragma once

#include <memory>

#include "core/result.h"
#include "daemon/base/current_config.h"
#include "daemon/base/mutex.h"
#include "daemon/clerk/clerk_thread.h"
#include "daemon/delivery/dispatcher_thread.h"
#include "daemon/intake/intake.h"

namespace outboxd {

class Reloader {
 public:
  // All of it outlives this object. `intake` is filled before the first Reload().
  struct Parts {
    CurrentConfig& config;
    ClerkThread& clerk;
    DispatcherThread& dispatcher;
    const std::unique_ptr<Intake>& intake;
  };
  explicit Reloader(Parts parts) : parts_(parts) {}

  // All of the new config takes effect but for keys that need a restart, which are logged; with an error none
  // of it does, unless the outbox could not be read for a new connection. Any thread; one reload at a time.
  Result<void> Reload() EXCLUDES(mutex_);

 private:
  const Parts parts_;
  Mutex mutex_;
};

}  // namespace outboxd
