#include "core/batch_switch.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>

#include "core/time.h"

namespace outboxd {
namespace {

constexpr Milliseconds kSecond{1000};
constexpr Milliseconds kCalmFor = std::chrono::seconds(5);
constexpr Milliseconds kDoubtAfter = std::chrono::seconds(10);

// Since when something holds; it holds now. A clock that was set back starts it anew.
Milliseconds Held(std::optional<Timestamp>& since, Timestamp now) {
  if (!since || now < *since) since = now;
  return now - *since;
}

}  // namespace

void BatchSwitch::Configure(const Rules& rules) {
  rules_ = rules;
  is_auto_ = rules.mode == BatchMode::kAuto;
  has_route_ = true;
  if (!is_auto_) is_needed_ = false;
  Decide();
}

BatchUse BatchSwitch::Use() const {
  if (rules_.mode == BatchMode::kOff) return BatchUse::kOff;
  if (!has_route_) return BatchUse::kNoRoute;
  return is_auto_ && !is_needed_ ? BatchUse::kNotNeeded : BatchUse::kUsed;
}

void BatchSwitch::OnNoRoute() {
  has_route_ = false;
  Decide();
}

void BatchSwitch::Grow() {
  grown_to_ = grown_to_ > rules_.items_max / 2 ? rules_.items_max : grown_to_ * 2;
  Decide();
}

void BatchSwitch::LookClosely(const Load& load, Timestamp now) {
  if (!load.is_open) grown_to_ = 1;
  Measure(load, now);
  if (is_needed_) {
    is_needed_ = !IsOver(load, now);
  } else {
    is_needed_ = load.waiting > 1 && static_cast<double>(load.waiting) > Capacity();
    calm_since_.reset();
    doubts_since_.reset();
  }
  Decide();
}

// Answers to batches say nothing of how many single requests are answered: what was measured before stands.
void BatchSwitch::Measure(const Load& load, Timestamp now) {
  if (!load.waits_for_an_answer) waits_since_.reset();
  const bool has_waited = load.waits_for_an_answer && Held(waits_since_, now) >= kSecond;
  if (!is_needed_) {
    measured_.reset();
    if (has_waited) measured_ = std::max(1.0, static_cast<double>(answered_.Count(now)));
    return;
  }
  if (!measured_ || has_waited) {
    doubts_since_.reset();
  } else if (Held(doubts_since_, now) >= kDoubtAfter) {
    *measured_ *= 2;
    doubts_since_ = now;
  }
}

bool BatchSwitch::IsOver(const Load& load, Timestamp now) {
  const double capacity = Capacity();
  if (static_cast<double>(load.waiting) * 2 < capacity && static_cast<double>(sent_.Count(now)) <= capacity)
    return Held(calm_since_, now) >= kCalmFor;
  calm_since_.reset();
  return false;
}

double BatchSwitch::Capacity() const {
  constexpr double kNoLimit = std::numeric_limits<double>::infinity();
  return std::min(rules_.rate_limit > 0 ? rules_.rate_limit : kNoLimit, measured_.value_or(kNoLimit));
}

void BatchSwitch::Decide() {
  switch (Use()) {
    case BatchUse::kUsed:
      items_now_ = is_auto_ ? std::min(grown_to_, rules_.items_max) : rules_.items_max;
      return;
    case BatchUse::kOff:
    case BatchUse::kNotNeeded:
    case BatchUse::kNoRoute:
      items_now_ = 1;
      return;
  }
}

}  // namespace outboxd
