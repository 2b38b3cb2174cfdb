// daemon/intake/producers.h — who is connected to the producer socket, and what all of them hold of the
// daemon's memory. Users share both (limits.clients, limits.per_uid, limits.producer_bytes). Belongs to the
// listener's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/config.h"
#include "core/user_shares.h"

namespace outboxd {

class ProducerConnection;

class Producers {
 public:
  // `limits` outlives this and may change. `on_gone` is called after each Remove().
  Producers(const LimitsConfig& limits, std::function<void()> on_gone)
      : limits_(limits), on_gone_(std::move(on_gone)) {}

  void Add(const std::shared_ptr<ProducerConnection>& connection) {
    connections_.emplace(connection.get(), Place{connection, {}, Counts::kNot});
  }
  // Once for each that was added. False: its user has its share, or all places are taken; it has to go.
  bool Admit(ProducerConnection* connection, User user);
  void Remove(ProducerConnection* connection);
  // What one of them holds changed. Above the limit one is dropped: of the user who holds most, the
  // connection that holds most.
  void HeldChanged(ProducerConnection* connection, std::size_t before_bytes, std::size_t bytes);

  bool empty() const { return connections_.empty(); }
  std::vector<std::shared_ptr<ProducerConnection>> All() const;

 private:
  enum class Counts : std::uint8_t { kNot, kOfUser };
  struct Place {
    std::shared_ptr<ProducerConnection> connection;
    User user;
    Counts counts = Counts::kNot;
  };
  std::shared_ptr<ProducerConnection> HoldsMost() const;

  const LimitsConfig& limits_;
  const std::function<void()> on_gone_;
  std::unordered_map<ProducerConnection*, Place> connections_;
  UserShares places_{0};
  std::uint64_t held_bytes_ = 0;
  std::map<User, std::uint64_t> held_by_user_;  // everyone who has a place
};

}  // namespace outboxd
