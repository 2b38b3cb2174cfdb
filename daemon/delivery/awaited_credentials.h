// daemon/delivery/awaited_credentials.h — the connections on which nothing is sent because their credentials
// are not there yet, as those who ask are told it. That nothing leaves is their queues' doing, who go by the
// endpoint; apart from their gates, and on no disk. Any thread.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/time.h"
#include "daemon/base/mutex.h"
#include "daemon/delivery/endpoint.h"

namespace outboxd {

class AwaitedCredentials {
 public:
  struct Wait {
    std::string detail;  // what is missing and what to do
    Timestamp since{};
  };

  // At the start, and after a reload. Logs what is awaited.
  void See(const Endpoints& endpoints, const std::filesystem::path& config_file, Timestamp now)
      EXCLUDES(mutex_);

  // nullopt: the connection has its credentials, or is not known.
  std::optional<Wait> Of(std::string_view connection) const EXCLUDES(mutex_);
  // kConflict while they are not there.
  Result<void> DemandThere(std::string_view connection) const EXCLUDES(mutex_);
  // On which connections and why, in a sentence for people; nullopt when none waits.
  std::optional<std::string> Reason() const EXCLUDES(mutex_);

 private:
  using Waits = std::map<std::string, Wait, std::less<>>;
  static std::optional<std::string> ReasonOf(const Waits& waits);

  mutable Mutex mutex_;
  Waits waits_ GUARDED_BY(mutex_);  // by connection
};

}  // namespace outboxd
