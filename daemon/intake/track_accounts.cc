#include "daemon/intake/track_accounts.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "config/config.h"
#include "config/credentials.h"
#include "core/ascii.h"
#include "core/names.h"
#include "core/result.h"
#include "daemon/base/mutex.h"
#include "daemon/delivery/endpoint.h"

namespace outboxd {
namespace {

constexpr std::string_view kDefaultConnection = "default";
constexpr std::chrono::seconds kRereadInterval{1};

// Takes the same time wherever the two differ.
bool SameSecret(std::string_view given, std::string_view secret) {
  unsigned difference = given.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < secret.size(); ++i) {
    const char byte = i < given.size() ? given[i] : '\0';
    difference |= static_cast<unsigned>(Byte(byte) ^ Byte(secret[i]));
  }
  return difference == 0;
}

TrackAccount AccountOf(const std::string& name, const Endpoint& endpoint) {
  ConnectionConfig by_region = endpoint.config;
  by_region.base_url.reset();
  TrackAccount account{
      name, {}, std::string(NameOf(endpoint.config.region)), by_region.BaseUrl(std::nullopt)};
  if (endpoint.credentials.awaited.empty())
    account.credentials = endpoint.credentials.site_id + ":" + endpoint.credentials.api_key;
  return account;
}

}  // namespace

TrackAccounts::TrackAccounts(const Endpoints& endpoints) : known_(Take(endpoints)) {}

TrackAccounts::Snapshot TrackAccounts::Take(Endpoints endpoints) {
  auto known = std::make_shared<Known>();
  for (const auto& [name, endpoint] : endpoints) known->accounts.push_back(AccountOf(name, *endpoint));
  known->endpoints = std::move(endpoints);
  return known;
}

void TrackAccounts::Configure(const Endpoints& endpoints) {
  Snapshot fresh = Take(endpoints);
  MutexLock lock(mutex_);
  known_ = std::move(fresh);
}

TrackAccounts::Snapshot TrackAccounts::Current() const {
  MutexLock lock(mutex_);
  return known_;
}

std::shared_ptr<const TrackAccount> TrackAccounts::Find(std::string_view credentials) {
  std::shared_ptr<const TrackAccount> account = FindIn(Current(), credentials);
  return account ? account : FindIn(Reread(), credentials);
}

std::shared_ptr<const TrackAccount> TrackAccounts::FindIn(const Snapshot& known,
                                                          std::string_view credentials) {
  const TrackAccount* account = nullptr;
  for (const TrackAccount& candidate : known->accounts) {
    if (!candidate.credentials) continue;
    if (SameSecret(credentials, *candidate.credentials) && account == nullptr) account = &candidate;
  }
  return {known, account};
}

bool TrackAccounts::AreSomeAwaited() const {
  const Snapshot known = Current();
  return std::ranges::any_of(known->accounts,
                             [](const TrackAccount& account) { return !account.credentials; });
}

std::shared_ptr<const TrackAccount> TrackAccounts::WithoutCredentials() const {
  const Snapshot known = Current();
  for (const TrackAccount& account : known->accounts) {
    if (known->accounts.size() == 1 || account.name == kDefaultConnection) return {known, &account};
  }
  return nullptr;
}

// What cannot be read stays as it was.
TrackAccounts::Snapshot TrackAccounts::Reread() {
  Snapshot known;
  {
    MutexLock lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (now < reread_ + kRereadInterval) return known_;
    reread_ = now;
    known = known_;
  }
  Endpoints endpoints = known->endpoints;
  for (auto& [name, endpoint] : endpoints) {
    Result<Credentials> credentials = ReadCredentials(endpoint->config);
    if (credentials && credentials->awaited.empty())
      endpoint = std::make_shared<const Endpoint>(Endpoint{endpoint->config, std::move(*credentials)});
  }
  Snapshot fresh = Take(std::move(endpoints));
  MutexLock lock(mutex_);
  if (known_ == known) known_ = std::move(fresh);  // a reload meanwhile knows better
  return known_;
}

}  // namespace outboxd
