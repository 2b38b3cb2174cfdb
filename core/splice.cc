#include "core/splice.h"

#include <array>
#include <charconv>
#include <optional>

#include "core/ascii.h"

namespace outboxd {
namespace {

// 0: stands for itself in a JSON string; 'u': \u00XX; else the letter behind the backslash.
constexpr std::array<char, 256> kEscapes = [] {
  std::array<char, 256> escapes{};
  for (std::size_t byte = 0; byte < 0x20; ++byte) escapes[byte] = 'u';
  escapes['\b'] = 'b';
  escapes['\f'] = 'f';
  escapes['\n'] = 'n';
  escapes['\r'] = 'r';
  escapes['\t'] = 't';
  escapes['"'] = '"';
  escapes['\\'] = '\\';
  return escapes;
}();

// `json`: a string without escapes, as job lines are allowed to have it.
std::optional<Timestamp> ReadTimestampString(std::string_view json) {
  if (json.size() < 2) return std::nullopt;
  return ParseRfc3339(json.substr(1, json.size() - 2));
}

}  // namespace

void AppendJsonString(std::string& out, std::string_view text) {
  out += '"';
  std::size_t copied = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char escape = kEscapes[Byte(text[i])];
    if (escape == 0) continue;
    out.append(text, copied, i - copied);
    copied = i + 1;
    out += '\\';
    out += escape;
    if (escape == 'u') {
      out += "00";
      out += kHexDigits[Byte(text[i]) >> 4];
      out += kHexDigits[Byte(text[i]) & 15];
    }
  }
  out.append(text, copied);
  out += '"';
}

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
