// ctl/sender.h — sends one line after the other and waits for each reply, over one connection as long as the
// daemon keeps it. Belongs to one thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/json.h"
#include "core/result.h"
#include "ctl/producer_client.h"

namespace outboxd {

class Sender {
 public:
  explicit Sender(std::filesystem::path socket) : socket_(std::move(socket)) {}

  // Does nothing when it is connected. kUnavailable.
  Result<void> Connect();
  // The reply to `line`. Waits for it at most 30 s: kUnavailable then, and whether the daemon took the job is
  // not known. kInternal: the reply is not JSON.
  Result<JsonValue> Send(std::string_view line);

 private:
  Result<std::string> Exchange(std::string_view line);

  const std::filesystem::path socket_;
  std::optional<ProducerClient> client_;
};

}  // namespace outboxd
