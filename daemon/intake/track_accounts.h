// daemon/intake/track_accounts.h — whose credentials a request of the Track-compatible endpoint carries: they
// select its connection. Any thread.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/mutex.h"
#include "daemon/delivery/endpoint.h"

namespace outboxd {

struct TrackAccount {
  std::string name;                        // of the connection
  std::optional<std::string> credentials;  // "site_id:api_key"; absent while they are awaited
  std::string region;
  std::string base_url;  // of the region
};

class TrackAccounts {
 public:
  explicit TrackAccounts(const Endpoints& endpoints);

  void Configure(const Endpoints& endpoints) EXCLUDES(mutex_);

  // Null: nobody's. Then the operator may have put new ones where the config points to, so the credentials'
  // files are read again before, at most once a second.
  std::shared_ptr<const TrackAccount> Find(std::string_view credentials) EXCLUDES(mutex_);
  // Some are not there yet: those that nobody has may be theirs.
  bool AreSomeAwaited() const EXCLUDES(mutex_);
  // Of a request that needs no credentials and has none: the only account, or that of connection "default".
  std::shared_ptr<const TrackAccount> WithoutCredentials() const EXCLUDES(mutex_);

 private:
  struct Known {
    Endpoints endpoints;
    std::vector<TrackAccount> accounts;
  };
  using Snapshot = std::shared_ptr<const Known>;

  static Snapshot Take(Endpoints endpoints);
  static std::shared_ptr<const TrackAccount> FindIn(const Snapshot& known, std::string_view credentials);
  Snapshot Current() const EXCLUDES(mutex_);
  Snapshot Reread() EXCLUDES(mutex_);

  mutable Mutex mutex_;
  Snapshot known_ GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point reread_ GUARDED_BY(mutex_);
};

}  // namespace outboxd
