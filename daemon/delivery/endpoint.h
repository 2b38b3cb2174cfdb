// daemon/delivery/endpoint.h — where and how the requests of a connection go: its part of the config with the
// credentials in use.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "config/config.h"
#include "config/credentials.h"
#include "core/result.h"
#include "core/secrets.h"

namespace outboxd {

// Where and how a connection's requests go. Immutable; a reload makes a new one, transfers under way keep
// theirs.
struct Endpoint {
  ConnectionConfig config;
  Credentials credentials;
  // Not before its credentials are there: no job, and no probe.
  bool MaySend() const { return credentials.awaited.empty(); }
};

using Endpoints = std::map<std::string, std::shared_ptr<const Endpoint>, std::less<>>;

// What its requests carry that nobody is to read: its credentials, and those of the environment's proxies.
std::shared_ptr<const Secrets> SecretsOf(const Endpoint& endpoint);

// Every connection with its credentials, read now; some may be awaited.
Result<Endpoints> MakeEndpoints(const Config& config);

}  // namespace outboxd
