// daemon/delivery/curl_error.h — why a request got no answer: whose fault it is, and what operators read of
// it:
// "<stage>: <reason>", the stage one of resolve, connect, proxy, tls, reset, transport, or "timeout after <n>
// ms".
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <string>

#include "core/time.h"
#include "core/verdict.h"

namespace outboxd {

// That libcurl wanted to send a request again, and why.
enum class Repeat : std::uint8_t {
  kNone,
  kAfterError,    // its connection broke before an answer
  kAfterRefusal,  // the server said that it did not process the stream, or closed a connection in good order
};

struct CurlFailure {
  CURLcode code = CURLE_OK;
  std::string detail;  // libcurl's words
  std::string
      system;  // the system's words; perhaps about an earlier transfer of the handle, for libcurl keeps them
  bool was_resolved = false;  // the host's name
  bool was_sent = false;      // the request began to leave
  bool was_reused = false;    // on a connection that it did not open
  bool has_answer_begun = false;
  Repeat repeat = Repeat::kNone;
  int tunnel_status = 0;        // of the proxy's answer to CONNECT; 0: none
  bool is_own_timeout = false;  // `timeout` is the job's and shorter than the connection's
  Milliseconds timeout{0};
  Milliseconds connect_timeout{0};
  Milliseconds waited{0};  // since it was sent
};

std::string CurlErrorText(const CurlFailure& failure);

// A proxy that says that it cannot reach the host (502, 503, 504) is a part of the network.
Fault FaultOf(const CurlFailure& failure);

// The request was sent, and its connection let it wait as long as the limits allow: for the connection's
// timeout, or until the kernel gave up a connection that acknowledged nothing (after connect_timeout).
bool HasHung(const CurlFailure& failure);

}  // namespace outboxd
