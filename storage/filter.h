// storage/filter.h — which jobs or dead letters an operator means. Absent members match everything.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/time.h"
#include "core/ulid.h"

namespace outboxd {

class Statement;

struct JobFilter {
  std::optional<std::string> connection, type, customer;
  std::optional<std::int64_t> uid;
  std::optional<std::string> job;  // the whole id; quick only together with `sequence`
  std::optional<Sequence> sequence;
  std::optional<Timestamp> accepted_before, accepted_after;  // both exclusive
  bool deferred_only = false;                                // rows with a next attempt of their own
};

struct DeadFilter {
  std::optional<std::string> connection, type, customer, death, cause;
  std::optional<std::int64_t> status, uid;
  std::optional<std::string> job;  // the whole id; quick only together with `sequence`
  std::optional<Sequence> sequence;
  std::optional<Timestamp> dead_before, dead_after;  // both exclusive

  bool MatchesAll() const {
    return !connection && !type && !customer && !death && !cause && !status && !uid && !job && !sequence &&
           !dead_before && !dead_after;
  }
};

// A boolean SQL expression over the columns of outbox or dead_letters ("1" when everything matches), with one
// "?" for each of `values`, in this order. An operator's text only ever travels as a bound value.
struct SqlCondition {
  std::string sql;
  std::vector<std::variant<std::int64_t, std::string>> values;

  // Binds the values from parameter `index` on; the condition must outlive the statement's use. Returns the
  // first index after them.
  int BindTo(Statement& statement, int index) const;
};

SqlCondition ToSql(const JobFilter& filter);   // columns of `outbox`
SqlCondition ToSql(const DeadFilter& filter);  // columns of `dead_letters`

}  // namespace outboxd
