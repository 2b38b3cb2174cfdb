// daemon/reloader.h — a reload: reads the config and the files it names, and hands each part to whom it
// concerns.
#pragma once

#include <memory>
#include <string>

#include "config/config.h"
#include "core/result.h"
#include "daemon/base/current_config.h"
#include "daemon/base/mutex.h"
#include "daemon/clerk/clerk_thread.h"
#include "daemon/delivery/awaited_credentials.h"
#include "daemon/delivery/dispatcher_thread.h"
#include "daemon/intake/intake.h"

namespace outboxd {

// Keys of the config that have another name now, at each start and reload.
void LogRenamedKeys(const Config& config);

class Reloader {
 public:
  // All of it outlives this object. `intake` is filled before the first Reload().
  struct Parts {
    CurrentConfig& config;
    ClerkThread& clerk;
    DispatcherThread& dispatcher;
    const std::unique_ptr<Intake>& intake;
    AwaitedCredentials& awaited;
  };
  // `parts.config` holds the config that the daemon was started with.
  explicit Reloader(Parts parts);

  // All of the new config takes effect but for keys that need a restart: those that differ from the start's
  // come back, comma-separated. With an error none of it does, unless the outbox could not be read for a new
  // connection. Logs both. Any thread; one reload at a time.
  Result<std::string> Reload() EXCLUDES(mutex_);

 private:
  Result<std::string> TakeEffect() REQUIRES(mutex_);

  const Parts parts_;
  const std::shared_ptr<const Config> started_;
  Mutex mutex_;
};

}  // namespace outboxd
