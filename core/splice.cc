#include "core/splice.h"

#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "core/job.h"
#include "core/time.h"

namespace outboxd {
namespace {

// `json`: a string without escapes, as job lines are allowed to have it.
std::optional<Timestamp> ReadTimestampString(std::string_view json) {
  if (json.size() < 2) return std::nullopt;
  return ParseRfc3339(json.substr(1, json.size() - 2));
}

}  // namespace

void AppendTimestamp(std::string& out, const Job& job, const Stamp& stamp) {
  const std::string_view given = job.Text(job.timestamp);
  if (!given.empty() && given.front() != '"') {
    out += given;
    return;
  }
  const Timestamp at = ReadTimestampString(given).value_or(stamp.accepted);
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(),
                                 std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count())
                       .ptr;
  out.append(digits.data(), end);
}

void AppendEventId(std::string& out, const Job& job, const Stamp& stamp) {
  out += '"';
  if (job.event_id.empty()) {
    const auto id = stamp.id.ToChars();
    out.append(id.data(), id.size());
  } else {
    out += job.event_id;
  }
  out += '"';
}

}  // namespace outboxd
