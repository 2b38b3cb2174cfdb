#include "daemon/delivery/endpoint.h"

namespace outboxd {

Result<Endpoints> MakeEndpoints(const Config& config) {
  Endpoints endpoints;
  for (const auto& [name, connection] : config.connections) {
    ASSIGN_OR_RETURN(Credentials credentials, ReadCredentials(connection));
    RETURN_IF_ERROR(CheckCaFile(connection));
    endpoints.emplace(name, std::make_shared<const Endpoint>(Endpoint{connection, std::move(credentials)}));
  }
  return endpoints;
}

std::string NeedsRestart(const Config& before, const Config& after) {
  std::string keys;
  const auto note = [&](bool changed, std::string_view key) {
    if (!changed) return;
    if (!keys.empty()) keys += ", ";
    keys += key;
  };
  note(before.outbox.path != after.outbox.path, "outbox.path");
  note(before.producer != after.producer, "listen.producer");
  note(before.admin != after.admin, "listen.admin");
  note(before.track != after.track, "listen.track");
  note(before.metrics.tcp != after.metrics.tcp, "metrics.tcp");
  note(before.workers != after.workers, "workers");
  return keys;
}

}  // namespace outboxd
