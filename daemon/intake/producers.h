// daemon/intake/producers.h — who is connected to the producer socket, and what all of them hold of the
// daemon's memory (limits.producer_bytes). Belongs to the listener's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/config.h"

namespace outboxd {

class ProducerConnection;

class Producers {
 public:
  // `limits` outlives this and may change. `on_gone` is called after each Remove().
  Producers(const LimitsConfig& limits, std::function<void()> on_gone)
      : limits_(limits), on_gone_(std::move(on_gone)) {}

  void Add(const std::shared_ptr<ProducerConnection>& connection) {
    connections_.emplace(connection.get(), connection);
  }
  void Remove(ProducerConnection* connection) {
    connections_.erase(connection);
    on_gone_();
  }
  // What one of them holds changed; above the limit the one that holds most is dropped.
  void HeldChanged(std::size_t before_bytes, std::size_t bytes);

  bool AreTooMany() const { return connections_.size() > limits_.clients; }
  bool empty() const { return connections_.empty(); }
  std::vector<std::shared_ptr<ProducerConnection>> All() const;

 private:
  const LimitsConfig& limits_;
  const std::function<void()> on_gone_;
  std::unordered_map<ProducerConnection*, std::shared_ptr<ProducerConnection>> connections_;
  std::uint64_t held_bytes_ = 0;
};

}  // namespace outboxd
