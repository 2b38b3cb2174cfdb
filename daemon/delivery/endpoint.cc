#include "daemon/delivery/endpoint.h"

#include <memory>
#include <utility>

#include "config/config.h"
#include "config/credentials.h"
#include "core/result.h"

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

}  // namespace outboxd
