// core/header_rules.h — which headers a producer may write into a request. Names are compared without regard
// to case, "_" as "-": gateways of the CGI kind do not tell them apart.
#pragma once

#include <cstdint>
#include <string_view>

namespace outboxd {

enum class HeaderRule : std::uint8_t {
  kFree,
  kOurs,      // credentials, host and length are the connection's and the transport's: dropped, as ever
  kHop,       // speaks to the next hop of the network connection, which other jobs share
  kOverride,  // makes servers or proxies act on another method or path than the request line's
};

HeaderRule RuleOfHeader(std::string_view name);

}  // namespace outboxd
