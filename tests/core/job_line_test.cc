#include "core/job_line.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>

#include "core/limits.h"
#include "tests/core/job_lines.h"

namespace outboxd {
namespace {

using testing::CheckAccepted;
using testing::CheckRefused;
using testing::Read;
using testing::Repeat;

constexpr Refusal kJson = Refusal::kInvalidJson;

std::string Track(std::string_view data) {
  return R"({"type":"track","id":"1","name":"n","data":)" + std::string(data) + "}";
}

TEST_CASE("job line: what is not JSON is refused as such") {
  CheckRefused({
      {"", "", "", kJson},
      {" ", "", "", kJson},
      {"{", "", "", kJson},
      {"}", "", "", kJson},
      {"nope", "", "", kJson},
      {R"({"type":"destroy","id":"1")", "", "", kJson},
      {R"({"type":"destroy","id":"1"}})", "", "", kJson},
      {R"({"type":"destroy","id":"1"} x)", "", "", kJson},
      {R"({"type":"destroy","id":"1"}{"type":"destroy","id":"1"})", "", "", kJson},
      {R"({"type":"destroy","id":"1",})", "", "", kJson},
      {R"({"type":"destroy" "id":"1"})", "", "", kJson},
      {R"({'type':'destroy','id':'1'})", "", "", kJson},
      {R"({type:"destroy","id":"1"})", "", "", kJson},
      {R"({"type":"destroy","id":"1"/* why */})", "", "", kJson},
      {R"({"type":"destroy","id":"\x41"})", "", "", kJson},
      {R"({"type":"destroy","id":"\u12g4"})", "", "", kJson},
      {"{\"type\":\"destroy\",\"id\":\"a\tb\"}", "", "", kJson},
      {"{\"type\":\"destroy\",\"id\":\"a\x1f\"}", "", "", kJson},
      {"\xef\xbb\xbf{\"type\":\"destroy\",\"id\":\"1\"}", "", "", kJson},
      {std::string("{\"type\":\"destroy\",\"id\":\"1\"}\0", 28), "", "NUL byte (byte 28)", kJson},
      {std::string("{\"type\":\"destroy\",\"id\":\"\0\"}", 27), "", "NUL byte (byte 25)", kJson},
  });
}

TEST_CASE("job line: JSON that is not an object is not a job") {
  for (const char* line :
       {"[]", "[{}]", R"(["type","destroy"])", "\"destroy\"", "1", "-0", "1e400", "true", "false", "null"}) {
    CheckRefused({{line, "", "a job is one JSON object"}});
  }
}

TEST_CASE("job line: white space around a line and a carriage return at its end do no harm") {
  const std::string line = R"({"type":"destroy","id":"1"})";
  CheckAccepted(
      {line, " " + line, line + "\r", "\t " + line + " \r", "{ \"type\" :\t\"destroy\" ,\r\"id\"\t: 1 }"});
}

TEST_CASE("job line: the type is required and known") {
  CheckRefused({
      {"{}", "type", "a job needs \"type\""},
      {R"({"id":"1"})", "type", "a job needs \"type\""},
      {R"({"type":5})", "type", "must be a string"},
      {R"({"type":null})", "type", "must be a string"},
      {R"({"type":"Track"})", "type", "unknown type; one of identify"},
      {R"({"type":""})", "type", "unknown type"},
  });
}

TEST_CASE("job line: unknown members are named") {
  CheckRefused({
      {R"({"type":"destroy","id":"1","Id":"2"})", "Id", "unknown member"},
      {R"({"type":"destroy","id":"1","":"2"})", "", "unknown member"},
      {R"({"type":"track","id":"1","name":"n","properties":{}})", "properties", "unknown member"},
      {R"({"type":"destroy","id":"1","\u0069d2":1})", "id2", "unknown member"},
  });
}

TEST_CASE("job line: a member given twice is refused, also when one of them is escaped") {
  CheckRefused({
      {R"({"type":"destroy","id":"1","id":"1"})", "id", "given twice"},
      {R"({"type":"destroy","type":"destroy","id":"1"})", "type", "given twice"},
      {R"({"type":"destroy","id":"1","\u0069\u0064":"2"})", "id", "given twice"},
  });
}

TEST_CASE("job line: keys with escapes are the same keys") {
  const Job job = Read(R"({"\u0074ype":"des\u0074roy","i\u0064":"\u0034\u0032"})");
  CHECK(job.type == JobType::kDestroy);
  CHECK(job.customer == "42");
}

TEST_CASE("job line: nesting is bounded") {
  const auto nested = [](std::size_t depth) { return Repeat("[", depth) + Repeat("]", depth); };
  // The line, the data and its member are three levels.
  CheckAccepted({Track(R"({"a":)" + nested(limits::kJsonDepth - 2) + "}")});
  CheckRefused({{Track(R"({"a":)" + nested(limits::kJsonDepth - 1) + "}"), "", "nested deeper than 64 levels",
                 kJson}});
  CheckRefused({{Repeat("[", 512 * 1024), "", "nested deeper", kJson}});
  CheckRefused({{Repeat("{\"a\":", 100'000), "", "nested deeper", kJson}});
  CheckRefused({{R"({"n":1e400,"a":)" + nested(limits::kJsonDepth), "", "nested deeper", kJson}});
}

TEST_CASE("job line: text must be UTF-8") {
  const std::vector<std::string> good = {"a\x7f",           "\xc2\x80",         "\xdf\xbf",
                                         "\xe0\xa0\x80",    "\xed\x9f\xbf",     "\xee\x80\x80",
                                         "\xef\xbf\xbf",    "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
                                         R"(\ud83d\ude00)", "\xf0\x9f\x98\x80", R"(\u00e9)",
                                         R"(\ud800)",  // lone surrogates as escapes
                                         R"(\ud800x)",      R"(\ud800\u0041)",  R"(\udc00)",
                                         R"(\udc00\ud800)"};
  const std::vector<std::string> bad = {
      "\x80",  // a continuation alone
      "\xbf",
      "\xc3",  // cut short
      "\xe2\x82",
      "\xf0\x9f\x98",
      "\xc0\x80",  // overlong
      "\xc1\xbf",
      "\xe0\x9f\xbf",
      "\xf0\x8f\xbf\xbf",
      "\xed\xa0\x80",  // surrogates
      "\xed\xbf\xbf",
      "\xf4\x90\x80\x80",  // beyond U+10FFFF
      "\xf5\x80\x80\x80",
      "\xff",
      "\xfe",
  };
  for (const std::string& text : good) {
    CheckAccepted({R"({"type":"destroy","id":")" + text + "\"}", Track("{\"a\":[\"" + text + "\"]}"),
                   Track("{\"" + text + "\":1}")});
  }
  for (const std::string& text : bad) {
    CheckRefused({
        {R"({"type":"destroy","id":")" + text + "\"}", "", "", kJson},
        {Track("{\"a\":[\"" + text + "\"]}"), "", "", kJson},
        {Track("{\"" + text + "\":1}"), "", "", kJson},
        {Track("{\"big\":1e400,\"a\":\"" + text + "\"}"), "", "", kJson},
    });
  }
}

TEST_CASE("job line: values are carried as they were written") {
  for (const char* data : {R"({"n":1e400})",
                           R"({"n":-1E+400})",
                           R"({"n":-0})",
                           R"({"n":-0.0})",
                           R"({"n":1.0})",
                           R"({"n":0.1})",
                           R"({"n":1e-400})",
                           R"({"n":18446744073709551615})",
                           R"({"n":-9223372036854775808})",
                           R"({"n":18446744073709551616})",
                           R"({"n":0.30000000000000004})",
                           R"({"n":123456789012345678901234567890})",
                           R"({"n":1E5,"m":1e+05})",
                           R"({"z":1,"a":2,"z":3})",
                           R"({"e":"\u00e9\/\n\"\\é"})",
                           R"({"nested":{"l":[1e999,{"x":-0.00}],"t":true,"n":null}})",
                           R"({ "spaces" : [ 1 , 2 ] })",
                           "{}",
                           "{ }",
                           R"({"n":[1e400,"1e400 \" -","]",2e-999,"}"]})"}) {
    CAPTURE(data);
    const Job job = Read(Track(data));
    CHECK(job.Text(job.body) == data);
  }
  const std::string digits =
      "{\"n\":-" + Repeat("1234567890", 40) + "." + Repeat("9", 400) + "e-" + Repeat("7", 40) + "}";
  const Job job = Read(Track(digits));
  CHECK(job.Text(job.body) == digits);
}

TEST_CASE("job line: what only looks like a number is refused") {
  for (const char* number : {"01", "-", "+1", "1.", ".5", "1e", "1e+", "0x10", "NaN", "Infinity", "-Infinity",
                             "1.2.3", "1-2", "--1", "00"}) {
    CheckRefused({{Track("{\"n\":" + std::string(number) + "}"), "", "", kJson},
                  {Track("{\"big\":1e400,\"n\":" + std::string(number) + "}"), "", "", kJson}});
  }
}

TEST_CASE("job line: the line itself is kept byte for byte") {
  const std::string line =
      "{\"name\":\"n\", \"id\":\"1\" ,\"type\":\"track\",\"data\":{\"b\":1.50,\"a\":2}}\r";
  CHECK(Read(line).line == line);
}

TEST_CASE("job line: an error echoes the ref where it can be read") {
  struct Case {
    std::string line;
    bool has_ref;
    std::string ref;
  };
  const std::vector<Case> cases = {
      {R"({"type":"track","ref":"order-9"})", true, "order-9"},
      {R"({"ref":"","type":"nope"})", true, ""},
      {R"({"type":"destroy","id":"1","what":1,"ref":"\u0061\n"})", true, "a\n"},
      {R"({"type":"destroy","id":"1","id":"1","ref":"r"})", true, "r"},
      {R"({"ref":"r","type":"destroy","id":"1",})", true, "r"},
      {R"({"type":"destroy","id":"1",,"ref":"r"})", false, ""},
      {R"({"type":"track"})", false, ""},
      {R"({"type":"track","ref":5})", false, ""},
      {R"({"type":"track","ref":")" + std::string(200, 'x') + "\"}", true, std::string(200, 'x')},
      {R"({"type":"track","ref":")" + std::string(201, 'x') + "\"}", false, ""},
      {R"(["ref","r"])", false, ""},
      {R"({"data":{"ref":"inner"}})", false, ""},
  };
  for (const Case& one : cases) {
    CAPTURE(one.line);
    const auto job = ParseJobLine(one.line);
    REQUIRE(!job);
    CHECK(job.error().has_ref == one.has_ref);
    CHECK(job.error().ref == one.ref);
  }
}

// --- any valid line
// -------------------------------------------------------------------------------------------------------------------

class LineMaker {
 public:
  explicit LineMaker(std::uint64_t seed) : random_(seed) {}

  std::string Space() { return Pick<std::string>({"", "", "", " ", "\t", "\r", "  "}); }
  std::string Object(int depth) { return Container('{', '}', depth, true); }
  std::size_t Below(std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_);
  }

 private:
  template <typename T>
  T Pick(const std::vector<T>& choices) {
    return choices[Below(choices.size())];
  }

  std::string Digits(std::size_t count) {
    std::string digits;
    for (std::size_t i = 0; i < count; ++i) digits += static_cast<char>('0' + Below(10));
    return digits;
  }

  std::string Number() {
    std::string number = Pick<std::string>({"", "-"});
    number += Below(3) == 0 ? "0"
                            : std::string(1, static_cast<char>('1' + Below(9))) +
                                  Digits(Below(Below(10) == 0 ? 400 : 20));
    if (Below(2) == 0) number += "." + Digits(1 + Below(20));
    if (Below(3) == 0)
      number += Pick<std::string>({"e", "E"}) + Pick<std::string>({"", "+", "-"}) + Digits(1 + Below(5));
    return number;
  }

  std::string String() {
    std::string text = "\"";
    for (std::size_t count = Below(8); count > 0; --count) {
      text += Pick<std::string>(
          {"a",    "Z",    "0",  "-",    " ",    "{",   "}",   "[",   "]",       ":",       ",",
           "é",    "€",    "😀", "\\\"", "\\\\", "\\/", "\\b", "\\n", "\\u0000", "\\u00e9", "\\ud83d\\ude00",
           "\x7f", "1e400"});
    }
    return text + "\"";
  }

  std::string Container(char open, char close, int depth, bool named) {
    std::string text(1, open);
    const std::size_t count = Below(5);
    for (std::size_t i = 0; i < count; ++i) {
      if (i > 0) text += ",";
      text += Space();
      if (named) text += String() + Space() + ":" + Space();
      text += Value(depth - 1) + Space();
    }
    return text + Space() + close;
  }

  std::string Value(int depth) {
    switch (Below(depth > 0 ? 7 : 5)) {
      case 0:
        return "null";
      case 1:
        return "true";
      case 2:
        return "false";
      case 3:
        return Number();
      case 4:
        return String();
      case 5:
        return Object(depth);
      default:
        return Container('[', ']', depth, false);
    }
  }

  std::mt19937_64 random_;
};

TEST_CASE("job line: whatever valid data a line holds, its bytes are carried unchanged") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  LineMaker make(seed);
  for (int i = 0; i < 3000; ++i) {
    const std::string data = make.Object(6);
    std::vector<std::string> members = {R"("type":"track")", R"("id":"42")", R"("name":"n")",
                                        "\"data\":" + make.Space() + data + make.Space()};
    std::string line = "{";
    while (!members.empty()) {
      const auto next = members.begin() + static_cast<std::ptrdiff_t>(make.Below(members.size()));
      line += make.Space() + *next + make.Space() + (members.size() > 1 ? "," : "");
      members.erase(next);
    }
    line += "}" + make.Space();
    CAPTURE(line);
    const auto job = ParseJobLine(line);
    REQUIRE_MESSAGE(job, (job ? std::string() : job.error().message));
    REQUIRE(job->Text(job->body) == data);
    REQUIRE(job->customer == "42");
    REQUIRE(job->line == line);
  }
}

TEST_CASE("job line: a damaged line is read or refused, and never more") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  LineMaker make(seed);
  for (int i = 0; i < 3000; ++i) {
    std::string line = Track(make.Object(4));
    for (std::size_t count = 1 + make.Below(3); count > 0; --count)
      line[make.Below(line.size())] = static_cast<char>(make.Below(256));
    CAPTURE(line);
    const auto job = ParseJobLine(line);
    if (!job) REQUIRE(!job.error().message.empty());
    if (job && !job->body.empty()) REQUIRE(job->Text(job->body).front() == '{');
  }
}

}  // namespace
}  // namespace outboxd
