// daemon/clerk/report.h — what the dispatcher wants written, and what the clerk tells it is on stable
// storage.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/gate.h"
#include "core/job.h"
#include "core/ulid.h"
#include "storage/outbox.h"
#include "storage/outcome.h"

namespace outboxd {

// How long what is to be written may wait for company, so that the disk is asked less often.
enum class Haste : std::uint8_t {
  kWhenever,  // nobody waits for it: Clerk::kOutcomePatience
  kSoon,
  kAtOnce,  // nothing else can be sent before it is written
};

// dispatcher → clerk: what is to be written.
struct Report {
  std::vector<Outcome> outcomes;
  std::vector<Park> parks;
  std::optional<std::uint64_t> ticket;  // given by the dispatcher, rising; comes back in Committed
  std::vector<std::pair<std::string, GateSnapshot>> gates;
  Haste haste = Haste::kSoon;  // its own, and that of the reports before it
  bool hurries = false;        // one of those before it waited for company
  bool empty() const { return outcomes.empty() && parks.empty() && gates.empty(); }
};

// clerk → dispatcher: what is on stable storage now.
struct Committed {
  std::vector<std::unique_ptr<QueuedJob>> accepted;  // in order
  bool left_out = false;  // `accepted` is, because the dispatcher has enough to do: they are on disk
  Sequence last{};        // the highest sequence written so far
  std::vector<Outcome> outcomes;
  std::optional<std::uint64_t> ticket;  // of the newest Report written, if any was; they are written in order
};

}  // namespace outboxd
