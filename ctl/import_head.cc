#include "ctl/import_head.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace outboxd {
namespace {

constexpr std::string_view kBlanksOfJson = " \t\r\n";
constexpr std::string_view kGzipMagic = "\x1F\x8B";
constexpr std::size_t kHeadBytes = 4096;

struct KnownBeginning {
  std::string_view bytes, what, tool;
};

// Without a byte order mark UTF-16 shows by the zero beside the first brace.
constexpr KnownBeginning kBeginnings[] = {
    {kGzipMagic, "compressed by gzip twice", "zcat"},
    {"\x28\xB5\x2F\xFD", "compressed by zstd", "zstd -dc"},
    {std::string_view("\xFD"
                      "7zXZ\0",
                      6),
     "compressed by xz", "xz -dc"},
    {"BZh", "compressed by bzip2", "bzip2 -dc"},
    {"PK\x03\x04", "a zip archive", "unzip -p"},
    {"\xFF\xFE", "text in UTF-16", "iconv -f UTF-16 -t UTF-8"},
    {"\xFE\xFF", "text in UTF-16", "iconv -f UTF-16 -t UTF-8"},
    {std::string_view("{\0", 2), "text in UTF-16", "iconv -f UTF-16LE -t UTF-8"},
    {std::string_view("\0{", 2), "text in UTF-16", "iconv -f UTF-16BE -t UTF-8"},
};

std::string CommandFor(std::string_view tool, const std::string& file, Packing packing) {
  const bool is_pipe = file == "-";
  const std::string reader = is_pipe ? "… | " : packing == Packing::kGzip ? "zcat " + file + " | " : "";
  const std::string unpacker = is_pipe && packing == Packing::kGzip ? "zcat | " : "";
  return reader + unpacker + std::string(tool) + (reader.empty() ? " " + file : "") + " | outboxctl import -";
}

}  // namespace

bool IsGzip(std::string_view head) {
  return head.starts_with(kGzipMagic);
}

bool SufficesAsHead(std::string_view head) {
  if (head.size() >= kHeadBytes) return true;
  const std::size_t first = head.find_first_not_of(kBlanksOfJson);
  return first != head.npos && head.find('\n', first) != head.npos;
}

std::string WhyNotLines(std::string_view head, const std::string& file, Packing packing) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  const auto say = [&](std::string_view what, std::string_view tool) {
    return (file == "-" ? "standard input" : file) + " is " + std::string(what) +
           ", not one job a line: " + CommandFor(tool, file, packing);
  };
  for (const KnownBeginning& known : kBeginnings) {
    if (head.starts_with(known.bytes)) return say(known.what, known.tool);
  }
  if (head.starts_with(kByteOrderMark)) head.remove_prefix(kByteOrderMark.size());
  head.remove_prefix(std::min(head.find_first_not_of(kBlanksOfJson), head.size()));
  if (head.starts_with('[')) return say("a JSON array", "jq -c '.[]'");
  const std::string_view first = head.substr(0, head.find('\n'));
  const bool is_brace_alone = first.size() < head.size() && first.starts_with('{') &&
                              first.find_first_not_of(kBlanksOfJson, 1) == first.npos;
  if (is_brace_alone) return say("JSON over several lines", "jq -c .");
  return {};
}

}  // namespace outboxd
