// core/ascii.h — bytes of text that protocols know, whatever the locale says.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace outboxd {

inline constexpr std::string_view kHexDigits = "0123456789ABCDEF";

constexpr unsigned char Byte(char character) {
  return static_cast<unsigned char>(character);
}
constexpr bool IsDigit(char byte) {
  return byte >= '0' && byte <= '9';
}

constexpr bool IsLetter(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}
constexpr char Lower(char byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte - 'A' + 'a') : byte;
}

constexpr bool EqualsIgnoringCase(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](char a, char b) { return Lower(a) == Lower(b); });
}

// %XX (RFC 3986 section 2.1).
inline void AppendEscaped(std::string& out, char byte) {
  out += '%';
  out += kHexDigits[Byte(byte) >> 4];
  out += kHexDigits[Byte(byte) & 15];
}

}  // namespace outboxd
