#include "daemon/delivery/awaited_credentials.h"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "config/credentials.h"
#include "config/log_level.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/base/log.h"
#include "daemon/base/mutex.h"
#include "daemon/delivery/endpoint.h"

namespace outboxd {

void AwaitedCredentials::See(const Endpoints& endpoints, const std::filesystem::path& config_file,
                             Timestamp now) {
  Waits waits;
  for (const auto& [name, endpoint] : endpoints) {
    if (endpoint->MaySend()) continue;
    const std::optional<Wait> before = Of(name);
    waits[name] = {AwaitedText(endpoint->credentials, config_file), before ? before->since : now};
  }
  if (const std::optional<std::string> reason = ReasonOf(waits))
    Log(LogLevel::kError, "accepting without delivering", {{"reason", *reason}});
  MutexLock lock(mutex_);
  waits_ = std::move(waits);
}

std::optional<AwaitedCredentials::Wait> AwaitedCredentials::Of(std::string_view connection) const {
  MutexLock lock(mutex_);
  const auto found = waits_.find(connection);
  return found == waits_.end() ? std::nullopt : std::optional(found->second);
}

Result<void> AwaitedCredentials::DemandThere(std::string_view connection) const {
  const std::optional<Wait> wait = Of(connection);
  if (!wait) return {};
  return Fail(ErrorKind::kConflict, "nothing is sent on \"" + std::string(connection) + "\": " + wait->detail,
              "connection");
}

std::optional<std::string> AwaitedCredentials::Reason() const {
  MutexLock lock(mutex_);
  return ReasonOf(waits_);
}

std::optional<std::string> AwaitedCredentials::ReasonOf(const Waits& waits) {
  std::string reason;
  for (const auto& [name, wait] : waits)
    reason += (reason.empty() ? "nothing is sent on " : "; nothing on ") + name + ": " + wait.detail;
  return reason.empty() ? std::nullopt : std::optional(std::move(reason));
}

}  // namespace outboxd
