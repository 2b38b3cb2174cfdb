#include "daemon/intake/producers.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/user_shares.h"
#include "daemon/intake/producer_connection.h"

namespace outboxd {

bool Producers::Admit(ProducerConnection* connection, User user) {
  places_.SetLimits(limits_.clients, limits_.per_uid.connections);
  if (!places_.Allows(user, 1)) return false;
  places_.Take(user, 1);
  held_by_user_.try_emplace(user, 0);
  Place& place = connections_.at(connection);
  place.user = user;
  place.counts = Counts::kOfUser;
  return true;
}

void Producers::Remove(ProducerConnection* connection) {
  const auto found = connections_.find(connection);
  const std::shared_ptr<ProducerConnection> last = found->second.connection;  // until on_gone_ was told
  const User user = found->second.user;
  const bool counts = found->second.counts == Counts::kOfUser;
  connections_.erase(found);
  if (counts) {
    places_.Give(user, 1);
    if (places_.HeldBy(user) == 0) held_by_user_.erase(user);
  }
  on_gone_();
}

void Producers::HeldChanged(ProducerConnection* connection, std::size_t before_bytes, std::size_t bytes) {
  if (before_bytes == bytes) return;
  const Place& place = connections_.at(connection);
  if (place.counts == Counts::kNot) return;  // it is about to go, with a short reply at most
  std::uint64_t& of_user = held_by_user_.at(place.user);
  of_user += bytes;
  of_user -= before_bytes;
  held_bytes_ += bytes;
  held_bytes_ -= before_bytes;
  if (held_bytes_ > limits_.producer_bytes) HoldsMost()->Drop();
}

std::shared_ptr<ProducerConnection> Producers::HoldsMost() const {
  const auto user = std::max_element(held_by_user_.begin(), held_by_user_.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  const Place* most = nullptr;
  for (const auto& [key, place] : connections_) {
    if (place.counts == Counts::kNot || place.user != user->first) continue;
    if (most == nullptr || place.connection->HeldBytes() > most->connection->HeldBytes()) most = &place;
  }
  return most->connection;
}

std::vector<std::shared_ptr<ProducerConnection>> Producers::All() const {
  std::vector<std::shared_ptr<ProducerConnection>> all;
  all.reserve(connections_.size());
  for (const auto& [key, place] : connections_) all.push_back(place.connection);
  return all;
}

}  // namespace outboxd
