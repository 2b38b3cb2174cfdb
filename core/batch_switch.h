// core/batch_switch.h — how many jobs of a connection may share a request now. Pure: time is an argument.
//
//   off    one.
//   on     as many as the config allows.
//   auto   one while single requests are enough: while no more jobs wait than the connection can take within
//   a
//          second. Its capacity is `rate_limit`, or fewer: where jobs have waited for a second without a
//          break for a request to come back, as many as were answered in that second. Where more wait they
//          leave in batches, until for five seconds less than half of the capacity waited, and no more left
//          in any second than it. What was measured of the answers doubles every ten seconds in which nobody
//          waits for one, so that single requests are tried again. After each closure of the gate the first
//          request has one job, and each success of a request that was as large as allowed doubles that: a
//          recovering API does not get a thousand jobs second.
//
// A host without /api/v2/batch gets no batches, whatever the mode, until the config is read again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "core/last_second.h"
#include "core/names.h"
#include "core/time.h"

namespace outboxd {

enum class BatchMode : std::uint8_t { kOff, kOn, kAuto };
template <>
inline constexpr Names<BatchMode> kNames<BatchMode>{
    {{BatchMode::kOff, "off"}, {BatchMode::kOn, "on"}, {BatchMode::kAuto, "auto"}}};

// Whether jobs share requests now, or why not.
enum class BatchUse : std::uint8_t {
  kUsed,
  kOff,        // by the config
  kNotNeeded,  // auto: single requests are enough
  kNoRoute,    // the host has no /api/v2/batch
};
template <>
inline constexpr Names<BatchUse> kNames<BatchUse>{{{BatchUse::kUsed, "used"},
                                                   {BatchUse::kOff, "off"},
                                                   {BatchUse::kNotNeeded, "not_needed"},
                                                   {BatchUse::kNoRoute, "no_route"}}};

class BatchSwitch {
 public:
  struct Rules {
    BatchMode mode = BatchMode::kAuto;
    std::uint32_t items_max = 1;
    double rate_limit = 0;  // requests a second; 0: none
  };
  explicit BatchSwitch(const Rules& rules) { Configure(rules); }
  // The config was read: a host that had no batches is asked for one again.
  void Configure(const Rules& rules);

  // At least 1; 1: each job goes by itself.
  std::uint32_t ItemsMax() const { return items_now_; }
  BatchUse Use() const;

  // A request with so many jobs leaves.
  void OnSent(std::size_t jobs, Timestamp now) {
    if (is_auto_) sent_.Add(jobs, now);
  }
  // One was answered, whatever the answer.
  void OnAnswered(Timestamp now) {
    if (is_auto_) answered_.Add(1, now);
  }
  // One with so many jobs that left since the gate last closed was taken.
  void OnSuccess(std::size_t jobs) {
    if (is_auto_ && jobs >= grown_to_ && grown_to_ < rules_.items_max) Grow();
  }
  // The host has no batches.
  void OnNoRoute();

  // How it stands when all has left that may leave now.
  struct Load {
    std::uint64_t waiting = 0;         // jobs that are ready
    bool waits_for_an_answer = false;  // they would leave if one more request might be out
    bool is_open = true;               // the gate
  };
  void Look(const Load& load, Timestamp now) {
    if (is_auto_) LookClosely(load, now);
  }

 private:
  void Grow();
  void LookClosely(const Load& load, Timestamp now);
  void Measure(const Load& load, Timestamp now);
  bool IsOver(const Load& load, Timestamp now);
  double Capacity() const;
  void Decide();

  Rules rules_;
  bool is_auto_ = false;
  bool has_route_ = true;
  std::uint32_t items_now_ = 1;
  // With auto:
  bool is_needed_ = false;
  // Jobs in a request, since the gate last closed; as many as the config allows where it never did.
  std::uint32_t grown_to_ = std::numeric_limits<std::uint32_t>::max();
  LastSecond sent_;                       // jobs
  LastSecond answered_;                   // requests
  std::optional<Timestamp> waits_since_;  // for an answer, without a break
  std::optional<double> measured_;        // answers a second, where jobs waited for them
  std::optional<Timestamp> doubts_since_;
  std::optional<Timestamp> calm_since_;
};

}  // namespace outboxd
