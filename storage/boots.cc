#include "storage/boots.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/result.h"
#include "core/time.h"
#include "storage/column.h"
#include "storage/database.h"

namespace outboxd {
namespace {

Result<void> RunOnce(Database& database, std::string_view sql, std::int64_t number, std::int64_t value) {
  ASSIGN_OR_RETURN(Statement statement, database.Prepare(sql));
  return statement.Run(number, value);
}

// Rows are in the order of their boots, as of their sequences. One whose boot is not known is older.
constexpr std::string_view kForgetUnused =
    "DELETE FROM boots WHERE number < ?1 AND "
    "number < coalesce((SELECT coalesce(boot, 0) FROM outbox ORDER BY seq LIMIT 1), ?1) AND "
    "number < coalesce((SELECT coalesce(boot, 0) FROM dead_letters ORDER BY seq LIMIT 1), ?1)";

}  // namespace

Result<Boots> Boots::Load(Database& database) {
  ASSIGN_OR_RETURN(Statement row,
                   database.Prepare("SELECT number, id, offset_ms FROM boots ORDER BY number DESC LIMIT 1"));
  Boots boots;
  ASSIGN_OR_RETURN(const bool is_there, row.Step());
  if (!is_there) return boots;
  constexpr std::int64_t kMost = std::int64_t{1} << 48;  // of a damaged row
  boots.number_ = std::clamp<std::int64_t>(row.Int(0), 0, kMost);
  boots.id_ = TextAt(row, 1);
  if (row.IsInteger(2)) boots.offset_ = ClockOffset(Milliseconds(std::clamp(row.Int(2), -kMost, kMost)));
  return boots;
}

bool Boots::IsNews(const ClockReading& clock) const {
  if (clock.boot_id.empty()) return false;
  return clock.boot_id != id_ || ClockOffset(offset_).See(clock);
}

Result<void> Boots::Write(Database& database, const ClockReading& clock) {
  if (clock.boot_id != id_) {
    ++number_;
    id_ = clock.boot_id;
    offset_ = ClockOffset();
    ASSIGN_OR_RETURN(Statement add, database.Prepare("INSERT INTO boots (number, id) VALUES (?, ?)"));
    RETURN_IF_ERROR(add.Run(number_, std::string_view(id_)));
    ASSIGN_OR_RETURN(Statement forget, database.Prepare(kForgetUnused));
    RETURN_IF_ERROR(forget.Run(number_));
  }
  if (!offset_.See(clock)) return {};
  RETURN_IF_ERROR(RunOnce(database, "UPDATE boots SET offset_ms = ?2 WHERE number = ?1", number_,
                          offset_.known()->count()));
  return RunOnce(database,
                 "UPDATE boots SET set_ms = ?2 WHERE number < ?1 AND offset_ms IS NULL AND set_ms IS NULL",
                 number_, ToSql(clock.wall));
}

std::optional<Milliseconds> Boots::MovedSince(const Boots& before) const {
  if (number_ != before.number_ || !before.offset_.known() || !offset_.known()) return std::nullopt;
  return *offset_.known() - *before.offset_.known();
}

BootMoment Boots::Moment(const ClockReading& clock) const {
  if (clock.boot_id.empty() || clock.boot_id != id_) return {};
  return {number_, clock.boot.count(), clock.IsTrusted() ? 1 : 0};
}

}  // namespace outboxd
