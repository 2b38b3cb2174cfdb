// daemon/base/http_server.h — HTTP/1.1 on a listening socket with a thread per connection, so that a handler
// may wait. For answers that come later there is daemon/base/deferred_http_server.h.
//
// Limits: a body over the limit is read to its end and dropped, since a client that still sends would get a
// reset instead of the answer; then `too_large` is answered and the connection closed. Who waits for
// 100 (Continue) is answered at once. A request head over its limit is answered with 431 or 414. A connection
// is closed when it is idle for longer than `idle_timeout`, which its answers tell (Keep-Alive), when a
// request's head takes longer than `head_patience` (of a new connection from its beginning), or its body, or
// the client to take the answer, longer than `body_patience`. Beyond the limit of connections, one that waits
// for its client is closed for the newcomer (daemon/base/mhd_connections.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/tls_identity.h"
#include "core/result.h"
#include "daemon/base/http_message.h"

namespace outboxd {

struct HttpServerOptions {
  std::string thread_name = "outboxd-http";  // at most 15 bytes
  std::size_t body_bytes_max = 1024UL * 1024;
  std::size_t head_bytes_max = 16UL * 1024;
  // Of a refused body that are read; then its connection is cut.
  std::size_t discarded_bytes_max = 1024UL * 1024 * 1024;
  unsigned connections_max = 64;      // which users share
  unsigned connections_per_user = 0;  // 0: no bound of its own
  std::chrono::seconds idle_timeout{30};
  std::chrono::milliseconds head_patience = std::chrono::seconds(10);
  std::chrono::milliseconds body_patience = std::chrono::minutes(1);
  std::optional<TlsIdentity> tls;
  std::vector<std::uint32_t> users;  // who may ask, on a Unix socket; empty: whoever can connect
  HttpResponse too_large{413, kTextType, "The request's body is too large.\n", {}};
  // Answered where a proxy in front could have understood another request than we did.
  HttpResponse malformed{400, kTextType, "The request's head is not as HTTP wants it.\n", {}};
  HttpResponse forbidden{403, kTextType, "This user may not ask here.\n", {}};
};

class HttpServer {
 public:
  // Called on the connection's thread, on several at once. Must not throw.
  using Handler = std::function<HttpResponse(const HttpRequestView&)>;

  // Takes ownership of `listening`, a bound and listening Unix or TCP socket, also when it fails.
  static Result<std::unique_ptr<HttpServer>> Start(int listening, HttpServerOptions options, Handler handler);

  // Closes connections that took too long. Any thread; to be called about once a second.
  void CloseOverdue();

  // Stops listening, waits for the handlers that run, and closes every connection. Never called from a
  // handler.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace outboxd
