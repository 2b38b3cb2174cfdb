#include "core/secrets.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "core/encoding.h"

namespace outboxd {
namespace {

Secrets Of(const std::string& user, const std::string& password) {
  Secrets secrets;
  secrets.Add(user, password);
  return secrets;
}

TEST_CASE("secrets: the password, the pair and its base64 are replaced wherever they stand") {
  const Secrets secrets = Of("site", "s3cretkey");
  for (const auto& [text, redacted] : std::vector<std::pair<std::string, std::string>>{
           {"s3cretkey", "[redacted]"},
           {"key=s3cretkeys3cretkey;", "key=[redacted][redacted];"},
           {"xs3cretkeyx", "x[redacted]x"},
           {"site:s3cretkey", "[redacted]"},
           {"Authorization: Basic c2l0ZTpzM2NyZXRrZXk=\r\n", "Authorization: Basic [redacted]=\r\n"},
           {R"({"auth":"c2l0ZTpzM2NyZXRrZXk"})", R"({"auth":"[redacted]"})"}}) {
    CAPTURE(text);
    CHECK(secrets.StandIn(text));
    CHECK(secrets.Redact(text) == redacted);
  }
}

TEST_CASE("secrets: what has none stays as it is") {
  const Secrets secrets = Of("site", "s3cretkey");
  for (const std::string text : {"", "{}", "site:", "s3cretke", "S3CRETKEY", "c2l0ZTpzM2NyZXRrZX", "%", "&",
                                 "\\", "%73", "&#115;", "site%3As3cretke"}) {
    CAPTURE(text);
    CHECK_FALSE(secrets.StandIn(text));
    CHECK(secrets.Redact(text) == text);
  }
  CHECK_FALSE(Secrets().StandIn("anything"));
  CHECK(Secrets().Redact("anything") == "anything");
  CHECK_FALSE(Of("site", "").StandIn("site:"));
}

TEST_CASE("secrets: JSON, a URL and HTML may have escaped any part of it") {
  const Secrets secrets = Of("si+te", R"(a/b+c:d"e&f)");
  for (const std::string text : {"a%2Fb%2bc%3ad%22e%26f", R"(a\/b\u002bc:d\"e\u0026f)",
                                 R"(\u0061/b+c\u003A)"
                                 R"(d\"e&f)",
                                 "a&#47;b&#43;c:d&quot;e&amp;f", "a&sol;b&plus;c&colon;d&#34;e&#x26;f",
                                 "si%2Bte%3Aa/b+c:d%22e&amp;f"}) {
    CAPTURE(text);
    CHECK(secrets.StandIn("x " + text + " y"));
    CHECK(secrets.Redact("x " + text + " y") == "x [redacted] y");
  }
  const Secrets odd = Of("a", "?>?>?>?>?>");  // its base64 has both letters that URLs have otherwise
  const std::string encoded = Base64Encode("a:?>?>?>?>?>");
  REQUIRE(encoded.find('/') != std::string::npos);
  std::string php = encoded;
  php.replace(php.find('/'), 1, "\\/");
  CHECK(odd.StandIn(php));
  std::string for_urls = encoded;
  for (char& letter : for_urls) letter = letter == '/' ? '_' : letter == '+' ? '-' : letter;
  CHECK(odd.StandIn(for_urls));
}

TEST_CASE("secrets: a short one counts only where it stands whole") {
  const Secrets secrets = Of("s", "key");
  CHECK(secrets.Redact(R"({"key":"the key: key"})") == R"({"[redacted]":"the [redacted]: [redacted]"})");
  CHECK(secrets.Redact("monkey keys api_key key-1 akey") == "monkey keys api_key key-1 akey");
  CHECK(secrets.Redact("s:key") == "[redacted]");
}

TEST_CASE("secrets: at the end of a text that was cut, the beginning of one is taken for it") {
  const Secrets secrets = Of("site", "s3cretkey");
  const std::string basic = "Basic c2l0ZTpzM2NyZXRrZXk";
  for (std::size_t length = 7; length < basic.size(); ++length) {
    const std::string cut = basic.substr(0, length);
    CAPTURE(cut);
    CHECK(secrets.Redact(cut, TextEnd::kCut) == "Basic [redacted]");
    CHECK(secrets.Redact(cut) == cut);
  }
  CHECK(secrets.Redact("x s3cr%65", TextEnd::kCut) == "x [redacted]");
  CHECK(secrets.Redact("x s3cr%6", TextEnd::kCut) == "x [redacted]");
  CHECK(secrets.Redact("nothing of it", TextEnd::kCut) == "nothing of it");
}

}  // namespace
}  // namespace outboxd
