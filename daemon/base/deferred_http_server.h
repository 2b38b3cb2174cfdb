// daemon/base/deferred_http_server.h — HTTP/1.1 on a listening socket with one thread for all connections,
// and answers that may come later. The limits are those of daemon/base/http_server.h, and one for all bodies
// together.
#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/result.h"
#include "daemon/base/http_message.h"
#include "daemon/base/http_server.h"

namespace outboxd {

// A request whose handler gave no answer yet. The server's; it lives until it is answered.
class HttpExchange {
 public:
  // In the handler, before anyone else learns of the exchange: the answer comes later. False when the server
  // ends: it has to be given now.
  [[nodiscard]] bool Defer();
  // In the handler: its client has valid credentials, and is closed last when there are too many.
  void Trust();
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

struct DeferredHttpServerOptions : HttpServerOptions {
  // Of all bodies from their first byte to their answer; above it `overloaded` is answered.
  std::size_t bodies_bytes_max = std::numeric_limits<std::size_t>::max();
  HttpResponse overloaded{503, kTextType, "Too much is under way.\n", {}};
  // What is answered to a request whose body is too large, instead of `too_large`.
  std::function<HttpResponse(const HttpRequestView&)> refuse_too_large;
  // Told, on the server's thread, of a deferred answer that could not be written: its client had gone.
  std::function<void(const HttpRequestView&, HttpResponse)> on_lost;
  // Asked before a body that may be large, or one of very many, is taken, with a request that has none yet.
  std::function<HeadVerdict(const HttpRequestView&)> check_head;
};

class DeferredHttpServer {
 public:
  // Called on the server's one thread; must not wait, must not throw. nullopt: it has deferred the answer.
  using Handler = std::function<std::optional<HttpResponse>(const HttpRequestView&, HttpExchange&)>;

  // Takes ownership of `listening`, a bound and listening Unix or TCP socket, also when it fails.
  static Result<std::unique_ptr<DeferredHttpServer>> Start(int listening, DeferredHttpServerOptions options,
                                                           Handler handler);

  // Closes connections that took too long. Any thread; to be called about once a second.
  void CloseOverdue();

  // From now on each connection ends with its next answer; new ones are accepted.
  void EndWithAnswers();
  std::size_t ConnectionCount() const;

  // Makes room for a successor on the same socket: accepts nothing more, and each connection ends with its
  // next answer or when it has been idle for too long.
  void Retire();

  // Stops listening, waits for the answers that are deferred and a moment for requests that are on their way,
  // and closes every connection. Never called from a handler.
  ~DeferredHttpServer();
  DeferredHttpServer(const DeferredHttpServer&) = delete;
  DeferredHttpServer& operator=(const DeferredHttpServer&) = delete;

 private:
  class Impl;
  explicit DeferredHttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace outboxd
