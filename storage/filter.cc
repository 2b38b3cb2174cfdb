#include "storage/filter.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "core/time.h"
#include "core/ulid.h"
#include "storage/column.h"
#include "storage/moving_time.h"

namespace outboxd {

namespace {

class Builder {
 public:
  void Plain(std::string_view comparison) {
    if (!condition_.sql.empty()) condition_.sql += " AND ";
    condition_.sql += comparison;
  }
  void Add(std::string_view comparison, std::variant<std::int64_t, std::string> value) {
    Plain(comparison);
    condition_.values.push_back(std::move(value));
  }
  void Text(std::string_view comparison, const std::optional<std::string>& text) {
    if (text) Add(comparison, *text);
  }
  void Number(std::string_view comparison, const std::optional<std::int64_t>& number) {
    if (number) Add(comparison, *number);
  }
  void Time(std::string_view comparison, const std::optional<Timestamp>& at) {
    if (at) Add(comparison, ToSql(*at));
  }
  void Position(const std::optional<Sequence>& sequence) {
    if (sequence) Add("seq = ?", ToSql(*sequence));
  }
  SqlCondition Take() {
    if (condition_.sql.empty()) condition_.sql = "1";
    return std::move(condition_);
  }

 private:
  SqlCondition condition_;
};

}  // namespace

int SqlCondition::BindTo(Statement& statement, int index) const {
  for (const auto& value : values) {
    std::visit([&](const auto& one) { statement.BindAt(index, one); }, value);
    ++index;
  }
  return index;
}

SqlCondition ToSql(const JobFilter& filter) {
  Builder builder;
  builder.Position(filter.sequence);
  builder.Text("job = ?", filter.job);
  builder.Text("connection = ?", filter.connection);
  builder.Text("type = ?", filter.type);
  builder.Text("customer = ?", filter.customer);
  builder.Number("uid = ?", filter.uid);
  builder.Time(OUTBOXD_ACCEPTED " < ?", filter.accepted_before);
  builder.Time(OUTBOXD_ACCEPTED " > ?", filter.accepted_after);
  if (filter.deferred_only) builder.Plain("due_ms IS NOT NULL");
  return builder.Take();
}

SqlCondition ToSql(const DeadFilter& filter) {
  Builder builder;
  builder.Position(filter.sequence);
  builder.Text("job = ?", filter.job);
  builder.Text("connection = ?", filter.connection);
  builder.Text("type = ?", filter.type);
  builder.Text("customer = ?", filter.customer);
  builder.Number("uid = ?", filter.uid);
  builder.Text("death = ?", filter.death);
  builder.Text("cause = ?", filter.cause);
  builder.Number("status = ?", filter.status);
  builder.Time("dead_ms < ?", filter.dead_before);
  builder.Time("dead_ms > ?", filter.dead_after);
  return builder.Take();
}

}  // namespace outboxd
