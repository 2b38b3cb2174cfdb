#include "core/answer_shape.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.h"
#include "tests/core/job_lines.h"

namespace outboxd {
namespace {

using testing::Read;

Answer AnswerWith(int status, std::string_view body) {
  Answer answer;
  answer.status = status;
  answer.body = body;
  return answer;
}

constexpr std::string_view kNginx404 =
    "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>"
    "\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n";
constexpr std::string_view kLogin =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>\n  Hotel WLAN &ndash; "
    "Log in\n"
    "</title></head><body><form action=\"/login\"></form></body></html>";

TEST_CASE("answer shape: each shape of a body is the Track API's own or not, by status and by the path") {
  struct Case {
    std::string_view body;
    bool success;  // of a 2xx
    bool v1, v2;   // of a 4xx
  };
  const std::vector<Case> cases = {
      {"", true, false, false},
      {" \r\n\t", true, false, false},
      {"{}", true, false, false},
      {"{}\n", true, false, false},
      {"  {}  ", true, false, false},
      {R"({"meta":{"error":"name is required"}})", true, true, true},
      {R"({"meta":{"error":""}})", true, true, true},
      {R"({"meta":{"errors":["name is required"]}})", true, true, true},
      {R"({"meta":{"errors":[]}})", true, true, true},
      {R"({"x":1,"meta":{"y":2,"error":"z"}})", true, true, true},
      {"\n"
       R"({ "meta" : { "error" : "spaced" } })"
       "\n",
       true, true, true},
      {R"({"meta":{"error":"n","code":1e400}})", true, true, true},
      {R"({"errors":[{"reason":"invalid","field":"name","message":"no"}]})", true, false, true},
      {R"({"errors":[]})", true, false, true},
      {R"({"meta":{"error":5}})", true, false, false},
      {R"({"meta":{"error":null}})", true, false, false},
      {R"({"meta":{"error":["a"]}})", true, false, false},
      {R"({"meta":{"errors":"a"}})", true, false, false},
      {R"({"meta":{"errors":{}}})", true, false, false},
      {R"({"meta":["error"]})", true, false, false},
      {R"({"meta":null})", true, false, false},
      {R"({"errors":{"a":1}})", true, false, false},
      {R"({"error":"Not Found"})", true, false, false},
      {R"({"message":"no Route matched with those values"})", true, false, false},
      {R"([{"meta":{"error":"in a list"}}])", true, false, false},
      {R"("meta")", true, false, false},
      {"null", true, false, false},
      {"404", true, false, false},
      {"404 page not found\n", false, false, false},
      {"OK", false, false, false},
      {"no such host", false, false, false},
      {kNginx404, false, false, false},
      {kLogin, false, false, false},
      {R"({"meta":{"error":"cut)", false, false, false},
      {R"({"meta":{"error":"twice"}}{})", false, false, false},
      {R"({'meta':{'error':'quotes'}})", false, false, false},
      {"{\"meta\":{\"error\":\"\xff\"}}", false, false, false},
      {"{\"meta\":{\"error\":\"a\nb\"}}", false, false, false},
      {std::string_view("{}\0", 3), false, false, false},
      {"\xef\xbb\xbf{}", false, false, false},
  };
  for (const Case& one : cases) {
    CAPTURE(one.body);
    for (const Expected expected : {Expected::kV1, Expected::kV2}) {
      for (const int status : {200, 201, 204, 207, 299})
        CHECK(IsAsExpected(AnswerWith(status, one.body), expected) == one.success);
      for (const int status : {400, 402, 404, 405, 413, 422, 451, 499})
        CHECK(IsAsExpected(AnswerWith(status, one.body), expected) ==
              (expected == Expected::kV2 ? one.v2 : one.v1));
      for (const int status : {-1, 100, 199, 600, 999})
        CHECK_FALSE(IsAsExpected(AnswerWith(status, one.body), expected));
    }
    for (const int status : {-1, 100, 200, 404, 600})
      CHECK(IsAsExpected(AnswerWith(status, one.body), Expected::kAnything));
  }
}

TEST_CASE("answer shape: where only a page is not expected, everything else is") {
  for (const int status : {200, 404, 600}) {
    for (const std::string_view body : {"", "{}", "404 page not found", "<ok/>", R"({"error":"Not Found"})"})
      CHECK(IsAsExpected(AnswerWith(status, body), Expected::kNoHtml));
    for (const std::string_view body : {kNginx404, kLogin})
      CHECK_FALSE(IsAsExpected(AnswerWith(status, body), Expected::kNoHtml));
  }
}

TEST_CASE("answer shape: a body that was cut counts by its status, unless it cannot be what it should be") {
  struct Case {
    std::string_view start;
    bool success, refusal;
  };
  for (const Case& one : {Case{R"({"errors":[{"batch_index":)", true, true},
                          {" \n{", true, true},
                          {"[1,2", true, false},
                          {"\"a", true, false},
                          {"<html><head>", false, false},
                          {"nothing like it", false, false},
                          {"1234", false, false},
                          {"   ", false, false}}) {
    CAPTURE(one.start);
    for (const Expected expected : {Expected::kV1, Expected::kV2}) {
      Answer answer = AnswerWith(207, one.start);
      answer.is_body_cut = true;
      CHECK(IsAsExpected(answer, expected) == one.success);
      answer.status = 400;
      CHECK(IsAsExpected(answer, expected) == one.refusal);
    }
  }
  Answer page = AnswerWith(200, kLogin);
  page.is_body_cut = true;
  CHECK_FALSE(IsAsExpected(page, Expected::kNoHtml));
}

TEST_CASE("answer shape: what is expected follows from the path, of a raw job from its response_type") {
  struct Case {
    std::string_view line;
    Expected expected;
  };
  for (
      const Case& one : {
          Case{R"({"type":"track","id":"1","name":"n"})", Expected::kV1},
          {R"({"type":"form","form_id":"f","data":{"email":"a@b.c"}})", Expected::kV1},
          {R"({"type":"raw","method":"POST","path":"/v2/entity"})", Expected::kAnything},
          {R"({"type":"raw","method":"POST","path":"/v1/x","response_type":"text"})", Expected::kAnything},
          {R"({"type":"raw","method":"POST","path":"/v1/x","response_type":"json"})", Expected::kNoHtml},
          {R"({"type":"identify","request":{"method":"PUT","target":"/api/v1/customers/1","body":{}}})",
           Expected::kV1},
          {R"({"type":"identify","request":{"method":"POST","target":"/api/v2/entity","body":{"type":"person","identifiers":{"id":"1"},"action":"identify","attributes":{}}}})",
           Expected::kV2},
          {R"({"type":"metric","request":{"method":"POST","target":"/push/events","body":{"delivery_id":"d","event":"opened","device_id":"x","timestamp":1}}})",
           Expected::kV1},
          {R"({"type":"raw","request":{"method":"POST","target":"/unsubscribe/d","body":{"unsubscribe":true}}})",
           Expected::kAnything},
      }) {
    CAPTURE(one.line);
    CHECK(ExpectedOf(Read(std::string(one.line))) == one.expected);
  }
}

TEST_CASE("answer shape: HTML is told by its beginning") {
  for (const std::string_view page :
       {"<html>", "<HTML lang=en>", "<!doctype html>", "<!DOCTYPE HTML PUBLIC \"-//W3C\">", "\n\t <html\n>",
        "\xef\xbb\xbf<html>", "<!-- banner --><p>", "<h1>Bad gateway</h1>", "<title>x</title>", "<script >",
        "<a href=/>", "<body>", "<p>It works",
        "<?xml version=\"1.0\"?>\n<!DOCTYPE html>\n<html xmlns=\"\">"}) {
    CAPTURE(page);
    CHECK(LooksLikeHtml(page));
  }
  for (const std::string_view other :
       {"", "<", "<html", "<htmlx>", "html", "{\"a\":\"<html>\"}", "text <html>", "<error>no</error>",
        "<abc>", "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "\"<html>\"",
        "<!doctype svg>"}) {
    CAPTURE(other);
    CHECK_FALSE(LooksLikeHtml(other));
  }
}

TEST_CASE("answer shape: a body is described in one short line, a page by its title") {
  CHECK(DescribeBody(kNginx404) == "404 Not Found");
  CHECK(DescribeBody(kLogin) == "Hotel WLAN &ndash; Log in");
  CHECK(DescribeBody("404 page\tnot \r\n found\n") == "404 page not found");
  CHECK(DescribeBody(R"({"error":"Not Found"})") == R"({"error":"Not Found"})");
  CHECK(DescribeBody("") == "no body");
  CHECK(DescribeBody(" \r\n\t\x01 ") == "no body");
  CHECK(DescribeBody("<html><title></title><p>here") == "<html><title></title><p>here");
  CHECK(DescribeBody("<html><title>never ends") == "never ends");
  CHECK(DescribeBody("<html><title") == "<html><title");
  CHECK(DescribeBody("a \x1b[31mred\x7f\xff") == "a [31mred \xef\xbf\xbd");
  CHECK(DescribeBody(std::string(119, 'a') + "\u00e9 more") == std::string(119, 'a'));
  CHECK(DescribeBody(std::string(5'000, 'a')).size() == 120);
}

TEST_CASE("answer shape: hostile bodies of full length are judged") {
  const std::size_t length = limits::kAnswerBytes;
  std::string many_errors = R"({"meta":{"errors":[)";
  while (many_errors.size() < length - 10) many_errors += "\"e\",";
  many_errors += "0]}}";
  std::string many_names = "{";
  for (int i = 0; many_names.size() < length - 40; ++i)
    many_names += "\"n" + std::to_string(i) + "\":{\"meta\":0},";
  many_names += R"("meta":{"error":"at last"}})";
  const std::string deep_end = "{\"meta\":" + std::string(60, '[') + std::string(60, ']') + "}";
  CHECK(IsAsExpected(AnswerWith(400, many_errors), Expected::kV1));
  CHECK(IsAsExpected(AnswerWith(400, many_names), Expected::kV1));
  CHECK(IsAsExpected(AnswerWith(200, deep_end), Expected::kV1));
  for (const std::string& body :
       {std::string(length, '['), std::string(length, '{'), std::string(length, '"'),
        std::string(length, '\\'), std::string(length, '<'), std::string(length, '\0'),
        std::string(length, '\xf0'), "{\"meta\":" + std::string(length, '['),
        "<html><title>" + std::string(length, ' '), "<!--" + std::string(length, '-'),
        "{\"meta\":{\"error\":\"" + std::string(length, 'a')}) {
    for (const int status : {200, 207, 400, 404}) {
      for (const Expected expected : {Expected::kV1, Expected::kV2})
        CHECK_FALSE(IsAsExpected(AnswerWith(status, body), expected));
    }
    CHECK(DescribeBody(body).size() < 500);
  }
}

}  // namespace
}  // namespace outboxd
