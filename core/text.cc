#include "core/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/ascii.h"

namespace outboxd {
namespace {

bool IsContinuation(char byte) {
  return (Byte(byte) & 0xc0) == 0x80;
}

// How many bytes the code point has that begins with `lead`; 0 when none does.
std::size_t LengthOf(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

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

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

// Characters that hide, reorder or end text.
bool IsTreacherous(char32_t point) {
  return (point >= 0x80 && point <= 0x9f) || point == 0xad || point == 0x61c ||
         (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
         (point >= 0x2060 && point <= 0x206f) || point == 0xfeff || (point >= 0xfff9 && point <= 0xfffb) ||
         (point >= 0xe0000 && point <= 0xe0fff);
}

void AppendHexByte(std::string& out, char byte) {
  out += "\\x";
  out += kLowerHexDigits[Byte(byte) >> 4];
  out += kLowerHexDigits[Byte(byte) & 15];
}

void AppendHexPoint(std::string& out, char32_t point) {
  std::array<char, 8> digits{};
  const auto written =
      std::to_chars(digits.data(), digits.data() + digits.size(), static_cast<std::uint32_t>(point), 16);
  out += "\\u{";
  out.append(digits.data(), written.ptr);
  out += '}';
}

void AppendUtf16Unit(std::string& out, char32_t unit) {
  out += "\\u";
  for (const unsigned shift : {12U, 8U, 4U, 0U}) out += kLowerHexDigits[unit >> shift & 15];
}

// Beyond the first 65,536 a code point is a pair of surrogates.
void AppendJsonEscape(std::string& out, char32_t point) {
  if (point >= 0x10000) AppendUtf16Unit(out, 0xd800 + ((point - 0x10000) >> 10));
  AppendUtf16Unit(out, point < 0x10000 ? point : 0xdc00 + (point & 0x3ff));
}

}  // namespace

CodePoint DecodeUtf8(std::string_view text, std::size_t at) {
  const unsigned char lead = Byte(text[at]);
  const std::size_t length = LengthOf(lead);
  if (length == 1) return {lead, 1, true};
  if (length == 0 || at + length > text.size()) return {};
  char32_t value = lead & (0x7fU >> length);
  for (const char byte : text.substr(at + 1, length - 1)) {
    if (!IsContinuation(byte)) return {};
    value = (value << 6) | (Byte(byte) & 0x3fU);
  }
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast.at(length) || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, length, true};
}

bool IsUtf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    if (Byte(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const CodePoint point = DecodeUtf8(text, at);
    if (!point.valid) return false;
    at += point.length;
  }
  return true;
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = DecodeUtf8(text, at);
    out += point.valid ? text.substr(at, point.length) : kReplacement;
    at += point.length;
  }
  return out;
}

std::string_view CutAtCharacter(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  while (end > 0 && IsContinuation(text[end])) --end;
  return text.substr(0, end);
}

std::string OneLine(std::string text) {
  std::replace_if(text.begin(), text.end(), IsControl, ' ');
  return text;
}

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

std::string EscapeForTerminal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = DecodeUtf8(text, at);
    if (!point.valid || IsControl(text[at])) {
      AppendHexByte(out, text[at]);
    } else if (IsTreacherous(point.value)) {
      AppendHexPoint(out, point.value);
    } else {
      out += text.substr(at, point.length);
    }
    at += point.length;
  }
  return out;
}

// In JSON they can only stand in strings.
std::string EscapeJsonForTerminal(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (std::size_t at = 0; at < json.size();) {
    const CodePoint point = DecodeUtf8(json, at);
    if (!point.valid) {
      out += kReplacement;
    } else if (point.value == 0x7f || IsTreacherous(point.value)) {
      AppendJsonEscape(out, point.value);
    } else {
      out += json.substr(at, point.length);
    }
    at += point.length;
  }
  return out;
}

std::string GroupDigits(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string Counted(std::uint64_t count, std::string_view noun) {
  return GroupDigits(count).append(1, ' ').append(noun).append(count == 1 ? "" : "s");
}

}  // namespace outboxd
