#include "daemon/base/web_guard.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace outboxd {
namespace {

HttpRequestView With(std::vector<std::pair<std::string_view, std::string_view>> headers) {
  HttpRequestView request;
  request.headers = std::move(headers);
  return request;
}

TEST_CASE("web guard: whatever page a browser names as the cause is foreign, but for the server's own") {
  const std::pair<std::string_view, std::string_view> host{"Host", "127.0.0.1:8480"};
  for (const char* origin : {"null", "", "http://evil.example", "http://127.0.0.1", "http://127.0.0.1:8481",
                             "https://127.0.0.1:8480", "127.0.0.1:8480", "http://127.0.0.1:8480/",
                             "http://127.0.0.1:8480.evil.example"}) {
    CAPTURE(origin);
    CHECK(IsFromForeignPage(With({host, {"ORIGIN", origin}}), "http"));
  }
  CHECK(IsFromForeignPage(With({host, {"Origin", "http://127.0.0.1:8480"}, {"Origin", "null"}}), "http"));
  CHECK(IsFromForeignPage(With({{"Origin", "http://127.0.0.1:8480"}}), "http"));
  for (const char* site : {"cross-site", "same-site", "", "None"})
    CHECK(IsFromForeignPage(With({host, {"sec-fetch-site", site}}), "http"));
  for (const char* site : {"none", "same-origin"})
    CHECK_FALSE(IsFromForeignPage(With({host, {"Sec-Fetch-Site", site}}), "http"));
  CHECK_FALSE(IsFromForeignPage(With({host, {"Origin", "http://127.0.0.1:8480"}}), "http"));
  CHECK_FALSE(IsFromForeignPage(With({{"host", "LOCALHOST"}, {"origin", "https://localhost"}}), "https"));
  CHECK_FALSE(IsFromForeignPage(With({host, {"Sec-Fetch-Mode", "cors"}}), "http"));
}

TEST_CASE("web guard: this host has addresses, the name localhost and the names it was given") {
  const std::vector<std::string> allowed = {"outbox.internal"};
  for (const char* host : {"127.0.0.1", "127.0.0.1:8480", "10.1.2.3:80", "[::1]", "[::1]:8480", "localhost",
                           "LocalHost:8480", "outbox.internal", "OUTBOX.internal:1"}) {
    CAPTURE(host);
    CHECK(IsForThisHost(With({{"Host", host}}), allowed));
  }
  for (const char* host :
       {"", "evil.example", "evil.example:8480", "localhost.evil.example", "127.0.0.1.evil.example",
        "127.0.0.1@evil.example", "127.1", "2130706433", "::1", "[::1].evil.example", "[evil]", "[::1",
        "localhost:x", "127.0.0.1:80:80", "a.outbox.internal", "outbox.internal."}) {
    CAPTURE(host);
    CHECK_FALSE(IsForThisHost(With({{"Host", host}}), allowed));
  }
  CHECK_FALSE(IsForThisHost(With({{"Host", "localhost"}, {"Host", "evil.example"}}), allowed));
  CHECK(IsForThisHost(With({}), allowed));  // HTTP/1.0, no browser
}

}  // namespace
}  // namespace outboxd
