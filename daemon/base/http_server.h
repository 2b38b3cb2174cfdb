// daemon/base/http_server.h — HTTP/1.1 on a listening socket, by libmicrohttpd: a thread per connection, so
// that a handler may wait, or one thread for all of them and answers that come later.
//
// Limits: a body over the limit is answered with `too_large` and the connection closed; a request head over
// its limit with 431 or 414; a connection beyond the limit is closed at once, an idle one after
// `idle_timeout`, one whose body takes longer than `body_patience` then. Paths: nothing is decoded here, so
// that an encoded "/" inside a segment survives.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/tls_identity.h"
#include "core/result.h"

namespace outboxd {

inline constexpr const char* kTextType = "text/plain; charset=utf-8";
inline constexpr const char* kJsonType = "application/json";

// A request as it came. The views live until the handler returns.
struct HttpRequestView {
  std::string_view method;
  std::string_view target;
  std::string_view path;   // raw, before the "?"
  std::string_view query;  // raw, behind the "?"
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  std::string_view body;
  std::optional<std::uint32_t> uid;  // of the asking process, on a Unix socket

  // Case-insensitive; the first one of that name.
  std::optional<std::string_view> Header(std::string_view name) const;
};

struct HttpResponse {
  unsigned status = 200;
  const char* content_type = kTextType;  // as long-lived as the program
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

// A request whose handler gave no answer yet. The server's; it lives until it is answered.
class HttpExchange {
 public:
  // In the handler, before anyone else learns of the exchange: the answer comes later. False when the server
  // ends: it has to be given now.
  [[nodiscard]] bool Defer();
  // Any thread, once for each exchange, after its Defer(). The exchanges are gone afterwards.
  static void Answer(std::vector<std::pair<HttpExchange*, HttpResponse>> answers);

 protected:
  HttpExchange() = default;
  ~HttpExchange() = default;
};

// What a request's head alone decides.
struct HeadVerdict {
  std::optional<HttpResponse> refusal;  // sent in the handler's place; then the connection is closed
  std::size_t body_bytes_max = std::numeric_limits<std::size_t>::max();  // where it is less than the server's
};

struct HttpServerOptions {
  std::string thread_name = "outboxd-http";  // at most 15 bytes
  std::size_t body_bytes_max = 1024UL * 1024;
  std::size_t head_bytes_max = 16UL * 1024;
  unsigned connections_max = 32;
  std::chrono::seconds idle_timeout{30};
  // Deferred servers alone: bytes of all bodies from their first byte to their answer; above it `overloaded`
  // is answered.
  std::size_t bodies_bytes_max = std::numeric_limits<std::size_t>::max();
  // Asked before a body that may be large is taken, with a request that has none yet.
  std::function<HeadVerdict(const HttpRequestView&)> check_head;
  std::chrono::milliseconds body_patience = std::chrono::minutes(1);
  HttpResponse overloaded{503, kTextType, "Too much is under way.\n", {}};
  std::optional<TlsIdentity> tls;
  HttpResponse too_large{413, kTextType, "The request's body is too large.\n", {}};
  std::vector<std::uint32_t> users;  // who may ask, on a Unix socket; empty: whoever can connect
  HttpResponse forbidden{403, kTextType, "This user may not ask here.\n", {}};
};

class HttpServer {
 public:
  // Called on the connection's thread, on several at once. Must not throw.
  using Handler = std::function<HttpResponse(const HttpRequestView&)>;

  // Called on the server's one thread; must not wait, must not throw. nullopt: it has deferred the answer.
  using DeferredHandler = std::function<std::optional<HttpResponse>(const HttpRequestView&, HttpExchange&)>;

  // Takes ownership of `listening`, a bound and listening Unix or TCP socket, also when it fails.
  static Result<std::unique_ptr<HttpServer>> Start(int listening, HttpServerOptions options, Handler handler);

  // The same with one thread for all connections.
  static Result<std::unique_ptr<HttpServer>> StartDeferred(int listening, HttpServerOptions options,
                                                           DeferredHandler handler);

  // Makes room for a successor on the same socket: accepts nothing more, and each connection ends with its
  // next answer or when it has been idle for too long.
  void Retire();

  // Stops listening, waits for the handlers that run and for the answers that are deferred, and closes every
  // connection. Never called from a handler.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  static Result<std::unique_ptr<HttpServer>> Start(int listening, std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace outboxd
