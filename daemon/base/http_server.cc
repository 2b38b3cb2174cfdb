#include "daemon/base/http_server.h"

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

#include "core/result.h"
#include "daemon/base/http_message.h"
#include "daemon/base/mhd_connections.h"
#include "daemon/base/mhd_daemon.h"
#include "daemon/base/mhd_request.h"

namespace outboxd {

class HttpServer::Impl {
 public:
  Impl(HttpServerOptions options, Handler handler)
      : options_(std::move(options)), handler_(std::move(handler)), daemon_(options_.thread_name) {
    CloseAfter(options_.too_large);
    CloseAfter(options_.malformed);
  }
  ~Impl() { daemon_.Stop(); }
  void CloseOverdue() { daemon_.CloseOverdue(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<void> Start(int listening) {
    return daemon_.Start(
        listening, options_, MhdDaemon::Threads::kOneForEachConnection,
        {.self = this, .on_first_line = &OnFirstLine, .on_request = &OnRequest, .on_end = &OnEnd});
  }

 private:
  static void* OnFirstLine(void*, const char* target, MHD_Connection* connection) {
    return new MhdRequest(target, MhdClient::Of(connection));
  }

  static void OnEnd(void*, MHD_Connection*, void** context, MHD_RequestTerminationCode) {
    const std::unique_ptr<MhdRequest> request(static_cast<MhdRequest*>(*context));
    *context = nullptr;
    if (request) request->client().Enter(MhdClient::Turn::kIdle);
  }

  // Called once when the head is there, then for each piece of the body, then once more with none.
  static MHD_Result OnRequest(void* self, MHD_Connection* connection, const char* url, const char* method,
                              const char* version, const char* piece, std::size_t* piece_bytes,
                              void** context) {
    auto* request = static_cast<MhdRequest*>(*context);
    if (request == nullptr) return MHD_NO;
    const auto& server = *static_cast<Impl*>(self);
    if (!request->HasBegun()) {
      server.daemon_.NameThread();
      const HttpResponse* answer = request->Begin(connection, server.options_);
      if (answer == nullptr) request->CheckAnnounced(server.options_);
      if (request->IsRefusedAtOnce(connection, server.options_)) answer = request->refusal();
      return answer != nullptr ? server.daemon_.Send(connection, *answer) : MHD_YES;
    }
    if (*piece_bytes > 0) {
      const std::string_view bytes(piece, std::exchange(*piece_bytes, 0));
      return request->Collect(bytes, server.options_) ? MHD_YES : MHD_NO;
    }
    if (request->refusal() != nullptr) return server.daemon_.Send(connection, *request->refusal());
    const HttpRequestView view = request->View(connection, method);
    if (!request->IsUnambiguous(view, url, version))
      return server.daemon_.Send(connection, server.options_.malformed);
    request->client().Enter(MhdClient::Turn::kOurs);
    return server.daemon_.Send(connection, server.handler_(view));
  }

  HttpServerOptions options_;
  const Handler handler_;
  MhdDaemon daemon_;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;
void HttpServer::CloseOverdue() {
  impl_->CloseOverdue();
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(int listening, HttpServerOptions options,
                                                      Handler handler) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(handler));
  RETURN_IF_ERROR(impl->Start(listening));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

}  // namespace outboxd
