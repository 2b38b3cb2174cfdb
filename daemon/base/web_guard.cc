#include "daemon/base/web_guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "core/ascii.h"
#include "daemon/base/http_message.h"

namespace outboxd {
namespace {

bool IsAddress(int family, std::string_view text) {
  in6_addr address{};
  return inet_pton(family, std::string(text).c_str(), &address) == 1;
}

bool IsPort(std::string_view text) {
  return std::all_of(text.begin(), text.end(), IsDigit);
}

bool IsOwnName(std::string_view host, std::span<const std::string> allowed) {
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    if (end == std::string_view::npos) return false;
    const std::string_view port = host.substr(end + 1);
    return IsAddress(AF_INET6, host.substr(1, end - 1)) &&
           (port.empty() || (port.front() == ':' && IsPort(port.substr(1))));
  }
  const std::size_t colon = host.find(':');
  const std::string_view name = host.substr(0, colon);
  if (colon != std::string_view::npos && !IsPort(host.substr(colon + 1))) return false;
  return IsAddress(AF_INET, name) || EqualsIgnoringCase(name, "localhost") ||
         std::any_of(allowed.begin(), allowed.end(),
                     [&](const std::string& one) { return EqualsIgnoringCase(name, one); });
}

bool IsOwnOrigin(std::string_view origin, std::string_view scheme, std::string_view host) {
  if (!origin.starts_with(scheme)) return false;
  origin.remove_prefix(scheme.size());
  return origin.starts_with("://") && EqualsIgnoringCase(origin.substr(3), host);
}

}  // namespace

bool IsFromForeignPage(const HttpRequestView& request, std::string_view scheme) {
  const std::string_view host = request.Header("Host").value_or("");
  return std::any_of(request.headers.begin(), request.headers.end(), [&](const auto& header) {
    const auto& [name, value] = header;
    if (EqualsIgnoringCase(name, "Origin")) return !IsOwnOrigin(value, scheme, host);
    if (EqualsIgnoringCase(name, "Sec-Fetch-Site")) return value != "none" && value != "same-origin";
    return false;
  });
}

bool IsForThisHost(const HttpRequestView& request, std::span<const std::string> allowed) {
  return std::all_of(request.headers.begin(), request.headers.end(), [&](const auto& header) {
    return !EqualsIgnoringCase(header.first, "Host") || IsOwnName(header.second, allowed);
  });
}

}  // namespace outboxd
