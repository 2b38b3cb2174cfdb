// ctl/import_head.h — what a file that is to be imported is instead of lines of JSON, by its first bytes.
#pragma once

#include <string>
#include <string_view>

namespace outboxd {

// What `head`, the beginning of `file`, shows, and the command that makes lines of it; empty when it may be
// lines.
std::string WhyNotLines(std::string_view head, const std::string& file);

}  // namespace outboxd
