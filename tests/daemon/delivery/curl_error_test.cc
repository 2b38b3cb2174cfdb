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

}  // namespace
}  // namespace outboxd
