// daemon/http_server.h — HTTP/1.1 on a listening socket, by libmicrohttpd: a thread per connection, so a handler may wait.
//
// Limits: a body over the limit is answered with `too_large` and the connection closed; a request head over its limit with 431 or 414;
// a connection beyond the limit is closed at once, an idle one after `idle_timeout`.
// Paths: nothing is decoded here, so that an encoded "/" inside a segment survives.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"

namespace outboxd {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// A request as it came. The views live until the handler returns.
struct HttpRequestView {
  std::string_view method;
  std::string_view path;   // raw, before the "?"
  std::string_view query;  // raw, behind the "?"
  HttpHeaders headers;
  std::string_view body;

  // Case-insensitive; the first one of that name.
  std::optional<std::string_view> Header(std::string_view name) const;
};

struct HttpResponse {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  HttpHeaders headers;
};

struct HttpServerOptions {
  std::string thread_name = "outboxd-http";  // at most 15 bytes
  std::size_t body_bytes_max = 1024 * 1024;
  std::size_t head_bytes_max = 16 * 1024;
  unsigned connections_max = 32;
  std::chrono::seconds idle_timeout{30};
  HttpResponse too_large{413, "text/plain; charset=utf-8", "The request's body is too large.\n", {}};
  std::vector<std::uint32_t> users;  // who may ask, on a Unix socket; empty: whoever can connect
  HttpResponse forbidden{403, "text/plain; charset=utf-8", "This user may not ask here.\n", {}};
};

class HttpServer {
 public:
  // Called on the connection's thread, on several at once. Must not throw.
  using Handler = std::function<HttpResponse(const HttpRequestView&)>;

  // Takes ownership of `listening`, a bound and listening Unix or TCP socket, also when it fails.
  static Result<std::unique_ptr<HttpServer>> Start(int listening, HttpServerOptions options, Handler handler);

  // Stops listening, waits for the handlers that run and closes every connection. Never called from a handler.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace outboxd
