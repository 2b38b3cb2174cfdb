#include "core/json.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "core/limits.h"
#include "core/text.h"

namespace outboxd {
namespace {

JsonValue MustParse(std::string_view text) {
  const Result<JsonValue> value = JsonValue::Parse(text);
  REQUIRE_MESSAGE(value.has_value(), std::string(text));
  return *value;
}

std::string Nested(std::size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

TEST_CASE("json: members, items and scalars are read with their types") {
  const JsonValue value = MustParse(
      R"( {"s":"a\u00e9\n","i":-5,"d":1.5,"t":true,"f":false,"n":null,"a":[1,"x",{"y":[]}],"o":{"k":"v"}} )");
  CHECK(value.IsObject());
  CHECK(value["s"].String() == "a\xc3\xa9\n");
  CHECK(value["i"].Int() == -5);
  CHECK(value["d"].Number() == 1.5);
  CHECK(value["t"].Bool());
  CHECK_FALSE(value["f"].Bool(true));
  CHECK(value["n"].IsNull());
  CHECK(value.Has("n"));
  CHECK_FALSE(value.Has("absent"));
  REQUIRE(value["a"].Items().size() == 3);
  CHECK(value["a"].Items()[1].String() == "x");
  CHECK(value["a"].Items()[2]["y"].IsArray());
  REQUIRE(value["o"].Members().size() == 1);
  CHECK(value["o"].Members()[0].first == "k");
  CHECK(value["o"].Members()[0].second.String() == "v");
}

TEST_CASE("json: what is absent or of another type gives the fallback") {
  const JsonValue value = MustParse(R"({"s":"5","n":1.5})");
  CHECK(value["none"].IsNull());
  CHECK(value["none"]["deeper"].String("x") == "x");
  CHECK(value["s"].Int(7) == 7);
  CHECK(value["s"].Bool(true));
  CHECK(value["n"].Int(7) == 7);
  CHECK(value["n"].String("x") == "x");
  CHECK(value["n"].Items().empty());
  CHECK(value["n"].Members().empty());
  CHECK(JsonValue().IsNull());
  CHECK(JsonValue().ToText() == "null");
}

TEST_CASE("json: a value outlives the value it came from") {
  JsonValue inner;
  {
    const JsonValue outer = MustParse(R"({"a":{"b":"still here"}})");
    inner = outer["a"]["b"];
  }
  CHECK(inner.String() == "still here");
}

TEST_CASE("json: lone scalars are values too, and only one of them") {
  CHECK(MustParse(" 5 ").Int() == 5);
  CHECK(MustParse("\"x\"").String() == "x");
  CHECK(MustParse("null").IsNull());
  CHECK(MustParse("true").Bool());
  CHECK(MustParse(" 5 ").ToText() == "5");
  for (const char* text :
       {"", " ", "1,2", "1],[2", "5 x", "tru", "'x'", "nan", "01", "+1", "1.", ".5", "\"x"}) {
    CHECK_MESSAGE(!JsonValue::Parse(text), std::string(text));
  }
}

TEST_CASE("json: malformed texts are refused") {
  for (const char* text :
       {"{", "}", "{\"a\"}", "{\"a\":1,}", "[1,]", "[1 2]", "{a:1}", "[1]x", "{\"a\":1}{}", "\"\\x\"", "[01]",
        "[\"a\nb\"]", "[\"\xff\"]", "[\"\xc0\x80\"]", "[\"\xed\xa0\x80\"]", "// c\n1"}) {
    CHECK_MESSAGE(!JsonValue::Parse(text), std::string(text));
  }
  CHECK_FALSE(JsonValue::Parse(std::string_view("[1]\0", 4)));
  CHECK(JsonValue::Parse("{").error().kind == ErrorKind::kInvalid);
}

TEST_CASE("json: numbers of any size are kept as written") {
  const JsonValue value = MustParse(
      R"([1e400, -0, 1.0, 9223372036854775807, 9223372036854775808, 123456789012345678901234567890, 0.1, 5.0, 1E3])");
  CHECK(value.ToText() ==
        "[1e400,-0,1.0,9223372036854775807,9223372036854775808,123456789012345678901234567890,0.1,5.0,1E3]");
  const std::vector<JsonValue> items = value.Items();
  CHECK(items[0].IsNumber());
  CHECK(items[0].Number(-1) == -1);
  CHECK(items[3].Int() == std::numeric_limits<std::int64_t>::max());
  CHECK(items[4].Int(-1) == -1);
  CHECK(items[4].Number() == 9223372036854775808.0);
  CHECK(items[6].Number() == 0.1);
  CHECK(items[7].Int() == 5);
  CHECK(items[8].Int() == 1000);
}

TEST_CASE("json: ToText drops the white space between tokens and nothing else") {
  CHECK(MustParse(" { \"b\" : [ 1 , \" x \\\" y \" ] ,\n\t\"a\\u0062\" : { } } ").ToText() ==
        R"({"b":[1," x \" y "],"a\u0062":{}})");
  CHECK(MustParse(R"({"a": {"c" : 1e5}})")["a"].ToText() == R"({"c":1e5})");
}

TEST_CASE("json: nesting is bounded, with room for the deepest line inside an answer") {
  const std::string line = Nested(limits::kJsonDepth);
  CHECK(MustParse("{\"rows\":[{\"line\":" + line + "}]}")["rows"].Items()[0]["line"].ToText() == line);
  CHECK(JsonValue::Parse(Nested(limits::kJsonDepth + 8)).has_value());
  CHECK_FALSE(JsonValue::Parse(Nested(limits::kJsonDepth + 9)).has_value());
  CHECK_FALSE(JsonValue::Parse(std::string(1'000'000, '[')).has_value());
}

TEST_CASE("json: the first of equal names counts") {
  CHECK(MustParse(R"({"a":1,"a":2})")["a"].Int() == 1);
}

TEST_CASE("json writer: commas, quoting and nesting are right") {
  JsonWriter writer;
  writer.Object()
      .Key("s")
      .String("a\"\\\n\x01/\xc3\xa9")
      .Key("n")
      .Int(-5)
      .Key("a")
      .Array()
      .Int(1)
      .Bool(true)
      .Null()
      .Object()
      .EndObject();
  writer.EndArray().Key("d").Number(0.1).Key("r").Raw("[1e400]").Key("e").Array().EndArray().EndObject();
  CHECK(writer.Text() ==
        "{\"s\":\"a\\\"\\\\\\n\\u0001/"
        "\xc3\xa9\",\"n\":-5,\"a\":[1,true,null,{}],\"d\":0.1,\"r\":[1e400],\"e\":[]}");
  CHECK(JsonValue::Parse(writer.Take()).has_value());
}

TEST_CASE("json writer: numbers that JSON has no word for become null") {
  JsonWriter writer;
  writer.Array()
      .Number(std::nan(""))
      .Number(std::numeric_limits<double>::infinity())
      .Number(1e300)
      .Number(3)
      .EndArray();
  CHECK(writer.Text() == "[null,null,1e+300,3]");
}

TEST_CASE("json writer: invalid UTF-8 becomes the replacement character") {
  JsonWriter writer;
  writer.Array().String("a\xff").String("\xc3").String("\xed\xa0\x80").String("\xf0\x9f\x98\x80").EndArray();
  CHECK(writer.Text() ==
        "[\"a\xef\xbf\xbd\",\"\xef\xbf\xbd\",\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\",\"\xf0\x9f\x98\x80\"]");
}

TEST_CASE("json: any bytes written as a string are read back as valid text") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 12, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 4 == 0 ? random() % 256 : random() % 128);
    JsonWriter writer;
    writer.Object().Key(bytes).String(bytes).EndObject();
    const JsonValue value = MustParse(writer.Text());
    CHECK(value.ToText() == writer.Text());
    CHECK(value.Members()[0].second.String() == value.Members()[0].first);
  }
}

}  // namespace
}  // namespace outboxd
