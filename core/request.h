// core/request.h — job → HTTP request of the Track API (docs/protocol.md lists every mapping with its
// source).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/job.h"
#include "core/time.h"

namespace outboxd {

// Ready to be sent but for the base URL and the Authorization header, which belong to the connection.
struct HttpRequest {
  std::string method;
  std::string target;  // "/api/v1/customers/42?x=1": follows the scheme and host, already percent-encoded
  std::vector<std::pair<std::string, std::string>> headers;  // never Authorization, never CR or LF
  std::string body;  // sent as is; absent body and empty body are the same: Content-Length 0 or none
  std::optional<Milliseconds> timeout;  // raw only: instead of the connection's
  bool without_credentials = false;     // leaves without an Authorization header
  bool debug = false;                   // raw only: log request and answer without the Authorization header
};

// Never fails: whatever a Job can hold has a request. Values are spliced from the producer's bytes, never
// re-encoded.
HttpRequest BuildRequest(const Job& job, const Stamp& stamp);

// GET /api/v1/accounts/region: asks whether credentials and region are right.
HttpRequest BuildRegionProbe();

}  // namespace outboxd
