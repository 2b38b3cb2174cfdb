// tests/track_sim/ledger.h — the effects that took place, customer by customer, and what was wrong about
// their order or number.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tests/track_sim/rules.h"

namespace outboxd::sim {

struct RecordedEffect {
  std::string_view type;
  std::vector<std::string> customers;
  std::string name;
  std::string event_id;
  std::optional<std::int64_t> n;
  std::uint64_t payload_hash = 0;
  std::int64_t at_ms = 0;
};

struct LedgerCounts {
  std::uint64_t effects = 0;
  std::uint64_t repeated_ulids = 0;  // events ignored because their ULID was there before
  std::uint64_t doubled =
      0;  // events that took effect twice: same customer, name and n under another ULID or none
  std::uint64_t order_violations =
      0;  // n not above an earlier n of its customer; a repeated identify may equal it
  std::uint64_t events_without_id = 0;
};

// kCountsOnly bounds memory for long benchmarks: neither effects nor ULIDs are remembered, so repeats and
// doubles go unseen.
enum class Remember : std::uint8_t { kEverything, kCountsOnly };

class Ledger {
 public:
  explicit Ledger(Remember remember) : remember_(remember) {}

  // False when the effect was ignored because its ULID is known.
  bool Apply(Effect effect, std::int64_t at_ms);
  void Forget();

  const LedgerCounts& counts() const { return counts_; }
  std::size_t customers() const { return customers_.size(); }
  const std::vector<RecordedEffect>& effects() const { return effects_; }
  // Positions in effects(), in order; empty for an unknown customer.
  std::vector<std::size_t> PositionsOf(const std::string& customer) const;

 private:
  struct Customer {
    std::optional<std::int64_t> highest_n;
    std::vector<std::size_t> positions;
  };
  void CheckNumber(const Effect& effect, Customer& customer);

  Remember remember_;
  LedgerCounts counts_;
  std::vector<RecordedEffect> effects_;
  std::unordered_map<std::string, Customer> customers_;
  std::unordered_set<std::string> event_ids_;
  std::unordered_set<std::string> numbered_;  // customer, name and n of the events that carry an n
};

}  // namespace outboxd::sim
