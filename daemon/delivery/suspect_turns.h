// daemon/delivery/suspect_turns.h — when a suspect may leave: after others that are ready, yet one request in
// ten is a suspect's. One is under way; each that is delivered doubles that, a failure sets it back to one.
// Pure; belongs to the dispatcher.
#pragma once

#include <algorithm>
#include <cstdint>

namespace outboxd {

enum class SuspectTurn : std::uint8_t {
  kNotNow,
  kFirst,  // the next request is a suspect's
  kLast,   // only where nothing else is ready
};

class SuspectTurns {
 public:
  // `is_probing`: the gate's probe is a suspect only where nothing else is ready.
  SuspectTurn Now(bool is_probing) const {
    if (out_ >= limit_) return SuspectTurn::kNotNow;
    return others_since_ >= kOthers && !is_probing ? SuspectTurn::kFirst : SuspectTurn::kLast;
  }
  void OnSent(bool is_suspects) {
    out_ += is_suspects ? 1 : 0;
    others_since_ = is_suspects ? 0 : std::min(others_since_ + 1, kOthers);
  }
  // Of a suspect's request.
  void OnDelivered(std::uint32_t gate_limit) {
    --out_;
    limit_ = std::clamp(limit_ * 2, 1U, std::max(gate_limit, 1U));
  }
  void OnFailed() {
    --out_;
    limit_ = 1;
  }
  void OnReturned() { --out_; }
  std::uint32_t out() const { return out_; }

 private:
  static constexpr std::uint32_t kOthers = 9;  // requests of others for one of a suspect

  std::uint32_t out_ = 0;
  std::uint32_t limit_ = 1;
  std::uint32_t others_since_ = kOthers;
};

}  // namespace outboxd
