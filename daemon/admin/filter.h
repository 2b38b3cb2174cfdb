// daemon/admin/filter.h — query parameters and `filter` objects of the admin API → filters of storage/. Pure.
//
// Strict: an unknown name, a name given twice or a value that cannot match is kInvalid with the name as
// `field`; a filter that was misspelt must never widen a redrive or a drop.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/base/status.h"
#include "storage/filter.h"
#include "storage/inspection.h"

namespace outboxd {

// kInvalid that names the member or parameter.
Failure Invalid(std::string_view field, std::string message);

// Decoded names and values. "+" stays "+": customers' e-mail addresses contain it.
using NamedValues = std::vector<std::pair<std::string, std::string>>;
NamedValues ParseQuery(std::string_view raw_query);
// Text, whole numbers and booleans as text; anything else is kInvalid.
Result<NamedValues> ParseFilterObject(const JsonValue& filter);

struct JobsQuery {
  JobFilter filter;
  std::optional<JobState> state;
  PageRequest page;
};
Result<JobsQuery> ParseJobsQuery(const NamedValues& values, Timestamp now);

struct DeadQuery {
  DeadFilter filter;
  PageRequest page;
  Detail detail = Detail::kRow;
};
Result<DeadQuery> ParseDeadQuery(const NamedValues& values, Timestamp now);
// The filter alone: no paging.
Result<DeadFilter> ParseDeadFilter(const NamedValues& values, Timestamp now);

struct HistoryQuery {
  std::optional<Ulid> job;  // or the filter, of which something is set, never both
  AttemptFilter filter;
  PageRequest page;
};
Result<HistoryQuery> ParseHistoryQuery(const NamedValues& values);

}  // namespace outboxd
