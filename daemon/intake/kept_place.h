// daemon/intake/kept_place.h — one connection's place among those that survive a restart; it may have none.
// Belongs to the connection's thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <utility>

#include "config/owned_fd.h"
#include "daemon/intake/kept_connections.h"
#include "daemon/intake/producer_ledger.h"

namespace outboxd {

class KeptPlace {
 public:
  KeptPlace() = default;  // none
  // Of a new connection, if there is room. `kept` may be null, and outlives the place.
  KeptPlace(KeptConnections* kept, int connection) {
    if (kept == nullptr) return;
    const auto place = kept->Add(connection, std::chrono::steady_clock::now());
    if (place) *this = KeptPlace(*kept, *place, false);
  }
  // Of one that has it already.
  KeptPlace(KeptConnections& kept, std::size_t place, bool owes) : kept_(&kept), place_(place), owes_(owes) {}

  bool exists() const { return kept_ != nullptr; }
  // Something is about to be read, or all that was read is answered.
  void SetOwes(bool owes) {
    if (kept_ == nullptr || std::exchange(owes_, owes) == owes) return;
    kept_->SetState(place_, owes ? KeptConnections::State::kOwing : KeptConnections::State::kQuiet);
  }
  // It was shut down.
  void End() {
    if (kept_ != nullptr) std::exchange(kept_, nullptr)->End(place_);
  }
  void HandOver(OwnedFd connection, LeftBehind left) {
    std::exchange(kept_, nullptr)->HandOver(place_, std::move(connection), std::move(left));
  }

 private:
  KeptConnections* kept_ = nullptr;
  std::size_t place_ = 0;
  bool owes_ = false;
};

}  // namespace outboxd
