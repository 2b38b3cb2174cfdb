// daemon/base/mhd_request.h — one request on its way in: born when its first line was read, gone when the
// answer was sent or the connection broke. Collects the body within the server's bounds.
#pragma once

#include <microhttpd.h>  // IWYU pragma: export

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/base/http_message.h"
#include "daemon/base/http_server.h"
#include "daemon/base/mhd_connections.h"

namespace outboxd {

class MhdRequest {
 public:
  // Its first line is there.
  MhdRequest(const char* target, MhdClient& client) : client_(client), target_(target) {
    client.HeadBegins();
  }

  MhdClient& client() const { return client_; }

  // The head is there. Returns the answer when nothing else about the request matters.
  const HttpResponse* Begin(MHD_Connection* connection, const HttpServerOptions& options);
  bool HasBegun() const { return has_begun_; }
  std::chrono::steady_clock::time_point began() const { return began_; }

  // The body may be this long at most, where that is less than the server's limit.
  void Limit(std::size_t body_bytes_max);
  // The answer that is known before the whole body is there. It outlives the request.
  void Refuse(const HttpResponse* answer) { refusal_ = answer; }
  const HttpResponse* refusal() const { return refusal_; }
  // Refuses a body that is announced as too long.
  void CheckAnnounced(const HttpServerOptions& options);
  // The length of the body that the head announces, 0 without one. Both since Begin().
  std::uint64_t announced() const { return announced_; }
  bool is_chunked() const { return is_chunked_; }

  // Whether the refusal is to be sent now: the body does not come before its sender has heard from us, or it
  // is too long even to be dropped.
  bool IsRefusedAtOnce(MHD_Connection* connection, const HttpServerOptions& options) const;

  // Takes a piece of the body. False: the connection is to be cut.
  bool Collect(std::string_view bytes, const HttpServerOptions& options);
  // The steps of Collect(), for a server that has bounds of its own.
  bool IsInTime(const HttpServerOptions& options) const;
  bool Fits(std::string_view bytes) const { return body_.size() + bytes.size() <= body_bytes_max_; }
  void Append(std::string_view bytes) { body_.append(bytes); }
  // What is refused is read and dropped: a client that is still sending when its connection is closed never
  // sees the answer. False: not without end.
  bool Discard(std::string_view bytes, const HttpServerOptions& options);

  HttpRequestView View(MHD_Connection* connection, const char* method) const;
  // Whether the head says one thing only. `view` is this request's, `url` and `version` as libmicrohttpd
  // hands them to its callback.
  bool IsUnambiguous(const HttpRequestView& view, const char* url, const char* version) const;

 private:
  bool IsWholeTarget(const char* url, const char* version) const;

  MhdClient& client_;
  std::string target_;
  std::string body_;
  bool has_begun_ = false;
  bool is_chunked_ = false;
  std::uint64_t announced_ = 0;
  std::chrono::steady_clock::time_point began_;
  std::size_t body_bytes_max_ = 0;
  const HttpResponse* refusal_ = nullptr;
  std::size_t discarded_bytes_ = 0;
};

}  // namespace outboxd
