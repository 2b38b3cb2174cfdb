#include "core/object_scan.h"

#include <doctest/doctest.h>

#include "core/limits.h"

namespace outboxd {
namespace {

struct Expected {
  std::string key;
  ValueKind kind;
  std::string raw;
  std::string text;
};

void CheckMembers(const std::string& json, ValueKind root, const std::vector<Expected>& expected) {
  CAPTURE(json);
  std::vector<Member> members;
  const Result<ValueKind> scanned = ScanMembers(json, members);
  REQUIRE_MESSAGE(scanned, (scanned ? std::string() : scanned.error().message));
  CHECK(*scanned == root);
  REQUIRE(members.size() == expected.size());
  for (std::size_t i = 0; i < members.size(); ++i) {
    CAPTURE(i);
    CHECK(members[i].key == expected[i].key);
    CHECK(members[i].kind == expected[i].kind);
    CHECK(json.substr(members[i].raw.offset, members[i].raw.length) == expected[i].raw);
    CHECK(members[i].text == expected[i].text);
  }
}

TEST_CASE("object scan: each kind of value is found where it stands") {
  CheckMembers(
      R"( { "n" : null , "t":true,"f": false ,"i":-12, "s" : "a\"}\u00e9" ,"a": [1,{"x":2}] ,"o":{ } } )",
      ValueKind::kObject,
      {{"n", ValueKind::kNull, "null", ""},
       {"t", ValueKind::kTrue, "true", ""},
       {"f", ValueKind::kFalse, "false", ""},
       {"i", ValueKind::kNumber, "-12", ""},
       {"s", ValueKind::kString, R"("a\"}\u00e9")", "a\"}\xc3\xa9"},
       {"a", ValueKind::kArray, R"([1,{"x":2}])", ""},
       {"o", ValueKind::kObject, "{ }", ""}});
}

TEST_CASE("object scan: the elements of an array have no keys") {
  CheckMembers(R"([{"key":1},"two",3,[],null])", ValueKind::kArray,
               {{"", ValueKind::kObject, R"({"key":1})", ""},
                {"", ValueKind::kString, "\"two\"", "two"},
                {"", ValueKind::kNumber, "3", ""},
                {"", ValueKind::kArray, "[]", ""},
                {"", ValueKind::kNull, "null", ""}});
}

TEST_CASE("object scan: empty containers, equal keys and escaped keys") {
  CheckMembers("{}", ValueKind::kObject, {});
  CheckMembers(" [ ] ", ValueKind::kArray, {});
  CheckMembers(R"({"a":1,"a":2,"\u0061":3,"":4})", ValueKind::kObject,
               {{"a", ValueKind::kNumber, "1", ""},
                {"a", ValueKind::kNumber, "2", ""},
                {"a", ValueKind::kNumber, "3", ""},
                {"", ValueKind::kNumber, "4", ""}});
}

TEST_CASE("object scan: numbers that no double holds are stretches like any other") {
  const std::string digits(400, '9');
  CheckMembers("{\"a\":1e400,\"b\":" + digits + ",\"c\":[-1e999],\"d\":\"1e400\",\"e\":-0.0}",
               ValueKind::kObject,
               {{"a", ValueKind::kNumber, "1e400", ""},
                {"b", ValueKind::kNumber, digits, ""},
                {"c", ValueKind::kArray, "[-1e999]", ""},
                {"d", ValueKind::kString, "\"1e400\"", "1e400"},
                {"e", ValueKind::kNumber, "-0.0", ""}});
  CheckMembers("[1e400]", ValueKind::kArray, {{"", ValueKind::kNumber, "1e400", ""}});
}

TEST_CASE("object scan: a number is its text, whatever its value would do to who computes it") {
  for (const std::string number :
       {"0.000000000000000001e-2147483639", "-0.0000000000000000000000000001E-2147483647",
        "1e-99999999999999999999", "0e2147483647", "0.0e-0", "0e99999999999", "-0", "1.5E+3",
        "18446744073709551616", "0.1",
        "123456789012345678901234567890.123456789012345678901234567890e-300"}) {
    CAPTURE(number);
    CheckMembers("{\"v\":" + number + ",\"w\": " + number + " }", ValueKind::kObject,
                 {{"v", ValueKind::kNumber, number, ""}, {"w", ValueKind::kNumber, number, ""}});
    CheckMembers("{\"v\":[" + number + "]}", ValueKind::kObject,
                 {{"v", ValueKind::kArray, "[" + number + "]", ""}});
  }
  for (const char* wrong :
       {"[01]", "[1.]", "[.5]", "[1e]", "[1e+]", "[-]", "[+1]", "[1e5.0]", "[0x1]", "[NaN]", "[--1]"}) {
    CAPTURE(wrong);
    std::vector<Member> members;
    CHECK_FALSE(ScanMembers(wrong, members).has_value());
  }
}

TEST_CASE("object scan: the end of a string is found with escapes and without") {
  CheckMembers(R"({"a":"plain","b":"with \" and \\","c":"\u00e9","d":""})", ValueKind::kObject,
               {{"a", ValueKind::kString, R"("plain")", "plain"},
                {"b", ValueKind::kString, R"("with \" and \\")", "with \" and \\"},
                {"c", ValueKind::kString, R"("\u00e9")", "\xc3\xa9"},
                {"d", ValueKind::kString, R"("")", ""}});
  CheckMembers("{\"a\":\"\xc3\xa9\"}", ValueKind::kObject,
               {{"a", ValueKind::kString, "\"\xc3\xa9\"", "\xc3\xa9"}});
}

TEST_CASE("object scan: members are appended to those there") {
  std::vector<Member> members(1);
  REQUIRE(ScanMembers(R"({"a":1})", members));
  REQUIRE(ScanMembers(R"({"b":1e400})", members));
  REQUIRE(members.size() == 3);
  CHECK(members[1].key == "a");
  CHECK(members[2].key == "b");
}

TEST_CASE("object scan: a lone scalar is a conflict, not invalid") {
  for (const char* json : {"1", "\"x\"", "null", " true ", "1e400"}) {
    CAPTURE(json);
    std::vector<Member> members;
    const Result<ValueKind> scanned = ScanMembers(json, members);
    REQUIRE(!scanned);
    CHECK(scanned.error().kind == ErrorKind::kConflict);
    CHECK(members.empty());
  }
}

TEST_CASE("object scan: the message says where the text goes wrong") {
  const auto message = [](const std::string& json) {
    std::vector<Member> members;
    const Result<ValueKind> scanned = ScanMembers(json, members);
    REQUIRE(!scanned);
    CHECK(scanned.error().kind == ErrorKind::kInvalid);
    return scanned.error().message;
  };
  CHECK(message("{\"a\":}").find("(byte 6)") != std::string::npos);
  CHECK(message("{\"big\":1e400,\"a\":}").find("(byte 18)") != std::string::npos);
  CHECK(message(std::string("[\0]", 3)) == "NUL byte (byte 2)");
  CHECK(message(std::string(limits::kJsonDepth + 1, '[')) == "nested deeper than 64 levels");
}

TEST_CASE("object scan: half a pair of surrogates is read as U+FFFD, and its bytes stay where they are") {
  for (const std::string half : {R"(\ud83d)", R"(\uDC00)", R"(\ud83d\ud83d)", R"(\\\ud83d)", R"(\ud83dx)"}) {
    CAPTURE(half);
    const std::string json =
        R"({"cut )" + half + R"(":1e400,"b":["\ud83d\ude00)" + half + R"("],"c":")" + half + R"(","d":2})";
    std::vector<Member> members;
    REQUIRE(ScanMembers(json, members));
    REQUIRE(members.size() == 4);
    CHECK(members[0].key.find("\xef\xbf\xbd") != std::string::npos);
    CHECK(json.substr(members[0].raw.offset, members[0].raw.length) == "1e400");
    CHECK(members[2].text.find("\xef\xbf\xbd") != std::string::npos);
    CHECK(json.substr(members[2].raw.offset, members[2].raw.length) == "\"" + half + "\"");
    CHECK(json.substr(members[3].raw.offset, members[3].raw.length) == "2");
  }
  std::vector<Member> members;
  REQUIRE(ScanMembers(R"({"a":"\ud83d\ude00 \ud83d"})", members));
  CHECK(members[0].text == "\xf0\x9f\x98\x80 \xef\xbf\xbd");
}

TEST_CASE("object scan: bytes are counted without white space between tokens, and decoded") {
  CHECK(DecodedBytes(R"({ "a" : [ 1 , 2 ] })") == 11);
  CHECK(DecodedBytes(R"("a \" b")") == 7);
  CHECK(DecodedBytes(R"("\n\\\u0041\u00e9\u20ac\ud83d\ude00")") == 2 + 3 + 2 + 3 + 4);
  CHECK(DecodedBytes("\"\xc3\xa9\"") == 4);
}

TEST_CASE("object scan: a text cut off inside a character is invalid, wherever the cut is") {
  for (const std::string start : {"", "[\"", "{\"a\":\"x", "[1e400,\"", "[]"}) {
    for (const std::string character : {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xff\xff\xff\xff"}) {
      for (std::size_t length = 1; length < character.size(); ++length) {
        std::string text = start + character.substr(0, length);
        text.shrink_to_fit();
        CAPTURE(text);
        std::vector<Member> members;
        const Result<ValueKind> scanned = ScanMembers(text, members);
        REQUIRE(!scanned);
        CHECK(scanned.error().kind == ErrorKind::kInvalid);
      }
    }
  }
}

TEST_CASE("object scan: what was read before an error is kept") {
  std::vector<Member> members;
  CHECK(!ScanMembers(R"({"a":"x","b":[1],"c":nope})", members));
  REQUIRE(members.size() == 2);
  CHECK(members[0].text == "x");
}

TEST_CASE("tree scan: a parent stands before its children, and each value knows where it ends") {
  const std::string text = R"( {"a":[1,{"b":"x\u00e9"}],"c":null,"d":{}} )";
  const auto nodes = ScanTree(text, 8);
  REQUIRE(nodes.has_value());
  struct Node {
    std::string key;
    ValueKind kind;
    std::string raw;
    std::size_t end;
  };
  const std::vector<Node> expected = {
      {"", ValueKind::kObject, R"({"a":[1,{"b":"x\u00e9"}],"c":null,"d":{}})", 7},
      {"a", ValueKind::kArray, R"([1,{"b":"x\u00e9"}])", 5},
      {"", ValueKind::kNumber, "1", 3},
      {"", ValueKind::kObject, R"({"b":"x\u00e9"})", 5},
      {"b", ValueKind::kString, R"("x\u00e9")", 5},
      {"c", ValueKind::kNull, "null", 6},
      {"d", ValueKind::kObject, "{}", 7}};
  REQUIRE(nodes->size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    const TreeNode& node = (*nodes)[i];
    CHECK(node.key == expected[i].key);
    CHECK(node.kind == expected[i].kind);
    CHECK(text.substr(node.raw.offset, node.raw.length) == expected[i].raw);
    CHECK(node.end == expected[i].end);
  }
  CHECK((*nodes)[4].text == "x\xc3\xa9");
}

TEST_CASE("tree scan: a scalar alone is a tree, and numbers that no double holds are values like any other") {
  for (const char* text : {"5", " \"x\" ", "true", "null", "1e400", "[1e400,-1e400,\"1e400\"]"}) {
    CAPTURE(text);
    const auto nodes = ScanTree(text, 8);
    REQUIRE(nodes.has_value());
    CHECK(nodes->front().end == nodes->size());
  }
  CHECK_FALSE(ScanTree("", 8).has_value());
  CHECK_FALSE(ScanTree("1 2", 8).has_value());
}

TEST_CASE("tree scan: its depth is bounded") {
  CHECK(ScanTree("[[[]]]", 3).has_value());
  REQUIRE_FALSE(ScanTree("[[[[]]]]", 3).has_value());
  CHECK(ScanTree("[[[[]]]]", 3).error().message == "nested deeper than 3 levels");
}

}  // namespace
}  // namespace outboxd
