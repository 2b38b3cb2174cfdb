// daemon/delivery/curl_error.h — what operators read when a request got no answer: "<stage>: <reason>", the
// stage one of resolve, connect, tls, reset, transport, or "timeout after <n> ms".
#pragma once

#include <curl/curl.h>

#include <string>

#include "core/time.h"

namespace outboxd {

struct CurlFailure {
  CURLcode code = CURLE_OK;
  std::string detail;  // libcurl's words
  std::string
      system;  // the system's words; perhaps about an earlier transfer of the handle, for libcurl keeps them
  bool was_resolved = false;  // the host's name
  bool was_sent = false;      // the request began to leave
  Milliseconds timeout{0};
  Milliseconds connect_timeout{0};
};

std::string CurlErrorText(const CurlFailure& failure);

}  // namespace outboxd
