// core/text.h — text of foreign origin: decoded, cut, and made fit for a line, a JSON text or a terminal.
//
// Pure. Takes any bytes, valid UTF-8 or not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace outboxd {

struct CodePoint {
  char32_t value = 0;
  std::size_t length = 1;  // in bytes
  bool valid = false;
};

// The code point at `at`, which is inside `text`: shortest form, no surrogates, at most U+10FFFF. What is
// none is invalid and one byte long.
CodePoint DecodeUtf8(std::string_view text, std::size_t at);

bool IsUtf8(std::string_view text);
// Each byte that belongs to no code point replaced by U+FFFD.
std::string ReplaceInvalidUtf8(std::string_view text);

// The start of `text` of at most `bytes_max` bytes that does not end inside a character.
std::string_view CutAtCharacter(std::string_view text, std::size_t bytes_max);

// Control bytes become spaces: none may reach a log line or a row.
std::string OneLine(std::string text);

// `text` as a JSON string with its quotes. Escapes only what must be, so it is never longer than any JSON
// string that means the same. Bytes above 0x7f are copied as they are.
void AppendJsonString(std::string& out, std::string_view text);

// Control bytes, DEL, C1 controls, bidi overrides, invisible characters and invalid UTF-8 as visible escapes
// (\xNN, \u{…}): safe for a terminal or a log line.
std::string EscapeForTerminal(std::string_view text);

// A JSON text as another that means the same and is as safe: such characters as \uXXXX.
std::string EscapeJsonForTerminal(std::string_view json);

// "12,345".
std::string GroupDigits(std::uint64_t number);
// "1 job", "12,345 jobs".
std::string Counted(std::uint64_t count, std::string_view noun);

}  // namespace outboxd
