// core/ascii.h — bytes of text that protocols know, whatever the locale says.
#pragma once

#include <string_view>

namespace outboxd {

inline constexpr std::string_view kHexDigits = "0123456789ABCDEF";

constexpr unsigned char Byte(char character) { return static_cast<unsigned char>(character); }
constexpr bool IsDigit(char byte) { return byte >= '0' && byte <= '9'; }

}  // namespace outboxd
