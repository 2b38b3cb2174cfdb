#include "core/header_rules.h"

#include <doctest/doctest.h>

namespace outboxd {
namespace {

TEST_CASE(
    "header rules: what is ours, of the hop, or an override is known in any case and with underscores") {
  for (const char* name : {"Authorization", "AUTHORIZATION", "host", "Content-Length", "content_length",
                           "Transfer-Encoding", "Transfer_Encoding"})
    CHECK_MESSAGE(RuleOfHeader(name) == HeaderRule::kOurs, name);
  for (const char* name :
       {"Connection", "keep-alive", "Keep_Alive", "Proxy-Authorization", "proxy_connection", "Proxy-", "TE",
        "Trailer", "Upgrade", "HTTP2-Settings", "http2_settings", "Expect", "Cookie"})
    CHECK_MESSAGE(RuleOfHeader(name) == HeaderRule::kHop, name);
  for (const char* name : {"X-HTTP-Method-Override", "x_http_method_override", "X-HTTP-Method",
                           "X-Method-Override", "X-Original-URL", "X-Rewrite-Url", "X-Forwarded-Prefix"})
    CHECK_MESSAGE(RuleOfHeader(name) == HeaderRule::kOverride, name);
}

TEST_CASE("header rules: all others are the producer's, also those that begin or end alike") {
  for (const char* name : {"", "X-One", "Content-Type", "Accept", "TEX", "Proxy", "X-Connection", "Cookies",
                           "Hosts", "X-Forwarded-For", "traceparent", "Idempotency-Key"})
    CHECK_MESSAGE(RuleOfHeader(name) == HeaderRule::kFree, name);
}

}  // namespace
}  // namespace outboxd
