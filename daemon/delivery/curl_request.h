// daemon/delivery/curl_request.h — one Track API request on a libcurl easy handle, with all that must live as
// long as it. The handle is reused: only what differs from the last transfer is set again.
//
// A request leaves once: libcurl's silent repeat on a connection that broke is refused, because every attempt
// is to be recorded (Fault::kUnanswered). Redirects are never followed.
//
// Answers:  decoded if they are compressed, which is not asked for, and bounded as answer_buffer.h says,
// decoded
//           as well. An answer that breaks off before its end is not an answer, since whether the request
//           took effect is not known; nor is one with more than kAnswerHeadBytes of headers. Of one whose
//           body cannot be decoded the status counts.
// Proxies:  http_proxy, https_proxy, all_proxy and no_proxy of the environment, as libcurl reads them.
// TLS:      1.2 or later. With a ca_file its authorities are the only ones trusted, also for a proxy.
// Secrets:  the Authorization header is built by libcurl from Endpoint and appears in no log, error or dump;
//           where the answer echoes what it was sent, Answer says how that is kept.
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
#include "core/secrets.h"
#include "core/time.h"
#include "core/verdict.h"
#include "daemon/delivery/answer_buffer.h"
#include "daemon/delivery/curl_error.h"
#include "daemon/delivery/debug_text.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/delivery/socket_watch.h"
#include "daemon/delivery/tcp_ends.h"
#include "daemon/delivery/transfer.h"

namespace outboxd {

class CurlMulti;

// How long a connection may idle. Shorter than the idle timeout of common load balancers (60 s), so that a
// request rarely meets a connection that is just being closed.
inline constexpr std::chrono::seconds kIdleConnection(50);

// What libcurl reports while a request is under way.
struct RequestEvents {
  SocketWatch* watch = nullptr;
  unsigned user_timeout_ms = 0;  // of new sockets: how long what was sent may stay unacknowledged
  bool* is_up = nullptr;         // becomes true when a request is sent
  AnswerBuffer answer;
  std::array<char, CURL_ERROR_SIZE> error{};
  int socket_error = 0;     // why no socket could be opened
  bool has_opened = false;  // a connection of its own
  bool was_sent = false;
  Repeat repeat = Repeat::kNone;  // that libcurl was about to do and was refused
  bool has_hung = false;          // HasHung(), once it has ended

  void Clear() {  // for the next transfer
    answer.Clear();
    error[0] = '\0';
    socket_error = 0;
    has_opened = was_sent = has_hung = false;
    repeat = Repeat::kNone;
  }
};

// Size: one request from its options to its answer; a method for each group of options.
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
  // Under way for clearly longer than its timeout.
  bool IsOverdue(std::chrono::steady_clock::time_point now) const {
    return active_ && now - started_ > timeout_ + Milliseconds(50);
  }
  // It has sent a target so long that libcurl's copies of it, which stay in the handle, are not to be kept.
  bool HasBeenLarge() const { return has_been_large_; }
  // The multi handle that it was given to last.
  void JoinMulti(CurlMulti* multi, bool* is_up) {
    multi_ = multi;
    events_.is_up = is_up;
  }
  CurlMulti* Multi() const { return multi_; }

  // Makes the handle ready to be given to a multi handle. Before it is given back by End() or Abort(), take
  // it out of the multi handle.
  void Begin(Transfer transfer, const DebugLog& debug_log);
  Finished End(CURLcode code, const DebugLog& debug_log);  // `code` is libcurl's result
  Finished Fail(Answer answer);                            // one of those below
  Finished Abort();

  // Of the transfer under way, and of the last one until the next begins.
  const RequestEvents& Events() const { return events_; }
  std::optional<bool> WasShared() const;  // its connection, with HTTP/2; nullopt when no answer told
  TcpEnds Ends() const;                   // of the connection it was sent on
  Milliseconds SinceSent() const;

 private:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  template <typename Value>
  void Set(CURLoption option, Value value) {
    curl_easy_setopt(easy_, option, value);
  }
  void AdoptEndpoint();
  void SetRequest();
  void SetMethod();
  void SetHeaders();
  Finished Finish(Ending ending, Answer answer);
  Answer TakeAnswer(CURLcode code);
  CurlFailure FailureBy(CURLcode code) const;

  CURL* const easy_;
  std::shared_ptr<const Endpoint> endpoint_;  // whose options the handle carries
  std::shared_ptr<const Secrets> secrets_;    // of the last endpoint
  curl_slist* header_list_ = nullptr;
  Headers listed_headers_;  // those in header_list_
  bool has_listed_credentials_ = false;
  Route route_ = Route::kPooled;
  bool has_been_large_ = false;
  CurlMulti* multi_ = nullptr;

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
Answer UntakenAnswer(const char* why);  // libcurl did not take the request
// For a request whose connection is dead.
Answer DeadAnswer(const RequestEvents& events);

}  // namespace outboxd
