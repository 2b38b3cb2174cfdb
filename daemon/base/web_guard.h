// daemon/base/web_guard.h — keeps web pages away from a server on a TCP port of this host. A browser lets any
// page send requests to loopback, and lets a page read the answers whose host name was made to resolve there
// (DNS rebinding). Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "daemon/base/http_message.h"

namespace outboxd {

// The browser says that a page of another origin caused the request. `scheme`: "http" or "https".
bool IsFromForeignPage(const HttpRequestView& request, std::string_view scheme);

// The request is for an IP address, localhost or one of `allowed`, whatever the port. Also without a Host,
// which no browser leaves out.
bool IsForThisHost(const HttpRequestView& request, std::span<const std::string> allowed);

}  // namespace outboxd
