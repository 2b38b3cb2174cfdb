#include "daemon/delivery/curl_error.h"

#include <algorithm>
#include <string>

#include "core/answer.h"
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

bool IsTunnelRefused(const CurlFailure& failure) {
  return !failure.was_sent && failure.code == CURLE_RECV_ERROR && failure.tunnel_status >= 300;
}

// The job's own limit ran out, and not the shorter one of connecting.
bool HasMetOwnLimit(const CurlFailure& failure) {
  return failure.is_own_timeout && (failure.was_sent || failure.timeout <= failure.connect_timeout);
}

// A connection that ended, in good order or not. A stream that the server ended alone (CURLE_HTTP2_STREAM) is
// an answer to that request, if a poor one.
bool IsConnectionLost(CURLcode code) {
  switch (code) {
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
      return true;
    default:  // of libcurl's hundred codes
      return false;
  }
}

}  // namespace

std::string CurlErrorText(const CurlFailure& failure) {
  const std::string detail = OneLine(failure.detail);
  const std::string& system = failure.system;
  if (failure.repeat != Repeat::kNone) return "reset: connection closed before an answer";
  if (IsTunnelRefused(failure)) return "proxy: " + detail;
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

Fault FaultOf(const CurlFailure& failure) {
  const bool was_unanswered = failure.was_reused && !failure.has_answer_begun;
  if (failure.repeat == Repeat::kAfterRefusal) return Fault::kUnanswered;
  if (failure.repeat == Repeat::kAfterError) return was_unanswered ? Fault::kUnanswered : Fault::kNetwork;
  if (failure.code == CURLE_OPERATION_TIMEDOUT)
    return HasMetOwnLimit(failure) ? Fault::kOwnTimeout : Fault::kNetwork;
  if (IsTunnelRefused(failure))
    return failure.tunnel_status >= 502 && failure.tunnel_status <= 504 ? Fault::kNetwork : Fault::kProxy;
  return was_unanswered && IsConnectionLost(failure.code) ? Fault::kUnanswered : Fault::kNetwork;
}

bool HasHung(const CurlFailure& failure) {
  if (FaultOf(failure) == Fault::kUnanswered) return failure.waited >= failure.connect_timeout;
  return failure.code == CURLE_OPERATION_TIMEDOUT && failure.was_sent && !HasMetOwnLimit(failure);
}

}  // namespace outboxd
