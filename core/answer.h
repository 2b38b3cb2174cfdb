// core/answer.h — what came back from one request to the Track API, as the transport saw it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace outboxd {

// Whose fault it is that there is no answer.
enum class Fault : std::uint8_t {
  kNone,        // there is one
  kNetwork,     // the connection's or the API's: resolve, connect, TLS, reset, timeout
  kUnanswered,  // closed, reset or refused before a byte of an answer, on a connection that was in use before
  kOwnTimeout,  // the job's: a raw job's `timeout_ms`, shorter than the connection's timeout, ran out
  kProxy,       // the proxy's: it does not open a tunnel
};

struct Answer {
  int status = 0;              // 0: no HTTP answer
  Fault fault = Fault::kNone;  // with status 0
  std::string error;           // why there was none ("connect: Connection refused"); empty when status != 0
  std::string body;            // decoded; at most limits::kAnswerBytes
  bool is_body_cut = false;    // there was more
  std::optional<std::string> retry_after;  // the header's value as received
  std::string location;                    // the header's value as received
};

}  // namespace outboxd
