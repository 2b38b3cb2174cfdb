// storage/column.h — values of ours as SQLite's integers, and back.
#pragma once

#include <cstdint>
#include <optional>

#include "core/job.h"
#include "core/time.h"
#include "core/ulid.h"
#include "storage/database.h"

namespace outboxd {

inline std::int64_t ToSql(Sequence sequence) {
  return static_cast<std::int64_t>(ToNumber(sequence));
}
inline std::int64_t ToSql(LaneKey lane) {
  return static_cast<std::int64_t>(lane);
}

inline Sequence SequenceAt(const Statement& row, int column) {
  return Sequence{static_cast<std::uint64_t>(row.Int(column))};
}
inline std::optional<Timestamp> TimeOrNullAt(const Statement& row, int column) {
  const std::optional<std::int64_t> unix_ms = row.IntOrNull(column);
  if (!unix_ms) return std::nullopt;
  return FromUnixMs(*unix_ms);
}

}  // namespace outboxd
