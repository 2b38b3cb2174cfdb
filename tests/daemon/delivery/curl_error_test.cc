#include "daemon/delivery/curl_error.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace outboxd {
namespace {

TEST_CASE("curl error: each failure names the stage it happened in") {
  struct Row {
    CURLcode code;
    std::string detail, system, text;
  };
  const std::vector<Row> rows{
      {CURLE_COULDNT_RESOLVE_HOST, "no such host", "", "resolve: no such host"},
      {CURLE_COULDNT_CONNECT, "failed to connect", "Connection refused", "connect: Connection refused"},
      {CURLE_COULDNT_CONNECT, "failed to connect", "", "connect: failed to connect"},
      {CURLE_PEER_FAILED_VERIFICATION, "certificate\r\nexpired", "", "tls: certificate  expired"},
      {CURLE_GOT_NOTHING, "empty", "", "reset: connection closed before an answer"},
      {CURLE_RECV_ERROR, "Recv failure: Broken pipe", "Broken pipe", "reset: Broken pipe"},
      {CURLE_RECV_ERROR, "bad frame", "an earlier reason", "reset: bad frame"},
      {CURLE_WRITE_ERROR, "", "", "transport: answer with more than 65536 bytes of headers"},
      {CURLE_PARTIAL_FILE, "3 bytes left", "", "reset: answer cut short: 3 bytes left"},
      {CURLE_URL_MALFORMAT, "bad url", "", "transport: bad url"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CurlFailure failure;
    failure.code = row.code;
    failure.detail = row.detail;
    failure.system = row.system;
    CHECK(CurlErrorText(failure) == row.text);
  }
}

TEST_CASE("curl error: a timeout says how far the request came and which limit it met") {
  CurlFailure failure;
  failure.code = CURLE_OPERATION_TIMEDOUT;
  failure.timeout = Milliseconds(900);
  failure.connect_timeout = Milliseconds(40);
  CHECK(CurlErrorText(failure) == "resolve: timeout after 40 ms");
  failure.was_resolved = true;
  CHECK(CurlErrorText(failure) == "connect: timeout after 40 ms");
  failure.timeout = Milliseconds(20);
  CHECK(CurlErrorText(failure) == "connect: timeout after 20 ms");
  failure.was_sent = true;
  CHECK(CurlErrorText(failure) == "timeout after 20 ms");
}

// Sent on a connection that others had used before.
CurlFailure Reused(CURLcode code) {
  CurlFailure failure;
  failure.code = code;
  failure.was_sent = true;
  failure.was_reused = true;
  return failure;
}

TEST_CASE("curl error: a connection that ends before an answer is unanswered only where it was used before") {
  for (const CURLcode code :
       {CURLE_GOT_NOTHING, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_PARTIAL_FILE, CURLE_HTTP2}) {
    CAPTURE(static_cast<int>(code));
    CurlFailure failure = Reused(code);
    CHECK(FaultOf(failure) == Fault::kUnanswered);
    failure.has_answer_begun = true;
    CHECK(FaultOf(failure) == Fault::kNetwork);
    failure = Reused(code);
    failure.was_reused = false;
    CHECK(FaultOf(failure) == Fault::kNetwork);
  }
  for (const CURLcode code : {CURLE_HTTP2_STREAM, CURLE_WRITE_ERROR, CURLE_OUT_OF_MEMORY})
    CHECK(FaultOf(Reused(code)) == Fault::kNetwork);
}

TEST_CASE(
    "curl error: what libcurl would repeat is unanswered, by its opener only where the server refused it") {
  CurlFailure failure = Reused(CURLE_COULDNT_CONNECT);
  failure.repeat = Repeat::kAfterError;
  CHECK(FaultOf(failure) == Fault::kUnanswered);
  CHECK(CurlErrorText(failure) == "reset: connection closed before an answer");
  failure.was_reused = false;
  CHECK(FaultOf(failure) == Fault::kNetwork);
  failure.repeat = Repeat::kAfterRefusal;
  CHECK(FaultOf(failure) == Fault::kUnanswered);
  failure.code = CURLE_OPERATION_TIMEDOUT;
  CHECK(FaultOf(failure) == Fault::kUnanswered);
}

TEST_CASE("curl error: a connection that ends after a long wait has hung, one that ends at once has not") {
  CurlFailure failure = Reused(CURLE_RECV_ERROR);
  failure.connect_timeout = Milliseconds(400);
  failure.waited = Milliseconds(399);
  CHECK_FALSE(HasHung(failure));
  failure.waited = Milliseconds(400);
  CHECK(HasHung(failure));
  failure.has_answer_begun = true;
  CHECK_FALSE(HasHung(failure));
}

TEST_CASE(
    "curl error: a timeout is the job's own where its limit is the shorter one and the one that was met") {
  CurlFailure failure = Reused(CURLE_OPERATION_TIMEDOUT);
  failure.timeout = Milliseconds(900);
  failure.connect_timeout = Milliseconds(400);
  CHECK(FaultOf(failure) == Fault::kNetwork);
  CHECK(HasHung(failure));
  failure.is_own_timeout = true;
  CHECK(FaultOf(failure) == Fault::kOwnTimeout);
  CHECK_FALSE(HasHung(failure));
  failure.was_sent = failure.was_reused = false;  // while it was connecting
  CHECK(FaultOf(failure) == Fault::kNetwork);
  failure.timeout = Milliseconds(20);
  CHECK(FaultOf(failure) == Fault::kOwnTimeout);
  failure.is_own_timeout = false;
  CHECK_FALSE(HasHung(failure));
}

TEST_CASE(
    "curl error: a proxy that opens no tunnel is at fault, unless it says that the host is out of reach") {
  CurlFailure failure;
  failure.code = CURLE_RECV_ERROR;
  failure.detail = "CONNECT tunnel failed";
  for (const int status : {302, 400, 403, 407, 500}) {
    failure.tunnel_status = status;
    CHECK(FaultOf(failure) == Fault::kProxy);
    CHECK(CurlErrorText(failure) == "proxy: CONNECT tunnel failed");
  }
  for (const int status : {0, 200, 502, 503, 504}) {
    failure.tunnel_status = status;
    CHECK(FaultOf(failure) == Fault::kNetwork);
  }
  failure.tunnel_status = 407;
  failure.code = CURLE_OPERATION_TIMEDOUT;
  CHECK(FaultOf(failure) == Fault::kNetwork);
}

}  // namespace
}  // namespace outboxd
