#include "core/splice.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
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

void AppendSeconds(std::string& out, std::string_view given, const Stamp& stamp) {
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

void AppendInPlace(std::string& out, const Job& job, const Stamp& stamp, const Edit& edit) {
  switch (edit.by) {
    case Edit::By::kEventId:
      return AppendEventId(out, job, stamp);
    case Edit::By::kTime:
      return AppendTimestamp(out, job, stamp);
    case Edit::By::kSeconds:
      return AppendSeconds(out, job.Text(edit.text), stamp);
    case Edit::By::kEmptyObject:
      out += "{}";
      return;
    case Edit::By::kNothing:
      return;
  }
}

}  // namespace

void AppendTimestamp(std::string& out, const Job& job, const Stamp& stamp) {
  AppendSeconds(out, job.Text(job.timestamp), stamp);
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

void AppendEdited(std::string& out, const Job& job, const Stamp& stamp, Slice whole,
                  std::span<const Edit> edits) {
  std::size_t copied = whole.offset;
  const std::size_t end = std::size_t{whole.offset} + whole.length;
  const std::string_view line = job.line;
  for (const Edit& edit : edits) {
    if (edit.place.offset < copied || edit.place.offset + edit.place.length > end) continue;
    out += line.substr(copied, edit.place.offset - copied);
    AppendInPlace(out, job, stamp, edit);
    copied = edit.place.offset + edit.place.length;
  }
  out += line.substr(copied, end - copied);
}

}  // namespace outboxd
