// core/ascii.h — bytes of text that protocols know, whatever the locale says.
#pragma once

#include <string>
#include <string_view>

namespace outboxd {

inline constexpr std::string_view kHexDigits = "0123456789ABCDEF";

constexpr unsigned char Byte(char character) { return static_cast<unsigned char>(character); }
constexpr bool IsDigit(char byte) { return byte >= '0' && byte <= '9'; }

// %XX (RFC 3986 section 2.1).
inline void AppendEscaped(std::string& out, char byte) {
  out += '%';
  out += kHexDigits[Byte(byte) >> 4];
  out += kHexDigits[Byte(byte) & 15];
}

}  // namespace outboxd
