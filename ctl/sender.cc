#include "ctl/sender.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/refusal.h"
#include "core/result.h"
#include "core/time.h"
#include "ctl/producer_client.h"

namespace outboxd {
namespace {

constexpr auto kReplyTimeout = std::chrono::seconds(30);

}  // namespace

Result<void> Sender::Connect() {
  if (client_) return {};
  ASSIGN_OR_RETURN(ProducerClient client, ProducerClient::Connect(socket_));
  client_.emplace(std::move(client));
  return {};
}

// A connection too many is answered `busy` and closed as well.
Result<JsonValue> Sender::Send(std::string_view line) {
  RETURN_IF_ERROR(Connect());
  ASSIGN_OR_RETURN(const std::string text, Exchange(line));
  Result<JsonValue> reply = JsonValue::Parse(text);
  if (!reply) return Fail(ErrorKind::kInternal, "the daemon's reply is not JSON: " + text.substr(0, 200));
  const std::optional<Refusal> refusal = kNames<Refusal>.Find((*reply)["error"]["code"].String());
  if (refusal && (EndsConnection(*refusal) || *refusal == Refusal::kBusy)) client_.reset();
  return reply;
}

Result<std::string> Sender::Exchange(std::string_view line) {
  client_->Queue(line);
  std::vector<std::string> replies;
  const auto deadline = std::chrono::steady_clock::now() + kReplyTimeout;
  while (replies.empty()) {
    const auto left = std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0)
      return Fail(ErrorKind::kUnavailable, "the daemon did not answer; whether it took the job is not known");
    const Result<void> exchanged = client_->Exchange(replies, left);
    if (!exchanged && replies.empty()) return Failure(exchanged.error());
  }
  return replies.front();
}

}  // namespace outboxd
