// storage/column.h — values of ours as the database's integers, and back.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

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
inline std::int64_t ToSql(Timestamp at) {
  return ToUnixMs(at);
}
inline std::optional<std::int64_t> ToSql(const std::optional<Timestamp>& at) {
  if (!at) return std::nullopt;
  return ToUnixMs(*at);
}

inline std::optional<std::int64_t> ToSql(const std::optional<std::uint64_t>& count) {
  if (!count) return std::nullopt;
  return static_cast<std::int64_t>(*count);
}

inline Sequence SequenceAt(const Statement& row, int column) {
  return Sequence{static_cast<std::uint64_t>(row.Int(column))};
}
// A damaged row may hold any number: kept between the years 1970 and 9999, differences of times stay in
// range.
inline Timestamp TimeAt(const Statement& row, int column) {
  constexpr std::int64_t kLatestUnixMs = 253'402'300'799'999;
  return FromUnixMs(std::clamp<std::int64_t>(row.Int(column), 0, kLatestUnixMs));
}
inline std::optional<Timestamp> TimeOrNullAt(const Statement& row, int column) {
  if (row.IsNull(column)) return std::nullopt;
  return TimeAt(row, column);
}
// Likewise for times of the boot clock.
inline std::optional<Milliseconds> BootTimeOrNullAt(const Statement& row, int column) {
  constexpr std::int64_t kMost = std::int64_t{1} << 48;
  if (row.IsNull(column)) return std::nullopt;
  return Milliseconds(std::clamp<std::int64_t>(row.Int(column), 0, kMost));
}
// Likewise for numbers of attempts and the like.
inline std::uint32_t CountAt(const Statement& row, int column) {
  constexpr std::int64_t kMost = 1'000'000'000;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(row.Int(column), 0, kMost));
}
// Likewise for a count of deliveries, far below what would overflow.
inline constexpr std::int64_t kDeliveriesMax = std::int64_t{1} << 48;
inline std::optional<std::uint64_t> DeliveriesOrNullAt(const Statement& row, int column) {
  if (row.IsNull(column)) return std::nullopt;
  return static_cast<std::uint64_t>(std::clamp<std::int64_t>(row.Int(column), 0, kDeliveriesMax));
}
inline std::string TextAt(const Statement& row, int column) {
  return std::string(row.Text(column));
}
inline std::optional<std::string> TextOrNullAt(const Statement& row, int column) {
  if (row.IsNull(column)) return std::nullopt;
  return TextAt(row, column);
}

}  // namespace outboxd
