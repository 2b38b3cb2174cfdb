#include "daemon/intake/producers.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "daemon/intake/producer_connection.h"

namespace outboxd {

void Producers::HeldChanged(std::size_t before_bytes, std::size_t bytes) {
  held_bytes_ += bytes;
  held_bytes_ -= before_bytes;
  if (held_bytes_ <= limits_.producer_bytes) return;
  const auto most = std::max_element(
      connections_.begin(), connections_.end(),
      [](const auto& a, const auto& b) { return a.second->HeldBytes() < b.second->HeldBytes(); });
  const std::shared_ptr<ProducerConnection> dropped = most->second;
  dropped->Drop();
}

std::vector<std::shared_ptr<ProducerConnection>> Producers::All() const {
  std::vector<std::shared_ptr<ProducerConnection>> all;
  all.reserve(connections_.size());
  for (const auto& [key, connection] : connections_) all.push_back(connection);
  return all;
}

}  // namespace outboxd
