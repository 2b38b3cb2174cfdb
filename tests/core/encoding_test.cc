#include "core/encoding.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

namespace outboxd {
namespace {

TEST_CASE("percent: everything but unreserved bytes is encoded, and decoding leaves the rest alone") {
  CHECK(PercentEncode("AZaz09-._~") == "AZaz09-._~");
  CHECK(PercentEncode("a b/\xc3\xbc+@%") == "a%20b%2F%C3%BC%2B%40%25");
  const std::vector<std::pair<std::string, std::string>> cases = {{"a%20b%2f%C3%bc", "a b/\xc3\xbc"},
                                                                  {"a+b", "a+b"},
                                                                  {"%", "%"},
                                                                  {"%4", "%4"},
                                                                  {"%4g", "%4g"},
                                                                  {"%%41", "%A"},
                                                                  {"%00", std::string("\0", 1)},
                                                                  {"%25", "%"},
                                                                  {"%2541", "%41"}};
  for (const auto& [text, decoded] : cases) {
    CAPTURE(text);
    CHECK(PercentDecode(text) == decoded);
  }
}

TEST_CASE("base64: the test vectors of RFC 4648, both alphabets, with or without padding") {
  const std::vector<std::pair<std::string, std::string>> cases = {{"", ""},
                                                                  {"f", "Zg=="},
                                                                  {"fo", "Zm8="},
                                                                  {"foo", "Zm9v"},
                                                                  {"foob", "Zm9vYg=="},
                                                                  {"fooba", "Zm9vYmE="},
                                                                  {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : cases) {
    CAPTURE(text);
    CHECK(Base64Encode(bytes) == text);
    CHECK(Base64Decode(text) == bytes);
    CHECK(Base64Decode(text.substr(0, text.find('='))) == bytes);
  }
  CHECK(Base64Encode("\xfb\xff\xbf") == "+/+/");
  CHECK(Base64Decode("+/+/") == "\xfb\xff\xbf");
  CHECK(Base64Decode("-_-_") == "\xfb\xff\xbf");
}

TEST_CASE("base64: anything else is refused") {
  for (const std::string_view text :
       {"Z", "Zg=", "Zg===", "=", "==", "====", "Z===", "Zm9v=", "Zm9v====", "Zm=v", "Zg==Zg==", "Zm9v ",
        " Zm9v", "Zm9v\n", "Zm9*", "Zh==", "Zm9=", "Z\xc3\xbcg="}) {
    CAPTURE(text);
    CHECK_FALSE(Base64Decode(text));
  }
}

TEST_CASE("percent, base64: any bytes survive there and back, and any bytes can be decoded") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 5'000; ++i) {
    std::string bytes(random() % 60, '\0');
    std::generate(bytes.begin(), bytes.end(), [&random] { return static_cast<char>(random() % 256); });
    REQUIRE(PercentDecode(PercentEncode(bytes)) == bytes);
    REQUIRE(Base64Decode(Base64Encode(bytes)) == bytes);
    (void)PercentDecode(bytes);
    (void)Base64Decode(bytes);
  }
}

TEST_CASE("percent: an escape is a percent sign and two hex digits, all inside the text") {
  CHECK(IsPercentEscape("%4a", 0));
  CHECK(IsPercentEscape("x%4A", 1));
  CHECK_FALSE(IsPercentEscape("x%4a", 0));
  CHECK_FALSE(IsPercentEscape("%4", 0));
  CHECK_FALSE(IsPercentEscape("%g4", 0));
  std::string out = "a";
  AppendPercentEscape(out, '\xc3');
  CHECK(out == "a%C3");
}

}  // namespace
}  // namespace outboxd
