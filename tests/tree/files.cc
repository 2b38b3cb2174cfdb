#include "tests/tree/files.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace outboxd::tree {
namespace {

namespace fs = std::filesystem;

std::vector<File> ReadTree() {
  std::vector<File> files;
  const fs::path root = OUTBOXD_SOURCE_DIR;
  for (const char* folder : {"cmake", "config", "core", "storage", "daemon", "ctl", "etc", "systemd",
                             "debian", "docs", "script", "tests", ".ci"}) {
    if (!fs::exists(root / folder)) continue;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string path = entry.path().lexically_relative(root).generic_string();
      if (entry.is_regular_file() && path.find("__pycache__") == std::string::npos)
        files.push_back(ReadFile(path));
    }
  }
  for (const char* name : {"CMakeLists.txt", "CMakePresets.json", "README.md", "CONTRIBUTING.md",
                           "CHANGELOG.md", "SECURITY.md", "LICENSE", ".clang-tidy", ".clang-format"}) {
    if (fs::exists(root / name)) files.push_back(ReadFile(name));
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.path < b.path; });
  return files;
}

}  // namespace

File MakeFile(const std::string& path, const std::string& text) {
  File file{path, {}};
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) file.lines.push_back(line);
  return file;
}

File ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(fs::path(OUTBOXD_SOURCE_DIR) / path, std::ios::binary).rdbuf();
  return MakeFile(path, text.str());
}

bool IsSource(const std::string& path) {
  return path.ends_with(".cc") || path.ends_with(".h");
}

std::string FolderOf(const std::string& path) {
  return path.substr(0, path.find('/'));
}

const std::vector<File>& Tree() {
  static const std::vector<File> tree = ReadTree();
  return tree;
}

std::vector<File> Sources() {
  std::vector<File> sources;
  std::copy_if(Tree().begin(), Tree().end(), std::back_inserter(sources),
               [](const File& file) { return IsSource(file.path); });
  return sources;
}

std::string Where(const File& file, std::size_t line) {
  return file.path + ':' + std::to_string(line + 1) + ": ";
}

void RequireNone(const Findings& findings) {
  for (const std::string& finding : findings) FAIL_CHECK(finding);
}

}  // namespace outboxd::tree
