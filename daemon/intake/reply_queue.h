// daemon/intake/reply_queue.h — the replies to one producer, in the order of its lines, until the kernel has
// taken them. Each refusal that is told is counted. Belongs to the listener's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/refusal.h"
#include "core/ulid.h"
#include "daemon/base/metrics.h"

namespace outboxd {

class ReplyQueue {
 public:
  using Ref = std::optional<std::string_view>;  // the line's own, echoed

  // `unsent`: of the last process.
  explicit ReplyQueue(Metrics& metrics, std::string unsent = {})
      : metrics_(metrics), text_(std::move(unsent)) {}

  void AddOk(const Ulid& job, Ref ref);
  void AddRefusal(Refusal refusal, std::string_view field, std::string_view message, Ref ref);

  enum class Sent : std::uint8_t { kAll, kFull, kBroken };
  // Sends what the socket takes without waiting: kFull when it takes no more now.
  Sent Send(int socket);

  std::string TakeUnsent() { return std::exchange(text_, {}); }

  std::size_t bytes() const { return text_.size(); }
  bool empty() const { return text_.empty(); }

 private:
  void AddRef(Ref ref);

  Metrics& metrics_;
  std::string text_;
};

}  // namespace outboxd
