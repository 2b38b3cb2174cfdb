// The tree polices itself: layering, homes of third-party headers, nothing unbuilt, nothing overlong, clean
// text. Every rule is a function of text, so that a planted example shows that it can fail. Further rules are
// in shape_test.cc and words_test.cc.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tree/files.h"

namespace outboxd::tree {
namespace {

constexpr std::size_t kFunctionLines = 80;
constexpr std::size_t kFileLines = 700;

struct Include {
  std::string header;
  bool is_ours = false;  // "quoted"
  std::size_t line = 0;
};

std::vector<Include> IncludesOf(const File& file) {
  static const std::regex pattern(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  std::vector<Include> includes;
  for (std::size_t line = 0; line < file.lines.size(); ++line) {
    std::smatch match;
    if (std::regex_search(file.lines[line], match, pattern))
      includes.push_back({match[2], match[1] == "\"", line});
  }
  return includes;
}

// The rooms of the house, and which of them each may include from besides itself. A file of daemon/ itself
// sees the whole daemon.
struct Room {
  std::string_view folder;
  std::vector<std::string_view> sees;
};

const std::vector<Room>& Rooms() {
  static const std::vector<Room> rooms = {
      {"core", {}},
      {"storage", {"core"}},
      {"config", {"core"}},
      {"daemon/base", {"core", "storage", "config"}},
      {"daemon/clerk", {"core", "storage", "config", "daemon/base"}},
      {"daemon/delivery", {"core", "storage", "config", "daemon/base", "daemon/clerk"}},
      {"daemon/intake", {"core", "storage", "config", "daemon/base", "daemon/clerk", "daemon/delivery"}},
      {"daemon/admin", {"core", "storage", "config", "daemon/base", "daemon/clerk", "daemon/delivery"}},
      {"daemon",
       {"core", "storage", "config", "daemon/base", "daemon/clerk", "daemon/delivery", "daemon/intake",
        "daemon/admin"}},
      {"ctl", {"core", "config"}},
  };
  return rooms;
}

std::string RoomOf(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

bool MayInclude(const std::string& path, const std::string& header) {
  if (FolderOf(path) == "tests") return true;
  if (path == "ctl/restore.cc" && header == "storage/restore.h") return true;  // of a stopped daemon's outbox
  const std::string room = RoomOf(path);
  const std::string target = RoomOf(header);
  if (target == room) return true;
  return std::any_of(Rooms().begin(), Rooms().end(), [&](const Room& one) {
    return one.folder == room && std::find(one.sees.begin(), one.sees.end(), target) != one.sees.end();
  });
}

Findings CheckLayers(const File& file) {
  Findings findings;
  for (const Include& include : IncludesOf(file)) {
    if (!include.is_ours) continue;
    if (include.header.find('/') == std::string::npos) {
      findings.push_back(Where(file, include.line) + "include from the root: \"" + include.header + '"');
    } else if (!MayInclude(file.path, include.header)) {
      findings.push_back(Where(file, include.line) + RoomOf(file.path) + "/ must not include " +
                         include.header);
    }
  }
  return findings;
}

struct Home {
  std::string_view header;  // the beginning of what stands between < and >
  std::string_view paths;   // the files that may include it, as a regular expression
};

// The tests' own programs use what serves them; these are the homes in the product.
constexpr Home kHomes[] = {
    {"sqlite3.h", "storage/.*"},
    {"curl/", "daemon/delivery/(worker\\.cc|curl_.*)|ctl/.*client.*\\.cc"},
    {"rapidjson/", "core/.*\\.cc|docs/producers/.*"},
    {"yaml-cpp/", "config/tree\\.cc"},
    {"zlib.h", "ctl/gunzip\\.cc"},
    {"microhttpd.h", "daemon/base/mhd_.*"},
    {"gnutls/", "config/loopback_certificate\\.cc"},
    {"asio", "daemon/intake/producer_.*"},
    {"boost/", ""},
    {"CLI/", "daemon/main\\.cc|config/daemon_options\\.cc|ctl/.*"},
    {"prometheus/", "daemon/base/metrics\\.cc"},
    {"systemd/", "daemon/base/service_manager\\.cc"},
    {"tl/", "core/result\\.h"},
    {"doctest/", ""},
};

Findings CheckHomes(const File& file) {
  Findings findings;
  if (FolderOf(file.path) == "tests") return findings;
  for (const Include& include : IncludesOf(file)) {
    for (const Home& home : kHomes) {
      if (include.header.starts_with(home.header) &&
          !std::regex_match(file.path, std::regex(std::string(home.paths)))) {
        findings.push_back(Where(file, include.line) + '<' + include.header +
                           "> has its home elsewhere (docs/design.md)");
      }
    }
  }
  return findings;
}

Findings CheckCheckStaysInside(const File& file) {
  Findings findings;
  for (const Include& include : IncludesOf(file)) {
    const bool is_outside = file.path.ends_with(".h") || file.path.ends_with("_test.cc");
    if (is_outside && include.header == "core/check.h") {
      findings.push_back(Where(file, include.line) + "core/check.h is for .cc files without doctest");
    }
  }
  return findings;
}

// core/ takes time and randomness as arguments and touches no system.
Findings CheckPurity(const File& file) {
  static const std::regex forbidden(
      R"(_clock::now|\brandom_device\b|\bstd::(thread|jthread|mutex|condition_variable|filesystem|i?o?fstream|getenv)\b|\bgetenv\()"
      R"(|#\s*include\s*<(thread|mutex|fstream|filesystem|unistd\.h|fcntl\.h|sys/|netinet/|pthread\.h))");
  Findings findings;
  if (FolderOf(file.path) != "core") return findings;
  for (std::size_t line = 0; line < file.lines.size(); ++line) {
    if (std::regex_search(file.lines[line], forbidden))
      findings.push_back(Where(file, line) + "core/ is pure: " + file.lines[line]);
  }
  return findings;
}

std::vector<std::string> WordsOf(const File& list) {
  std::vector<std::string> words;
  for (std::string line : list.lines) {
    line.erase(std::find(line.begin(), line.end(), '#'), line.end());
    std::replace_if(line.begin(), line.end(), [](char c) { return c == '(' || c == ')' || c == '"'; }, ' ');
    std::istringstream stream(line);
    for (std::string word; stream >> word;) words.push_back(word);
  }
  return words;
}

// A source is built when a CMakeLists.txt of its folder or one above names it by its path from there, or by
// its full path. A CMake function may name it as ${name}_suffix.cc; then what stands for ${name} must be in
// the list too.
bool IsNamed(const std::string& path, const File& list) {
  constexpr std::string_view kVariable = "${name}";
  const std::string folder =
      list.path.substr(0, list.path.size() - std::string_view("CMakeLists.txt").size());
  const std::string local = path.starts_with(folder) ? path.substr(folder.size()) : "";
  const std::vector<std::string> words = WordsOf(list);
  const auto has = [&](const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  if (has("${PROJECT_SOURCE_DIR}/" + path) || (!local.empty() && has(local))) return true;
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    if (!word.starts_with(kVariable)) return false;
    const std::string suffix = word.substr(kVariable.size());
    return suffix.ends_with(".cc") && local.ends_with(suffix) &&
           has(local.substr(0, local.size() - suffix.size()));
  });
}

Findings CheckBuilt(const std::vector<File>& files) {
  Findings findings;
  for (const File& file : files) {
    if (!file.path.ends_with(".cc")) continue;
    const auto names_it = [&](const File& list) {
      return list.path.ends_with("CMakeLists.txt") && IsNamed(file.path, list);
    };
    if (std::none_of(files.begin(), files.end(), names_it))
      findings.push_back(file.path + ": no CMakeLists.txt builds it");
  }
  return findings;
}

// A header that nothing includes is dead.
Findings CheckIncluded(const std::vector<File>& files) {
  std::vector<std::string> included;
  for (const File& file : files) {
    for (const Include& include : IncludesOf(file)) included.push_back(include.header);
  }
  std::sort(included.begin(), included.end());
  Findings findings;
  for (const File& file : files) {
    const bool is_header = file.path.ends_with(".h");
    if (is_header && !std::binary_search(included.begin(), included.end(), file.path))
      findings.push_back(file.path + ": nothing includes it");
  }
  return findings;
}

bool Closes(const std::string& line, std::size_t indent) {
  const std::size_t first = line.find_first_not_of(' ');
  return first != std::string::npos && first <= indent && line[first] == '}';
}

// A simple heuristic that the formatter makes reliable: a function begins at column 0, a method in a class at
// column 2, and its body ends with the next "}" that stands no deeper. Test cases are functions too.
Findings CheckFunctionLengths(const File& file) {
  static const std::regex begins(R"(^( {0,2})[A-Za-z~].*)");
  static const std::regex is_none(
      R"(^ *(namespace|class|struct|enum|union|return|using|(inline )?(static )?(const|constexpr) [^(]*=).*)");
  const std::vector<std::string>& lines = file.lines;
  Findings findings;
  for (std::size_t line = 0; line < lines.size(); ++line) {
    if (!std::regex_match(lines[line], begins) || std::regex_match(lines[line], is_none)) continue;
    const std::size_t indent = lines[line].find_first_not_of(' ');
    // The body opens on this line or, after wrapped parameters, on one indented deeper.
    std::size_t open = line;
    const auto wraps = [&] {
      return open + 1 < lines.size() && lines[open + 1].starts_with(std::string(indent + 4, ' '));
    };
    while (!lines[open].ends_with('{') && !lines[open].ends_with(';') && wraps()) ++open;
    if (!lines[open].ends_with('{')) continue;
    std::size_t end = open + 1;
    while (end < lines.size() && !Closes(lines[end], indent)) ++end;
    const std::size_t length = end - line + 1;
    if (length > kFunctionLines)
      findings.push_back(Where(file, line) + "a function of " + std::to_string(length) + " lines");
  }
  return findings;
}

Findings CheckFileLength(const File& file) {
  if (file.lines.size() <= kFileLines) return {};
  return {file.path + ": " + std::to_string(file.lines.size()) + " lines"};
}

// Written in two parts so that this file passes its own rule.
const std::string kLeftovers[] = {std::string("TO") + "DO", std::string("FIX") + "ME",
                                  std::string("XX") + "X:"};

Findings CheckText(const File& file) {
  Findings findings;
  for (std::size_t line = 0; line < file.lines.size(); ++line) {
    const std::string& text = file.lines[line];
    const bool is_recipe = file.path == "debian/rules" && text.starts_with('\t');
    const bool has_tab = text.find('\t', is_recipe ? 1 : 0) != std::string::npos;
    if (has_tab && !file.path.ends_with(".go")) findings.push_back(Where(file, line) + "a tab");
    if (text.ends_with(' ') || text.ends_with('\r'))
      findings.push_back(Where(file, line) + "white space at the end");
    for (const std::string& word : kLeftovers) {
      if (text.find(word) != std::string::npos) findings.push_back(Where(file, line) + word);
    }
  }
  return findings;
}

Findings CheckPragmaOnce(const File& file) {
  const bool has = std::find(file.lines.begin(), file.lines.end(), "#pragma once") != file.lines.end();
  return file.path.ends_with(".h") && !has ? Findings{file.path + ": no #pragma once"} : Findings{};
}

std::string Repeat(const std::string& text, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}

}  // namespace

TEST_CASE("tree: the walk finds the sources") {
  CHECK(Sources().size() > 50);
  CHECK_FALSE(IncludesOf(ReadFile("config/tree.cc")).empty());
}

TEST_CASE(
    "tree: includes obey the layers: service → intake, admin → delivery → clerk → base → storage, config → "
    "core") {
  RequireNone(CheckEach(Sources(), CheckLayers));
  const auto breaks = [](const std::string& path, const std::string& header) {
    return !CheckLayers(MakeFile(path, "#include \"" + header + "\"\n")).empty();
  };
  CHECK(breaks("core/a.cc", "storage/outbox.h"));
  CHECK(breaks("core/a.cc", "config/config.h"));
  CHECK(breaks("storage/a.cc", "config/config.h"));
  CHECK(breaks("config/a.cc", "storage/outbox.h"));
  CHECK(breaks("config/a.cc", "daemon/base/log.h"));
  CHECK(breaks("daemon/base/a.cc", "daemon/clerk/clerk.h"));
  CHECK(breaks("daemon/clerk/a.cc", "daemon/delivery/worker.h"));
  CHECK(breaks("daemon/delivery/a.cc", "daemon/admin/api.h"));
  CHECK(breaks("daemon/delivery/a.cc", "daemon/service.h"));
  CHECK(breaks("daemon/intake/a.cc", "daemon/admin/api.h"));
  CHECK(breaks("daemon/admin/a.cc", "daemon/intake/track_endpoint.h"));
  CHECK(breaks("daemon/a.cc", "ctl/format.h"));
  CHECK(breaks("daemon/a.cc", "tests/track_sim/track_sim.h"));
  CHECK(breaks("daemon/attic/a.cc", "core/job.h"));
  CHECK(breaks("ctl/a.cc", "daemon/base/log.h"));
  CHECK(breaks("ctl/a.cc", "storage/outbox.h"));
  CHECK(breaks("core/a.cc", "job.h"));
  CHECK_FALSE(breaks("core/a.cc", "core/job.h"));
  CHECK_FALSE(breaks("daemon/base/a.cc", "config/config.h"));
  CHECK_FALSE(breaks("daemon/intake/a.cc", "daemon/clerk/submission.h"));
  CHECK_FALSE(breaks("daemon/service.cc", "daemon/admin/api.h"));
  CHECK_FALSE(breaks("ctl/a.cc", "config/config.h"));
}

TEST_CASE("tree: each third-party header has its home") {
  RequireNone(CheckEach(Sources(), CheckHomes));
  const auto breaks = [](const std::string& path, const std::string& header) {
    return !CheckHomes(MakeFile(path, "#include <" + header + ">\n")).empty();
  };
  CHECK(breaks("daemon/clerk/clerk.cc", "sqlite3.h"));
  CHECK(breaks("daemon/delivery/worker.h", "curl/curl.h"));
  CHECK(breaks("core/json.h", "rapidjson/document.h"));
  CHECK(breaks("config/values.cc", "yaml-cpp/yaml.h"));
  CHECK(breaks("daemon/admin/api.cc", "microhttpd.h"));
  CHECK(breaks("daemon/base/http_server.cc", "microhttpd.h"));
  CHECK(breaks("daemon/delivery/worker.cc", "asio/io_context.hpp"));
  CHECK(breaks("daemon/service.cc", "CLI/CLI.hpp"));
  CHECK(breaks("daemon/base/metrics.h", "prometheus/registry.h"));
  CHECK(breaks("daemon/main.cc", "systemd/sd-daemon.h"));
  CHECK(breaks("core/job.cc", "doctest/doctest.h"));
  CHECK_FALSE(breaks("storage/database.cc", "sqlite3.h"));
  CHECK_FALSE(breaks("ctl/admin_client.cc", "curl/curl.h"));
  CHECK_FALSE(breaks("daemon/delivery/curl_error.h", "curl/curl.h"));
}

TEST_CASE("tree: core/check.h stays out of headers and tests, where CHECK is doctest's") {
  RequireNone(CheckEach(Sources(), CheckCheckStaysInside));
  const auto breaks = [](const std::string& path) {
    return !CheckCheckStaysInside(MakeFile(path, "#include \"core/check.h\"\n")).empty();
  };
  CHECK(breaks("core/a.h"));
  CHECK(breaks("tests/core/a_test.cc"));
  CHECK_FALSE(breaks("core/a.cc"));
}

TEST_CASE("tree: core reads no clock and touches no system") {
  RequireNone(CheckEach(Sources(), CheckPurity));
  const auto breaks = [](const std::string& line) {
    return !CheckPurity(MakeFile("core/a.cc", line)).empty();
  };
  CHECK(breaks("const auto now = std::chrono::system_clock::now();"));
  CHECK(breaks("std::random_device device;"));
  CHECK(breaks("std::mutex mutex;"));
  CHECK(breaks("#include <sys/socket.h>"));
  CHECK(breaks("std::ifstream file(path);"));
  CHECK_FALSE(breaks("std::string text;"));
}

TEST_CASE("tree: every source is built") {
  RequireNone(CheckBuilt(Tree()));
  const File source = MakeFile("core/a.cc", "");
  CHECK(CheckBuilt({source}).size() == 1);
  CHECK(CheckBuilt({source, MakeFile("core/CMakeLists.txt", "add_library(x aa.cc)  # a.cc")}).size() == 1);
  CHECK(CheckBuilt({source, MakeFile("storage/CMakeLists.txt", "add_library(x a.cc)")}).size() == 1);
  CHECK(CheckBuilt({source, MakeFile("core/CMakeLists.txt", "add_library(x\n  a.cc)")}).empty());
  CHECK(
      CheckBuilt({source, MakeFile("tests/CMakeLists.txt", "add_library(x ${PROJECT_SOURCE_DIR}/core/a.cc)")})
          .empty());
  const File fuzzer = MakeFile("tests/a_fuzz.cc", "");
  CHECK(
      CheckBuilt({fuzzer, MakeFile("tests/CMakeLists.txt", "add_executable(x ${name}_fuzz.cc)\ntarget(b 1)")})
          .size() == 1);
  CHECK(
      CheckBuilt({fuzzer, MakeFile("tests/CMakeLists.txt", "add_executable(x ${name}_fuzz.cc)\ntarget(a 1)")})
          .empty());
}

TEST_CASE("tree: every header is included somewhere and guards itself") {
  RequireNone(CheckIncluded(Sources()));
  RequireNone(CheckEach(Sources(), CheckPragmaOnce));
  CHECK(CheckIncluded({MakeFile("core/a.h", "")}).size() == 1);
  CHECK(CheckIncluded({MakeFile("core/a.h", ""), MakeFile("core/a.cc", "#include \"core/a.h\"")}).empty());
  CHECK(CheckPragmaOnce(MakeFile("core/a.h", "int a;\n")).size() == 1);
}

TEST_CASE("tree: no function is overlong") {
  RequireNone(CheckEach(Sources(), CheckFunctionLengths));
  const auto count = [](const std::string& begin, const std::string& end, std::size_t lines) {
    return CheckFunctionLengths(MakeFile("core/a.cc", begin + Repeat("    x();\n", lines) + end)).size();
  };
  CHECK(count("void F() {\n", "}\n", kFunctionLines - 2) == 0);
  CHECK(count("void F() {\n", "}\n", kFunctionLines - 1) == 1);
  CHECK(count("void F(int a,\n       int b) {\n", "}\n", kFunctionLines) == 1);
  CHECK(count("class A {\n  void F() {\n", "  }\n};\n", kFunctionLines) == 1);
  CHECK(count("Result<void> A::F() const {\n", "}\n", kFunctionLines) == 1);
  CHECK(count("TEST_CASE(\"a\") {\n", "}\n", kFunctionLines) == 1);
  CHECK(count("namespace a {\n", "}\n", kFunctionLines) == 0);
  CHECK(count("constexpr int kTable[] = {\n", "};\n", kFunctionLines) == 0);
}

TEST_CASE("tree: no source is overlong") {
  RequireNone(CheckEach(Sources(), CheckFileLength));
  CHECK(CheckFileLength(MakeFile("core/a.cc", Repeat("\n", kFileLines))).empty());
  CHECK(CheckFileLength(MakeFile("core/a.cc", Repeat("\n", kFileLines + 1))).size() == 1);
}

TEST_CASE("tree: text has no tabs, no white space at the end and nothing left to do") {
  RequireNone(CheckEach(Tree(), CheckText));
  CHECK(CheckText(MakeFile("a", "x\ty\n")).size() == 1);
  CHECK(CheckText(MakeFile("a", "\tx\n")).size() == 1);
  CHECK(CheckText(MakeFile("debian/rules", "x:\n\ty\n")).empty());
  CHECK(CheckText(MakeFile("debian/rules", "x:\n\ty\tz\n")).size() == 1);
  CHECK(CheckText(MakeFile("a", "x \n")).size() == 1);
  CHECK(CheckText(MakeFile("a", "x\r\n")).size() == 1);
  for (const std::string& word : kLeftovers)
    CHECK(CheckText(MakeFile("a", "// " + word + " later\n")).size() == 1);
}

}  // namespace outboxd::tree
