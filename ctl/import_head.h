// ctl/import_head.h — what an input that is to be imported is instead of lines of JSON, by its first bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace outboxd {

bool IsGzip(std::string_view head);

// Enough of the beginning to judge by: its first line that is not blank, or a good piece of it.
bool SufficesAsHead(std::string_view head);

enum class Packing : std::uint8_t { kNone, kGzip };

// What `head`, the beginning of `file` ("-": of standard input) once it is unpacked, shows, and the command
// that makes lines of it; empty when it may be lines.
std::string WhyNotLines(std::string_view head, const std::string& file, Packing packing);

}  // namespace outboxd
