// ctl/producer_client.h — the producer socket: lines out, one reply a line back in the same order
// (docs/protocol.md).
//
// Errors: kUnavailable = not reachable, closed by the daemon, or silent for too long. Belongs to one thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/owned_fd.h"
#include "core/result.h"
#include "core/time.h"

namespace outboxd {

class ProducerClient {
 public:
  static Result<ProducerClient> Connect(const std::filesystem::path& socket);

  // Takes a line (without its newline) to be sent by the next Exchange.
  void Queue(std::string_view line);
  std::size_t QueuedBytes() const { return outgoing_.size() - sent_; }

  // Sends what can be sent and appends the replies that have come to `replies`; waits at most `wait` for
  // either. Returns early on a signal. After kUnavailable (all replies that came before the end are in
  // `replies`) the client is of no more use.
  Result<void> Exchange(std::vector<std::string>& replies, Milliseconds wait);

 private:
  explicit ProducerClient(OwnedFd fd) : fd_(std::move(fd)) {}
  Result<void> Write();
  Result<void> Read(std::vector<std::string>& replies);

  OwnedFd fd_;
  std::string outgoing_;
  std::size_t sent_ = 0;
  std::string incoming_;
  bool write_closed_ = false;
};

}  // namespace outboxd
