#include "tests/config/example_file.h"

#include <fstream>
#include <sstream>
#include <utility>

namespace outboxd {
namespace {

// A line that is commented out as if it were not.
std::string Uncommented(std::string line) {
  const std::size_t start = line.find_first_not_of(' ');
  if (start != std::string::npos && line.substr(start, 2) == "# ") line.erase(start, 2);
  return line;
}

// Where the key of a line begins and ends; equal when it has none.
std::pair<std::size_t, std::size_t> KeyOf(const std::string& line) {
  const std::size_t start = line.find_first_not_of(' ');
  if (start == std::string::npos) return {0, 0};
  const std::size_t begin = line[start] == '-' ? line.find_first_not_of(" -") : start;
  if (begin == std::string::npos) return {0, 0};
  const std::size_t end = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", begin);
  return end == std::string::npos || line[end] != ':' ? std::pair(begin, begin) : std::pair(begin, end);
}

std::string PathOf(const std::vector<std::pair<std::size_t, std::string>>& open) {
  std::string path;
  for (const auto& [indent, key] : open)
    path += (path.empty() ? "" : ".") + (path == "connections" ? "NAME" : key);
  return path;
}

}  // namespace

std::filesystem::path SourceFile(const std::string& path) {
  return std::filesystem::path(OUTBOXD_SOURCE_DIR) / path;
}

std::string ReadText(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

std::vector<ExampleLine> ReadExample() {
  std::vector<ExampleLine> lines;
  std::vector<std::pair<std::size_t, std::string>>
      open;  // the keys that the line is below, with their indents
  std::istringstream stream(ReadText(SourceFile("etc/outboxd.yaml")));
  for (std::string raw; std::getline(stream, raw);) {
    const std::string line = Uncommented(raw);
    const auto [begin, end] = KeyOf(line);
    if (begin == end) continue;
    while (!open.empty() && open.back().first >= begin) open.pop_back();
    const std::string key = line.substr(begin, end - begin);
    open.emplace_back(begin, key);
    const std::size_t sign = line.find("# ");
    const std::string remark = sign == std::string::npos ? "" : line.substr(sign + 2);
    lines.push_back({PathOf(open), key, line, remark});
  }
  return lines;
}

}  // namespace outboxd
