// core/encoding.h — percent-encoding (RFC 3986) and base64 (RFC 4648). Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace outboxd {

// Everything but ALPHA / DIGIT / "-" / "." / "_" / "~" becomes %XX.
std::string PercentEncode(std::string_view text);
void AppendPercentEncoded(std::string& out, std::string_view text);

// `byte` as %XX.
void AppendPercentEscape(std::string& out, char byte);
// Whether a "%XX" stands at `at`, which is inside `text`.
bool IsPercentEscape(std::string_view text, std::size_t at);

// Decodes %XX; leaves "+" alone; bytes that are not a valid escape stay as they are.
std::string PercentDecode(std::string_view text);

// The standard alphabet, with padding.
std::string Base64Encode(std::string_view bytes);
// Takes the standard and the URL-safe alphabet, with or without padding; nullopt for anything else.
std::optional<std::string> Base64Decode(std::string_view text);

}  // namespace outboxd
