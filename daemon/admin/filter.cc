#include "daemon/admin/filter.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/encoding.h"
#include "core/job.h"
#include "core/job_types.h"
#include "core/json.h"
#include "core/names.h"
#include "core/result.h"
#include "core/text.h"
#include "core/time.h"
#include "core/ulid.h"
#include "core/verdict.h"
#include "daemon/base/status.h"
#include "storage/filter.h"
#include "storage/history_pack.h"
#include "storage/inspection.h"
#include "storage/outcome.h"

namespace outboxd {

namespace {

constexpr std::int64_t kRowsMax = 1000;
constexpr std::int64_t kUidMax = std::numeric_limits<std::uint32_t>::max();
constexpr std::int64_t kAgeMaxSeconds = 100LL * 365 * 24 * 3600;

Result<std::int64_t> ParseWhole(std::string_view field, std::string_view text, std::int64_t min,
                                std::int64_t max) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < min || number > max) {
    return Invalid(field,
                   "must be a whole number from " + std::to_string(min) + " to " + std::to_string(max));
  }
  return number;
}

Result<Ulid> ParseJobId(std::string_view field, std::string_view text) {
  const std::optional<Ulid> id = Ulid::Parse(text);
  if (!id) return Invalid(field, "is not a job id (26 letters and digits)");
  return *id;
}

Result<JobState> ParseState(std::string_view field, std::string_view text) {
  if (const std::optional<JobState> state = kNames<JobState>.Find(text)) return *state;
  return Invalid(field, "must be " + ListNames<JobState>());
}

Result<bool> ParseBool(std::string_view field, std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return Invalid(field, "must be true or false");
}

// Puts a parsed value where it belongs, or hands the error on. True: the name was one that is known.
template <typename Value, typename Target>
Result<bool> Store(Result<Value> value, Target& target) {
  ASSIGN_OR_RETURN(auto taken, std::move(value));
  target = static_cast<Target>(std::move(taken));
  return true;
}

Result<Timestamp> ParseAge(std::string_view field, std::string_view text, Timestamp now) {
  ASSIGN_OR_RETURN(const std::int64_t age_s, ParseWhole(field, text, 0, kAgeMaxSeconds));
  return now - std::chrono::seconds(age_s);
}

Result<std::string> ParseType(std::string_view field, std::string_view text) {
  if (!kNames<JobType>.Find(text)) return Invalid(field, "is not a job type");
  return std::string(text);
}

Result<std::string> ParseDeath(std::string_view field, std::string_view text) {
  if (kNames<Death>.Find(text)) return std::string(text);
  return Invalid(field, "must be " + ListNames<Death>());
}

Result<std::string> ParseFate(std::string_view field, std::string_view text) {
  if (kNames<Fate>.Find(text)) return std::string(text);
  return Invalid(field, "must be " + ListNames<Fate>());
}

Result<Timestamp> ParseTime(std::string_view field, std::string_view text) {
  constexpr std::int64_t kLatestUnixMs = 253'402'300'799'999;
  ASSIGN_OR_RETURN(const std::int64_t unix_ms, ParseWhole(field, text, 0, kLatestUnixMs));
  return FromUnixMs(unix_ms);
}

template <typename Filter>
Result<bool> SetCommon(Filter& filter, std::string_view name, const std::string& value) {
  if (name == "connection") return Store(Result<std::string>(value), filter.connection);
  if (name == "customer") return Store(Result<std::string>(value), filter.customer);
  if (name == "type") return Store(ParseType(name, value), filter.type);
  if (name == "uid") return Store(ParseWhole(name, value, 0, kUidMax), filter.uid);
  if (name != "job") return false;
  ASSIGN_OR_RETURN(const Ulid id, ParseJobId(name, value));
  filter.job = id.ToText();
  filter.sequence = id.SequencePart();
  return true;
}

Result<bool> SetJobs(JobsQuery& query, std::string_view name, const std::string& value, Timestamp now) {
  if (name == "state") return Store(ParseState(name, value), query.state);
  if (name == "older_than_s") return Store(ParseAge(name, value, now), query.filter.accepted_before);
  if (name == "newer_than_s") return Store(ParseAge(name, value, now), query.filter.accepted_after);
  return SetCommon(query.filter, name, value);
}

Result<bool> SetDead(DeadFilter& filter, std::string_view name, const std::string& value, Timestamp now) {
  if (name == "death") return Store(ParseDeath(name, value), filter.death);
  if (name == "cause") return Store(Result<std::string>(value), filter.cause);
  if (name == "status") return Store(ParseWhole(name, value, 100, 999), filter.status);
  if (name == "older_than_s") return Store(ParseAge(name, value, now), filter.dead_before);
  if (name == "newer_than_s") return Store(ParseAge(name, value, now), filter.dead_after);
  return SetCommon(filter, name, value);
}

Result<bool> SetHistory(AttemptFilter& filter, std::string_view name, const std::string& value) {
  const Result<std::string> text(value);
  if (name == "customer") return Store(text, filter.customer);
  if (name == "connection") return Store(text, filter.connection);
  if (name == "name") return Store(Result<std::string>(CutAtCharacter(value, kNameKeptBytes)), filter.name);
  if (name == "ref") return Store(text, filter.ref);
  if (name == "result") return Store(ParseFate(name, value), filter.result);
  if (name == "uid") return Store(ParseWhole(name, value, 0, kUidMax), filter.uid);
  if (name == "from_ms") return Store(ParseTime(name, value), filter.from);
  if (name == "to_ms") return Store(ParseTime(name, value), filter.to);
  return false;
}

Result<bool> SetPage(PageRequest& page, std::string_view name, const std::string& value) {
  if (name == "limit") return Store(ParseWhole(name, value, 1, kRowsMax), page.rows_max);
  if (name != "after") return false;
  ASSIGN_OR_RETURN(const std::int64_t after,
                   ParseWhole(name, value, 0, std::numeric_limits<std::int64_t>::max()));
  page.after = Sequence{static_cast<std::uint64_t>(after)};
  return true;
}

// Hands each pair to `set`, which tells whether it knows the name.
template <typename Set>
Result<void> ForEachName(const NamedValues& values, Set set) {
  for (auto pair = values.begin(); pair != values.end(); ++pair) {
    const std::string& name = pair->first;
    if (std::any_of(values.begin(), pair, [&](const auto& earlier) { return earlier.first == name; })) {
      return Invalid(name, "is given twice");
    }
    ASSIGN_OR_RETURN(const bool known, set(std::string_view(name), pair->second));
    if (!known) return Invalid(name, "is unknown here");
  }
  return {};
}

}  // namespace

Failure Invalid(std::string_view field, std::string message) {
  return Fail(ErrorKind::kInvalid, std::move(message), std::string(field));
}

NamedValues ParseQuery(std::string_view raw_query) {
  NamedValues values;
  while (!raw_query.empty()) {
    const std::size_t ampersand = raw_query.find('&');
    const std::string_view pair = raw_query.substr(0, ampersand);
    raw_query = ampersand == std::string_view::npos ? std::string_view() : raw_query.substr(ampersand + 1);
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    values.emplace_back(PercentDecode(pair.substr(0, equals)), PercentDecode(value));
  }
  return values;
}

Result<NamedValues> ParseFilterObject(const JsonValue& filter) {
  NamedValues values;
  if (filter.IsNull()) return values;
  if (!filter.IsObject()) return Invalid("filter", "must be an object");
  for (const auto& [name, value] : filter.Members()) {
    if (value.IsString()) {
      values.emplace_back(name, value.String());
    } else if (value.IsNumber() || value.IsBool()) {
      values.emplace_back(name, value.ToText());
    } else {
      return Invalid(name, "must be text or a number");
    }
  }
  return values;
}

Result<JobsQuery> ParseJobsQuery(const NamedValues& values, Timestamp now) {
  JobsQuery query;
  RETURN_IF_ERROR(ForEachName(values, [&](std::string_view name, const std::string& value) -> Result<bool> {
    Result<bool> known = SetPage(query.page, name, value);
    return known && !*known ? SetJobs(query, name, value, now) : known;
  }));
  return query;
}

Result<DeadQuery> ParseDeadQuery(const NamedValues& values, Timestamp now) {
  DeadQuery query;
  const auto set = [&](std::string_view name, const std::string& value) -> Result<bool> {
    if (name == "full") {
      ASSIGN_OR_RETURN(const bool full, ParseBool(name, value));
      query.detail = full ? Detail::kFull : Detail::kRow;
      return true;
    }
    Result<bool> known = SetPage(query.page, name, value);
    return known && !*known ? SetDead(query.filter, name, value, now) : known;
  };
  RETURN_IF_ERROR(ForEachName(values, set));
  return query;
}

Result<DeadFilter> ParseDeadFilter(const NamedValues& values, Timestamp now) {
  DeadFilter filter;
  RETURN_IF_ERROR(ForEachName(values, [&](std::string_view name, const std::string& value) {
    return SetDead(filter, name, value, now);
  }));
  return filter;
}

Result<HistoryQuery> ParseHistoryQuery(const NamedValues& values) {
  HistoryQuery query;
  bool has_filter = false;
  RETURN_IF_ERROR(ForEachName(values, [&](std::string_view name, const std::string& value) -> Result<bool> {
    if (name == "job") return Store(ParseJobId(name, value), query.job);
    Result<bool> known = SetHistory(query.filter, name, value);
    if (!known) return known;
    has_filter = has_filter || *known;
    return *known ? known : SetPage(query.page, name, value);
  }));
  if (query.job && query.filter.connection)
    return Invalid("connection", "goes with a customer, not with a job");
  if (query.job.has_value() == has_filter)
    return Invalid("job", "give either a job or a filter: customer, name, ref, …");
  return query;
}

}  // namespace outboxd
