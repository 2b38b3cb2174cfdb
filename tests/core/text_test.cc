#include "core/text.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/result.h"

namespace outboxd {
namespace {

using namespace std::string_view_literals;

std::string Quoted(std::string_view text) {
  std::string out;
  AppendJsonString(out, text);
  return out;
}

TEST_CASE("utf8: a code point is decoded with its length") {
  struct Case {
    std::string_view bytes;
    char32_t value;
  };
  for (const Case& one : {Case{"\0"sv, 0}, Case{"a", 'a'}, Case{"\x7f", 0x7f}, Case{"\xc2\x80", 0x80},
                          Case{"\xdf\xbf", 0x7ff}, Case{"\xe0\xa0\x80", 0x800}, Case{"\xed\x9f\xbf", 0xd7ff},
                          Case{"\xee\x80\x80", 0xe000}, Case{"\xef\xbf\xbf", 0xffff},
                          Case{"\xf0\x90\x80\x80", 0x10000}, Case{"\xf4\x8f\xbf\xbf", 0x10ffff}}) {
    CAPTURE(static_cast<std::uint32_t>(one.value));
    const std::string text = "x" + std::string(one.bytes) + "y";
    const CodePoint point = DecodeUtf8(text, 1);
    CHECK(point.valid);
    CHECK(point.value == one.value);
    CHECK(point.length == one.bytes.size());
    CHECK(IsUtf8(text));
  }
}

TEST_CASE(
    "utf8: longer forms, surrogates, what lies beyond Unicode and what is cut off are invalid, one byte "
    "long") {
  for (const std::string_view bytes :
       {"\x80"sv, "\xbf"sv, "\xc0\x80"sv, "\xc1\xbf"sv, "\xc2"sv, "\xc2x"sv, "\xe0\x9f\xbf"sv, "\xe2\x82"sv,
        "\xed\xa0\x80"sv, "\xed\xbf\xbf"sv, "\xf0\x8f\xbf\xbf"sv, "\xf0\x9f\x98"sv, "\xf4\x90\x80\x80"sv,
        "\xf5\x80\x80\x80"sv, "\xff"sv}) {
    CAPTURE(Quoted(bytes));
    const CodePoint point = DecodeUtf8(bytes, 0);
    CHECK_FALSE(point.valid);
    CHECK(point.length == 1);
    CHECK_FALSE(IsUtf8(bytes));
  }
  CHECK(IsUtf8(""));
}

TEST_CASE("utf8: invalid bytes are replaced one by one, the rest stays") {
  CHECK(ReplaceInvalidUtf8("a\xff\xc3\xa9") == "a\xef\xbf\xbd\xc3\xa9");
  CHECK(ReplaceInvalidUtf8("\xed\xa0\x80") == "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  CHECK(ReplaceInvalidUtf8("\xc3") == "\xef\xbf\xbd");
  CHECK(ReplaceInvalidUtf8("").empty());
}

TEST_CASE("utf8: a cut never ends inside a character") {
  CHECK(CutAtCharacter("abc", 3) == "abc");
  CHECK(CutAtCharacter("abc", 2) == "ab");
  CHECK(CutAtCharacter("abc", 0).empty());
  CHECK(CutAtCharacter("a\xc3\xa9", 2) == "a");
  CHECK(CutAtCharacter("a\xc3\xa9", 3) == "a\xc3\xa9");
  CHECK(CutAtCharacter("\xf0\x9f\x98\x80!", 3).empty());
  CHECK(CutAtCharacter("\xf0\x9f\x98\x80!", 4) == "\xf0\x9f\x98\x80");
}

TEST_CASE("text: whatever the bytes, a cut of valid text is valid and as long as it may be") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 5000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes)
      byte = static_cast<char>(random() % 3 == 0 ? random() % 128 : 0x80 + random() % 128);
    const std::string text = ReplaceInvalidUtf8(bytes);
    REQUIRE(IsUtf8(text));
    const std::size_t bytes_max = random() % 40;
    const std::string_view cut = CutAtCharacter(text, bytes_max);
    REQUIRE(IsUtf8(cut));
    REQUIRE(cut.size() <= bytes_max);
    REQUIRE((cut.size() == text.size() || cut.size() + 4 > bytes_max));
  }
}

TEST_CASE("text: control bytes become spaces, one for one") {
  CHECK(OneLine("a\r\n\tb\x7f\xc3\xa9") == "a   b \xc3\xa9");
  CHECK(OneLine(std::string(1, '\0')) == " ");
  CHECK(OneLine("").empty());
}

TEST_CASE("text: a JSON string escapes what must be and nothing else") {
  CHECK(Quoted("") == R"("")");
  CHECK(Quoted("a\"b\\c/d") == R"("a\"b\\c/d")");
  CHECK(Quoted("\b\f\n\r\t") == R"("\b\f\n\r\t")");
  CHECK(Quoted("\0\x01\x1f\x7f"sv) == "\"\\u0000\\u0001\\u001F\x7f\"");
  CHECK(Quoted("\xc3\xa9\xff") == "\"\xc3\xa9\xff\"");
}

TEST_CASE("text: a noun takes an s for every count but one, and its count a comma every three digits") {
  CHECK(Counted(0, "job") == "0 jobs");
  CHECK(Counted(1, "job") == "1 job");
  CHECK(Counted(2, "job") == "2 jobs");
  CHECK(Counted(999, "job") == "999 jobs");
  CHECK(Counted(1000, "job") == "1,000 jobs");
  CHECK(Counted(std::numeric_limits<std::uint64_t>::max(), "job") == "18,446,744,073,709,551,615 jobs");
}

TEST_CASE("terminal: controls, escapes, bidi and invisible characters and invalid UTF-8 become visible") {
  CHECK(EscapeForTerminal("plain \xc3\xa9 \xf0\x9f\x98\x80") == "plain \xc3\xa9 \xf0\x9f\x98\x80");
  CHECK(EscapeForTerminal("\x1b[31mred\x07\n\t") == "\\x1b[31mred\\x07\\x0a\\x09");
  CHECK(EscapeForTerminal("\x7f") == "\\x7f");
  CHECK(EscapeForTerminal("\xc2\x9b"
                          "31m") == "\\u{9b}31m");
  CHECK(EscapeForTerminal("a\xe2\x80\xae"
                          "b") == "a\\u{202e}b");
  CHECK(EscapeForTerminal("\xe2\x81\xa6\xe2\x80\xa8\xef\xbb\xbf") == "\\u{2066}\\u{2028}\\u{feff}");
  CHECK(EscapeForTerminal("\xff\xc3") == "\\xff\\xc3");
  CHECK(EscapeForTerminal(std::string_view("\0", 1)) == "\\x00");
}

TEST_CASE("terminal: JSON keeps its meaning, and what would be obeyed or hide is escaped") {
  CHECK(EscapeJsonForTerminal("{\"a\":\"\xc3\xa9 \xf0\x9f\x98\x80\"}") ==
        "{\"a\":\"\xc3\xa9 \xf0\x9f\x98\x80\"}");
  const std::string bad =
      "[\"\x7f\",\"\xc2\x9b\",\"\xe2\x80\xae\xe2\x81\xa6\",\"\xe2\x80\xa8\",\"\xf3\xa0\x80\x81\","
      "\"\\u0001\"]";
  const std::string safe = EscapeJsonForTerminal(bad);
  CHECK(safe == R"(["\u007f","\u009b","\u202e\u2066","\u2028","\udb40\udc01","\u0001"])");
  const Result<JsonValue> before = JsonValue::Parse(bad), after = JsonValue::Parse(safe);
  REQUIRE(before);
  REQUIRE(after);
  for (std::size_t i = 0; i < before->Items().size(); ++i)
    CHECK(before->Items()[i].String() == after->Items()[i].String());
  CHECK(EscapeJsonForTerminal("\"\xff\"") == "\"\xef\xbf\xbd\"");
}

}  // namespace
}  // namespace outboxd
