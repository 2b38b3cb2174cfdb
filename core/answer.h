// core/answer.h — what came back from one request to the Track API, as the transport saw it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/secrets.h"

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
  // Why there was none ("connect: Connection refused"), without secrets; empty when status != 0.
  std::string error;
  std::string body;                        // decoded; at most limits::kAnswerBytes
  bool is_body_cut = false;                // there was more
  std::optional<std::string> retry_after;  // the header's value as received
  std::string location;                    // the header's value, without secrets
  // With them the server got the request. Set when one may stand in the body: then it is judged as it came,
  // and Shown() is what may be kept, shown and logged of it.
  std::shared_ptr<const Secrets> secrets;

  // A part of the body, or of what was read in it.
  std::string Shown(std::string part) const { return secrets ? secrets->Redact(part) : std::move(part); }
  std::string ShownBody() const {
    return secrets ? secrets->Redact(body, is_body_cut ? TextEnd::kCut : TextEnd::kWhole) : body;
  }
};

}  // namespace outboxd
