// What comments and documents say of the tree is true: a header names itself, and a path that is named
// exists.
#include <doctest/doctest.h>

#include <algorithm>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tree/files.h"

namespace outboxd::tree {
namespace {

// The first line of a header is a sentence about it that begins with its path.
Findings CheckFirstLine(const File& file) {
  if (!file.path.ends_with(".h")) return {};
  const std::string wanted = "// " + file.path + " — ";
  if (!file.lines.empty() && file.lines[0].starts_with(wanted)) return {};
  return {file.path + ": its first line begins with \"" + wanted + '"'};
}

// What of a line is for people: all of a document outside of what it quotes, elsewhere the comment.
std::string WordsOf(const File& file, const std::string& line) {
  if (file.path.ends_with(".md")) return line;
  const bool is_ours = IsSource(file.path);
  const std::size_t comment = line.find(is_ours ? "// " : "# ");
  return comment == std::string::npos ? "" : line.substr(comment);
}

bool IsHistory(const File& file) {
  return file.path == "CHANGELOG.md" ||
         file.path.starts_with("docs/decisions/");  // they tell of what is gone
}

// "{h,cc}" and "*" stand for what they stand for in a shell.
std::regex PatternOf(const std::string& path) {
  static const std::regex special(R"([.+?^$()\[\]|\\])");
  std::string text = std::regex_replace(path, special, R"(\$&)");
  text = std::regex_replace(text, std::regex(R"(\*)"), "[^/]*");
  text = std::regex_replace(text, std::regex(R"(\{)"), "(");
  text = std::regex_replace(text, std::regex(R"(\})"), ")");
  text = std::regex_replace(text, std::regex(","), "|");
  return std::regex(text);
}

// A file by its path from the root, a folder by its path and "/". Of a source the end of the path is enough.
bool Exists(const std::vector<File>& tree, const std::string& path) {
  const auto any = [&](auto&& is_it) { return std::any_of(tree.begin(), tree.end(), is_it); };
  if (path.ends_with('/')) return any([&](const File& file) { return file.path.starts_with(path); });
  if (path.ends_with(".cc") && path.find_first_of("*{") == std::string::npos)
    return any([&](const File& file) { return ('/' + file.path).ends_with('/' + path); });
  const std::regex pattern = PatternOf(path);
  return any([&](const File& file) { return std::regex_match(file.path, pattern); });
}

// Paths below our folders that end like a file or in "/", and every word that ends in ".cc". A path with a
// capital letter in its last part is an example (tests/storage/outbox_vN.sql), but for documents.
Findings CheckPaths(const std::vector<File>& tree, const File& file) {
  static const std::regex pattern(
      R"((?:^|[^\w./~:$}<-])((?:(?:config|core|storage|daemon|ctl|etc|systemd|debian|docs|script|tests|cmake)/)"
      R"([\w./*-]*(?:\.(?:h|cc|md|py|sql|svg|cmake|yaml|txt|json|in|\{h,cc\})(?![\w/])|/(?![\w.*{<])))"
      R"(|[a-z][\w/-]*\.cc(?![\w/]))|script/[\w-]+(?![\w/*.-])))");
  static const std::regex example(R"([A-Z])");
  Findings findings;
  if (IsHistory(file) || file.path.starts_with("tests/tree/") ||
      file.path.find("/corpus/") != std::string::npos)
    return findings;
  for (std::size_t line = 0; line < file.lines.size(); ++line) {
    const std::string words = WordsOf(file, file.lines[line]);
    for (std::sregex_iterator it(words.begin(), words.end(), pattern), end; it != end; ++it) {
      const std::string path = (*it)[1];
      const bool is_example =
          !path.ends_with(".md") && std::regex_search(path.substr(path.rfind('/') + 1), example);
      if (!is_example && !Exists(tree, path)) findings.push_back(Where(file, line) + path + " is not there");
    }
  }
  return findings;
}

}  // namespace

TEST_CASE("tree: the first line of a header names it and says what it is") {
  RequireNone(CheckEach(Sources(), CheckFirstLine));
  CHECK(CheckFirstLine(MakeFile("core/a.h", "// core/a.h — what it is.\n")).empty());
  CHECK(CheckFirstLine(MakeFile("core/a.h", "// a.h — what it is.\n")).size() == 1);
  CHECK(CheckFirstLine(MakeFile("core/a.h", "#pragma once\n// core/a.h — what it is.\n")).size() == 1);
  CHECK(CheckFirstLine(MakeFile("core/a.h", "")).size() == 1);
  CHECK(CheckFirstLine(MakeFile("core/a.cc", "int a;\n")).empty());
}

TEST_CASE("tree: a path that a comment or a document names exists") {
  RequireNone(CheckEach(Tree(), [](const File& file) { return CheckPaths(Tree(), file); }));
  const std::vector<File> tree = {MakeFile("core/job.h", ""), MakeFile("core/job.cc", ""),
                                  MakeFile("docs/design.md", ""), MakeFile("daemon/base/log.cc", ""),
                                  MakeFile("script/test", "")};
  const auto count = [&](const std::string& path, const std::string& text) {
    return CheckPaths(tree, MakeFile(path, text)).size();
  };
  for (const char* good : {"`core/job.h`", "(core/job.cc)", "core/job.{h,cc}", "core/*.cc", "daemon/base/",
                           "see log.cc", "base/log.cc", "docs/design.md, section 1", "script/test --quick",
                           "/etc/outboxd.yaml", "https://a.example/core/nothing.h",
                           "build/dev/tests/nothing.h", "core/NAME.h", "ctl/daemon", "core/job.h."})
    CHECK_MESSAGE(count("README.md", good) == 0, good);
  for (const char* bad :
       {"`core/jobs.h`", "(core/jobs.cc)", "core/jobs.{h,cc}", "core/x*.cc", "daemon/attic/", "see logs.cc",
        "attic/log.cc", "docs/draft.md", "`script/tests`", "core/jobs.h."})
    CHECK_MESSAGE(count("README.md", bad) == 1, bad);
  CHECK(count("core/a.cc", "int a;  // as core/jobs.h says\n") == 1);
  CHECK(count("core/a.cc", "Open(\"core/jobs.h\");\n") == 0);
  CHECK(count("script/a", "# as core/jobs.h says\nrun core/jobs.h\n") == 1);
  CHECK(count("CHANGELOG.md", "core/jobs.h is gone\n") == 0);
}

}  // namespace outboxd::tree
