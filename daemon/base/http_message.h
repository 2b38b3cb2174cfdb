// daemon/base/http_message.h — an HTTP request as it came, and the answer to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace outboxd {

inline constexpr const char* kTextType = "text/plain; charset=utf-8";
inline constexpr const char* kJsonType = "application/json";

// The views live until the handler returns. Nothing is decoded, so that an encoded "/" inside a segment
// survives.
struct HttpRequestView {
  std::string_view method;
  std::string_view target;
  std::string_view path;   // raw, before the "?"
  std::string_view query;  // raw, behind the "?"
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  std::string_view body;
  std::optional<std::uint32_t> uid;  // of the asking process, on a Unix socket
  int socket = -1;                   // to ask the kernel of its other end (daemon/base/tcp_socket.h)

  // Case-insensitive; the first one of that name.
  std::optional<std::string_view> Header(std::string_view name) const;
};

struct HttpResponse {
  unsigned status = 200;
  const char* content_type = kTextType;  // as long-lived as the program
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

}  // namespace outboxd
