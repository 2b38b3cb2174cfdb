// The shape of classes and switches: few methods and members, and no case that the compiler cannot miss for
// us. A rule reads declarations as clang-format writes them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tree/files.h"

namespace outboxd::tree {
namespace {

constexpr std::size_t kMethods = 25;  // public and private
constexpr std::size_t kMembers = 15;
constexpr std::size_t kMethodsOfValue = 3;
// Above a class that is larger: a comment line that begins so and gives the reason.
constexpr std::string_view kReason = "// Size: ";

// The text without comments, and without what is inside of string and character literals.
std::string WithoutComments(const std::string& text) {
  static const std::regex pattern(R"lit(//[^\n]*|/\*[\s\S]*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+')lit");
  std::string out;
  auto from = text.begin();
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) {
    // 1'000 is a number, not the beginning of a character.
    const auto at = static_cast<std::size_t>(it->position());
    if (text[at] == '\'' && at > 0 && std::isxdigit(static_cast<unsigned char>(text[at - 1])) != 0) continue;
    out.append(from, text.begin() + it->position());
    if (text[at] == '"') out += "\"\"";
    if (text[at] == '\'') out += "' '";
    from = text.begin() + it->position() + it->length();
  }
  return out.append(from, text.end());
}

struct ClassText {
  std::string name;
  std::size_t line = 0;  // from 0
  std::string body;      // between its braces, without comments
};

// A class or struct with its body, also those inside of another one.
std::vector<ClassText> ClassesOf(const File& file) {
  static const std::regex begins(
      R"(^( *)(?:template <.*> )?(?:class|struct) (?:[A-Z_]+(?:\(.*\))? )?([\w:]*\w)[^;(]*\{$)");
  std::vector<ClassText> classes;
  for (std::size_t line = 0; line < file.lines.size(); ++line) {
    std::smatch match;
    if (!std::regex_match(file.lines[line], match, begins)) continue;
    const std::string end = match[1].str() + "};";
    ClassText found{match[2], line, {}};
    for (std::size_t i = line + 1; i < file.lines.size() && !file.lines[i].starts_with(end); ++i)
      found.body += file.lines[i] + '\n';
    found.body = WithoutComments(found.body);
    classes.push_back(std::move(found));
  }
  return classes;
}

// The declarations of a class body. What stands in their braces is left out: function bodies, initial values
// and nested types.
std::vector<std::string> DeclarationsOf(const std::string& body) {
  std::vector<std::string> declarations;
  std::string text;
  int braces = 0;
  int parentheses = 0;
  const auto finish = [&] {
    if (text.find_first_not_of(" \n") != std::string::npos) declarations.push_back(text);
    text.clear();
  };
  for (std::size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    parentheses += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c == '{') ++braces;
    if (braces == 0 && c == ';' && parentheses == 0) finish();
    if (braces == 0 && c != ';') text += c;
    if (c == '}' && --braces == 0) {
      text += "{}";
      // A body ends a function or a type; after an initial value the declaration goes on.
      const std::size_t next = body.find_first_not_of(" \n", i + 1);
      if (next == std::string::npos || (body[next] != ';' && body[next] != ',' && body[next] != ')'))
        finish();
    }
  }
  finish();
  return declarations;
}

// Without what stands in pairs of `open` and `close`.
std::string WithoutPairs(const std::string& text, char open, char close) {
  std::string out;
  int depth = 0;
  for (const char c : text) {
    if (c == open) ++depth;
    if (depth == 0) out += c;
    if (c == close && depth > 0) --depth;
  }
  return out;
}

struct Size {
  std::size_t methods = 0;
  std::size_t members = 0;
};

void Count(std::string declaration, Size& size) {
  static const std::regex access(R"(\b(public|private|protected):)");
  static const std::regex operators(R"(operator *[^\w\s(]+|operator *\(\))");
  static const std::regex macros(R"(\b[A-Z][A-Z_]+\([^()]*\)|\balignas\([^()]*\)|\[\[.*?\]\])");
  static const std::regex none(
      R"(^\s*(using|typedef|friend|static_assert|enum|class|struct|union|template <[^>]*>\s*(class|struct|using))\b[\s\S]*|[\s\S]*=\s*delete\s*)");
  declaration = std::regex_replace(declaration, access, "");
  declaration = std::regex_replace(declaration, operators, "operator_");
  declaration = std::regex_replace(declaration, macros, "");
  if (declaration.find_first_not_of(" \n{}") == std::string::npos || std::regex_match(declaration, none))
    return;
  const std::string plain = WithoutPairs(declaration, '<', '>');
  const std::size_t call = plain.find('(');
  if (call != std::string::npos && call < plain.find_first_of("={")) {
    ++size.methods;
  } else {
    const std::string names = WithoutPairs(plain, '(', ')');
    size.members += 1 + static_cast<std::size_t>(std::count(names.begin(), names.end(), ','));
  }
}

Size SizeOf(const ClassText& one) {
  Size size;
  for (const std::string& declaration : DeclarationsOf(one.body)) Count(declaration, size);
  return size;
}

bool GivesReason(const File& file, std::size_t line) {
  if (line > 0 && file.lines[line - 1].starts_with("template <")) --line;
  while (line > 0 && file.lines[line - 1].starts_with("//")) {
    if (file.lines[--line].starts_with(kReason)) return true;
  }
  return false;
}

// A struct with nothing private and next to no methods is a value, and may have as many members as it is made
// of.
bool IsValue(const ClassText& one, const std::string& first_line, const Size& size) {
  return first_line.find("struct ") != std::string::npos && one.body.find("private:") == std::string::npos &&
         size.methods <= kMethodsOfValue;
}

Findings CheckClassSizes(const File& file) {
  Findings findings;
  for (const ClassText& one : ClassesOf(file)) {
    const Size size = SizeOf(one);
    if (size.methods <= kMethods && (size.members <= kMembers || IsValue(one, file.lines[one.line], size)))
      continue;
    if (GivesReason(file, one.line)) continue;
    findings.push_back(Where(file, one.line) + one.name + " has " + std::to_string(size.methods) +
                       " methods and " + std::to_string(size.members) +
                       " members; split it, or say why above it (" + std::string(kReason) + "…)");
  }
  return findings;
}

// With a default the compiler does not warn of a case that was forgotten.
Findings CheckSwitches(const File& file) {
  Findings findings;
  for (std::size_t line = 0; line < file.lines.size(); ++line) {
    const std::size_t indent = file.lines[line].find_first_not_of(' ');
    if (indent == std::string::npos || !file.lines[line].substr(indent).starts_with("default:")) continue;
    const std::string label = std::string(indent, ' ') + "case ";
    for (std::size_t i = line; i > 0 && file.lines[i].find("switch (") == std::string::npos; --i) {
      const std::string& text = file.lines[i - 1];
      if (text.starts_with(label) && text.find("::k") != std::string::npos) {
        findings.push_back(Where(file, line) + "a switch over an enum class has no default");
        break;
      }
    }
  }
  return findings;
}

// Where cases share a process they are found by their file's name (cmake/test_cases.cmake).
Findings CheckTestCases(const File& file) {
  Findings findings;
  if (file.path.ends_with("_test.cc")) return findings;
  for (std::size_t line = 0; line < file.lines.size(); ++line) {
    if (file.lines[line].starts_with("TEST_CASE"))
      findings.push_back(Where(file, line) + "a test case stands in a file that ends in _test.cc");
  }
  return findings;
}

std::string Repeated(const std::string& text, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}

Size SizeOfText(const std::string& body) {
  return SizeOf(ClassesOf(MakeFile("core/a.h", "class A {\n" + body + "};\n")).at(0));
}

}  // namespace

TEST_CASE("tree: no class has over 25 methods or 15 members without a reason above it") {
  RequireNone(CheckEach(Sources(), CheckClassSizes));
  const auto breaks = [](const std::string& text) {
    return !CheckClassSizes(MakeFile("core/a.h", text)).empty();
  };
  const std::string methods = Repeated("  void F();\n", kMethods);
  const std::string members = Repeated("  int a_ = 0;\n", kMembers);
  CHECK_FALSE(breaks("class A {\n public:\n" + methods + " private:\n" + members + "};\n"));
  CHECK(breaks("class A {\n public:\n" + methods + " private:\n  void G() { H(); }\n};\n"));
  CHECK(breaks("class A {\n" + members + "  int b_;\n};\n"));
  CHECK(breaks("class A : public B<C> {\n" + members + "  int b_;\n};\n"));
  CHECK(breaks("class A final {\n  class B {\n  " + members + "    int b_;\n  };\n};\n"));
  CHECK(breaks("struct A {\n" + methods + "  void G();\n};\n"));
  CHECK(breaks("struct A {\n" + members + "  int b, c;\n" + Repeated("  void F();\n", 4) + "};\n"));
  CHECK(breaks("struct A {\n  void F();\n\n private:\n" + members + "  int b;\n};\n"));
  CHECK_FALSE(breaks("struct A {\n" + members + "  int b;\n  void F();\n};\n"));
  CHECK_FALSE(breaks("struct A {\n" + members + "  int b, c;\n};\n"));
  CHECK(breaks("class A {\n" + members + "  int b_;  // Size: no reason here\n};\n"));
  CHECK_FALSE(breaks("// Size: one of each.\nclass A {\n" + members + "  int b_;\n};\n"));
  CHECK_FALSE(
      breaks("// What it is.\n// Size: one of each.\n// More.\nclass A {\n" + members + "  int b_;\n};\n"));
  CHECK_FALSE(
      breaks("// Size: one of each.\ntemplate <typename T>\nclass A {\n" + members + "  int b_;\n};\n"));
  CHECK(breaks("// Size: of another class.\n\nclass A {\n" + members + "  int b_;\n};\n"));
}

TEST_CASE("tree: methods and members are counted as they are written") {
  const auto counts = [](const std::string& body, std::size_t methods, std::size_t members) {
    const Size size = SizeOfText(body);
    INFO(body);
    CHECK(size.methods == methods);
    CHECK(size.members == members);
  };
  counts("  A() : a_(1), b_{2} {}\n  ~A();\n  A(const A&) = delete;\n", 2, 0);
  counts(
      "  bool operator==(const A&) const = default;\n  bool operator<(A) const;\n  int operator()(int) { "
      "return 1; }\n",
      3, 0);
  counts("  template <typename T>\n  void F(T t) {\n    if (t) {\n      G();\n    }\n  }\n", 1, 0);
  counts("  std::vector<int> F(int a = 1,\n                     std::map<int, int> b = {}) const;\n", 1, 0);
  counts("  std::map<int, std::string> a_;\n  std::function<void(int)> f_ = [](int) { F(); };\n", 0, 2);
  counts("  int a_ GUARDED_BY(mutex_) = 0;\n  int b_{1}, c_ = 2, d_;\n  static constexpr int kE = F(1, 2);\n",
         0, 5);
  counts("  void F() REQUIRES(mutex_);\n  [[nodiscard]] bool G() const;\n", 2, 0);
  counts("  enum class E { kA, kB };\n  struct B {\n    int c;\n  };\n  using C = int;\n  friend class D;\n",
         0, 0);
  counts("  int million_ = 1'000'000;  // not a call()\n  char c_ = '{';\n  const char* s_ = \"};(\";\n", 0,
         3);
  counts("  virtual void F() = 0;\n  explicit operator bool() const { return a_ != 0; }\n", 2, 0);
}

TEST_CASE("tree: a switch over an enum class has no default") {
  RequireNone(CheckEach(Sources(), CheckSwitches));
  const auto breaks = [](const std::string& first, const std::string& last) {
    return !CheckSwitches(MakeFile("core/a.cc", "  switch (x) {\n    case " + first + ":\n      F();\n    " +
                                                    last + "\n  }\n"))
                .empty();
  };
  CHECK(breaks("Kind::kJob", "default:"));
  CHECK(breaks("Kind::kJob", "default: {"));
  CHECK_FALSE(breaks("Kind::kJob", "case Kind::kDead:"));
  CHECK_FALSE(breaks("'a'", "default:"));
}

TEST_CASE("tree: test cases stand in files that end in _test.cc") {
  RequireNone(CheckEach(Sources(), CheckTestCases));
  CHECK(CheckTestCases(MakeFile("tests/a.cc", "TEST_CASE(\"a\") {\n}\n")).size() == 1);
  CHECK(CheckTestCases(MakeFile("tests/a_test.cc", "TEST_CASE(\"a\") {\n}\n")).empty());
}

}  // namespace outboxd::tree
