// tests/config/example_file.h — etc/outboxd.yaml read as a text: its lines with their keys and remarks,
// whether they are commented out or not. Prose is left out.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace outboxd {

// Of the source tree: "etc/outboxd.yaml".
std::filesystem::path SourceFile(const std::string& path);

std::string ReadText(const std::filesystem::path& file);

struct ExampleLine {
  std::string path;    // "connections.NAME.timeout"
  std::string key;     // "timeout"
  std::string text;    // without the comment sign
  std::string remark;  // what is behind its "#"
};

std::vector<ExampleLine> ReadExample();

}  // namespace outboxd
