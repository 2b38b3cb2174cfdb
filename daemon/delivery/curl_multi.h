// daemon/delivery/curl_multi.h — one libcurl multi handle: requests under way, and the connections that it
// keeps for the next ones. Many share a SocketWatch. Belongs to the worker's thread.
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "daemon/delivery/curl_request.h"
#include "daemon/delivery/socket_watch.h"

namespace outboxd {

using SteadyTime = std::chrono::steady_clock::time_point;

// Makes libcurl ready for use, once for the process. Before the first CurlMulti.
void InitCurl();

// A request that libcurl has ended, with its result.
struct EndedRequest {
  CurlRequest* request = nullptr;
  CURLcode code = CURLE_OK;
};

class CurlMulti {
 public:
  explicit CurlMulti(SocketWatch* watch);
  ~CurlMulti();  // closes the connections; no request may be under way
  CurlMulti(const CurlMulti&) = delete;
  CurlMulti& operator=(const CurlMulti&) = delete;

  // The request has begun. What is not CURLM_OK says why it was not taken.
  CURLMcode Add(CurlRequest& request);
  // Takes a request out that is under way: what it has sent stays sent.
  void Remove(CurlRequest& request);
  // Appends those that have ended since; they are not under way any more.
  void TakeEnded(std::vector<EndedRequest>& ended);

  std::size_t UnderWay() const { return under_way_; }
  // A request was sent or has ended: it is known whether a connection can be had.
  bool IsUp() const { return is_up_; }
  // Requests share a connection (HTTP/2), as the first answer tells; nullopt before it.
  std::optional<bool> Multiplexes() const { return multiplexes_; }

  void OnReady(int fd, std::uint32_t events);  // events of epoll
  void RunTimer(SteadyTime now);               // if it is due
  std::optional<SteadyTime> Timer() const { return timer_; }

 private:
  static int OnSocket(CURL* easy, curl_socket_t fd, int what, void* self, void* socket);
  static int OnTimer(CURLM* multi, long timeout_ms, void* self);

  SocketWatch* const watch_;
  CURLM* const multi_;
  std::size_t under_way_ = 0;
  bool is_up_ = false;
  std::optional<bool> multiplexes_;
  std::optional<SteadyTime> timer_;
  bool timer_was_set_ = false;
};

}  // namespace outboxd
