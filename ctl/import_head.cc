#include "ctl/import_head.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace outboxd {

std::string WhyNotLines(std::string_view head, const std::string& file) {
  constexpr std::string_view kBlanks = " \t\r\n";
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  const auto say = [&](const std::string& what, const std::string& command) {
    return file + " is " + what + ", not one job a line: " + command + " | outboxctl import -";
  };
  if (head.starts_with("\x1F\x8B")) return say("compressed by gzip", "zcat " + file);
  if (head.starts_with("\xFF\xFE") || head.starts_with("\xFE\xFF"))
    return say("text in UTF-16", "iconv -f UTF-16 -t UTF-8 " + file);
  if (head.starts_with(kByteOrderMark)) head.remove_prefix(kByteOrderMark.size());
  head.remove_prefix(std::min(head.find_first_not_of(kBlanks), head.size()));
  if (head.starts_with('[')) return say("a JSON array", "jq -c '.[]' " + file);
  const std::string_view first = head.substr(0, head.find('\n'));
  const bool is_brace_alone = first.size() < head.size() && first.starts_with('{') &&
                              first.find_first_not_of(kBlanks, 1) == first.npos;
  if (is_brace_alone) return say("JSON over several lines", "jq -c . " + file);
  return {};
}

}  // namespace outboxd
