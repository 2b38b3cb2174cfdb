#include "daemon/delivery/curl_error.h"

#include <algorithm>
#include <string>

#include "core/text.h"
#include "core/time.h"
#include "daemon/delivery/answer_buffer.h"

namespace outboxd {
namespace {

std::string TimeoutText(const CurlFailure& failure) {
  const auto after = [](Milliseconds limit) {
    return "timeout after " + std::to_string(limit.count()) + " ms";
  };
  if (failure.was_sent) return after(failure.timeout);
  return (failure.was_resolved ? "connect: " : "resolve: ") +
         after(std::min(failure.timeout, failure.connect_timeout));
}

}  // namespace

std::string CurlErrorText(const CurlFailure& failure) {
  const std::string detail = OneLine(failure.detail);
  const std::string& system = failure.system;
  switch (failure.code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return "resolve: " + detail;
    case CURLE_COULDNT_CONNECT:
      return "connect: " + (system.empty() ? detail : system);
    case CURLE_OPERATION_TIMEDOUT:
      return TimeoutText(failure);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return "tls: " + detail;
    case CURLE_GOT_NOTHING:
    case CURLE_ABORTED_BY_CALLBACK:
      return "reset: connection closed before an answer";
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      return "reset: " + (!system.empty() && detail.ends_with(system) ? system : detail);
    case CURLE_WRITE_ERROR:
      return "transport: answer with more than " + std::to_string(kAnswerHeadBytes) + " bytes of headers";
    case CURLE_OUT_OF_MEMORY:  // libcurl's name for a line longer than it takes as well
      return "transport: a header too long, or no memory left";
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return "reset: answer cut short: " + detail;
    default:  // of libcurl's hundred codes, those that a request of ours does not meet
      return "transport: " + detail;
  }
}

}  // namespace outboxd
