// core/ascii.h — bytes of text that protocols know, whatever the locale says.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace outboxd {

inline constexpr std::string_view kHexDigits = "0123456789ABCDEF";
inline constexpr std::string_view kLowerHexDigits = "0123456789abcdef";

constexpr unsigned char Byte(char character) {
  return static_cast<unsigned char>(character);
}
constexpr bool IsDigit(char byte) {
  return byte >= '0' && byte <= '9';
}

constexpr bool IsLetter(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}
constexpr bool IsControl(char byte) {
  return Byte(byte) < 0x20 || byte == 0x7f;
}
constexpr char Lower(char byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte - 'A' + 'a') : byte;
}

constexpr bool EqualsIgnoringCase(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](char a, char b) { return Lower(a) == Lower(b); });
}

// Which bytes belong to a set.
using ByteTable = std::array<bool, 256>;

constexpr ByteTable LettersDigitsAnd(std::string_view more) {
  ByteTable table{};
  for (unsigned byte = '0'; byte <= '9'; ++byte) table[byte] = true;
  for (unsigned byte = 'A'; byte <= 'Z'; ++byte) table[byte] = true;
  for (unsigned byte = 'a'; byte <= 'z'; ++byte) table[byte] = true;
  for (const char byte : more) table[Byte(byte)] = true;
  return table;
}

}  // namespace outboxd
