#include "daemon/reloader.h"

#include <memory>
#include <string>
#include <utility>

#include "config/config.h"
#include "config/keys.h"
#include "config/log_level.h"
#include "config/warnings.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/base/log.h"
#include "daemon/base/mutex.h"
#include "daemon/base/wall_clock.h"
#include "daemon/delivery/ask_dispatcher.h"
#include "daemon/delivery/dispatcher.h"
#include "daemon/delivery/endpoint.h"

namespace outboxd {

void LogRenamedKeys(const Config& config) {
  for (const std::string& key : RenamedKeys(config))
    Log(LogLevel::kWarn, "a key of the config has another name now", {{"key", key}});
}

Reloader::Reloader(Parts parts) : parts_(parts), started_(parts.config.Get()) {}

Result<std::string> Reloader::Reload() {
  MutexLock lock(mutex_);
  Result<std::string> reloaded = TakeEffect();
  if (!reloaded)
    Log(LogLevel::kError, "config not reloaded, the old one stays", {{"reason", reloaded.error().message}});
  return reloaded;
}

Result<std::string> Reloader::TakeEffect() {
  const std::shared_ptr<const Config> before = parts_.config.Get();
  ASSIGN_OR_RETURN(Config fresh, LoadConfig(before->file));
  std::string fixed = NeedsRestart(*started_, fresh);
  if (!fixed.empty()) Log(LogLevel::kWarn, "takes effect at the next start only", {{"keys", fixed}});
  fresh.outbox.path = before->outbox.path;
  ASSIGN_OR_RETURN(const Endpoints endpoints, MakeEndpoints(fresh));
  ASSIGN_OR_RETURN(Result<void> configured,
                   AskDispatcher<Result<void>>(parts_.dispatcher, [&](Dispatcher& dispatcher, Timestamp now) {
                     return dispatcher.Configure(endpoints, fresh.limits, now);
                   }));
  RETURN_IF_ERROR(configured);
  parts_.clerk.Configure({fresh.outbox, fresh.history, fresh.limits.per_uid});
  SetLogLevel(fresh.log_level);
  parts_.config.Replace(std::move(fresh));
  const std::shared_ptr<const Config> config = parts_.config.Get();
  parts_.intake->Configure(*config, endpoints);  // its Refresh() finds the new one
  parts_.awaited.See(endpoints, config->file, WallClockNow());
  LogRenamedKeys(*config);
  Log(LogLevel::kInfo, "config reloaded", {{"file", config->file.string()}});
  return fixed;
}

}  // namespace outboxd
