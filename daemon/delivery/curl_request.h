// daemon/delivery/curl_request.h — one Track API request on a libcurl easy handle, with all that must live as
// long as it. The handle is reused: only what differs from the last transfer is set again.
//
// A request leaves once: libcurl's silent repeat on a connection that broke is refused, because every attempt
// is to be recorded. Redirects are never followed.
//
// Answers:  bounded as answer_buffer.h says. An answer that breaks off before its end is not an answer, since
// whether
//           the request took effect is not known; nor is one with more than kAnswerHeadBytes of headers.
// Proxies:  http_proxy, https_proxy, all_proxy and no_proxy of the environment, as libcurl reads them.
// Secrets:  the Authorization header is built by libcurl from Endpoint and appears in no log, error or dump.
// Threads:  belongs to the worker's thread.
#pragma once

#include <curl/curl.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/request.h"
#include "core/time.h"
#include "core/verdict.h"
#include "daemon/delivery/answer_buffer.h"
#include "daemon/delivery/debug_text.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/delivery/socket_watch.h"
#include "daemon/delivery/transfer.h"

namespace outboxd {

// What libcurl reports while a request is under way.
struct RequestEvents {
  SocketWatch* watch = nullptr;
  AnswerBuffer answer;
  int socket_error = 0;  // why no socket could be opened
  unsigned times_sent = 0;
};

class CurlRequest {
 public:
  explicit CurlRequest(SocketWatch* watch);
  ~CurlRequest();
  CurlRequest(const CurlRequest&) = delete;
  CurlRequest& operator=(const CurlRequest&) = delete;

  // The CurlRequest to which a handle belongs that began a transfer.
  static CurlRequest& Of(CURL* handle);
  CURL* Handle() const { return easy_; }

  bool IsActive() const { return active_; }

  // Makes the handle ready to be given to a multi handle. Before it is given back by End() or Abort(), take
  // it out of the multi handle.
  void Begin(Transfer transfer, const DebugLog& debug_log);
  Finished End(CURLcode code, const DebugLog& debug_log);  // `code` is libcurl's result
  Finished Fail(std::string error);
  Finished Abort();

 private:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  template <typename Value>
  void Set(CURLoption option, Value value) {
    curl_easy_setopt(easy_, option, value);
  }
  void AdoptEndpoint();
  void SetRequest();
  void SetMethod();
  void SetParts();
  void SetHeaders();
  Finished Finish(Ending ending, Answer answer);
  Answer TakeAnswer(CURLcode code);
  std::optional<std::string> Header(const char* name) const;
  Headers AllHeaders() const;
  std::string ErrorText(CURLcode code) const;

  CURL* const easy_;
  std::shared_ptr<const Endpoint> endpoint_;  // whose options the handle carries
  curl_slist* header_list_ = nullptr;
  Headers listed_headers_;  // those in header_list_
  curl_mime* mime_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> error_{};

  // Of the transfer under way.
  bool active_ = false;
  Transfer transfer_;
  HttpRequest request_;
  RequestEvents events_;
  Milliseconds timeout_{0};
  Timestamp sent_{};
  std::chrono::steady_clock::time_point started_;
};

// An abort as an answer, for a transfer that did not begin.
Answer AbortedAnswer();

}  // namespace outboxd
