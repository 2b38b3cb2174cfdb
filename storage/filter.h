// storage/filter.h — which jobs or dead letters an operator means. Absent members match everything.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/time.h"
#include "core/ulid.h"

namespace outboxd {

struct JobFilter {
  std::optional<std::string> connection, type, customer;
  std::optional<Sequence> sequence;
  std::optional<Timestamp> accepted_before, accepted_after;
};

struct DeadFilter {
  std::optional<std::string> connection, type, customer, death, cause;
  std::optional<std::int64_t> status;
  std::optional<Sequence> sequence;
  std::optional<Timestamp> dead_before, dead_after;

  bool MatchesAll() const {
    return !connection && !type && !customer && !death && !cause && !status && !sequence && !dead_before && !dead_after;
  }
};

}  // namespace outboxd
