#include "daemon/delivery/endpoint.h"

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

#include "config/config.h"
#include "config/credentials.h"
#include "core/encoding.h"
#include "core/result.h"
#include "core/secrets.h"

namespace outboxd {
namespace {

// "http://user:password@host:port"; the scheme may be missing, user and password are percent-encoded.
void AddProxy(std::string_view url, Secrets& secrets) {
  const std::size_t scheme = url.find("://");
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  const std::string_view authority = url.substr(0, url.find('/'));
  const std::size_t end = authority.rfind('@');
  if (end == std::string_view::npos) return;
  const std::string_view pair = authority.substr(0, end);
  const std::size_t colon = pair.find(':');
  if (colon == std::string_view::npos) return;
  secrets.Add(PercentDecode(pair.substr(0, colon)), PercentDecode(pair.substr(colon + 1)));
}

}  // namespace

std::shared_ptr<const Secrets> SecretsOf(const Endpoint& endpoint) {
  const auto secrets = std::make_shared<Secrets>();
  secrets->Add(endpoint.credentials.site_id, endpoint.credentials.api_key);
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) {
    if (const char* url = std::getenv(name)) AddProxy(url, *secrets);
  }
  return secrets;
}

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
