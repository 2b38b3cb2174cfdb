#include "core/raw_members.h"

#include <doctest/doctest.h>

#include "core/limits.h"
#include "tests/core/job_lines.h"

namespace outboxd {
namespace {

using testing::CheckAccepted;
using testing::CheckRefused;
using testing::Read;
using testing::Repeat;

std::string Raw(std::string_view members) {
  return R"({"type":"raw","method":"POST","path":"/v1/x",)" + std::string(members) + "}";
}
std::string WithPath(std::string_view path) {
  return R"({"type":"raw","method":"GET","path":")" + std::string(path) + "\"}";
}

TEST_CASE("raw: all members are read") {
  const Job job =
      Read(R"({"type":"raw","id":"7","method":"PATCH","path":"/v2/entity?x=1","query":{"a":"1","b":"x y"},)"
           R"("headers":{"X-One":"1"},"body":{"n":1.0},"response_type":"text","timeout_ms":2500,)"
           R"("retry":{"max_retries":3,"delay_ms":200,"exponential":true,"all_errors":true},"debug":true})");
  const RawCall& call = *job.raw;
  CHECK(job.customer == "7");
  CHECK(call.method == "PATCH");
  CHECK(call.path == "/v2/entity?x=1");
  CHECK(call.query == std::vector<std::pair<std::string, std::string>>{{"a", "1"}, {"b", "x y"}});
  CHECK(call.headers == std::vector<std::pair<std::string, std::string>>{{"X-One", "1"}});
  CHECK(job.Text(job.body) == R"({"n":1.0})");
  CHECK(!call.text_body);
  CHECK(call.response_type == ResponseType::kText);
  CHECK(call.timeout == Milliseconds(2500));
  REQUIRE(call.retry);
  CHECK(call.retry->max_retries == 3);
  CHECK(call.retry->delay == Milliseconds(200));
  CHECK(call.retry->exponential);
  CHECK(call.retry->all_errors);
  CHECK(call.debug);
}

TEST_CASE("raw: absent members stay at their defaults") {
  const Job job = Read(WithPath("/v1/accounts/region"));
  CHECK(!job.raw->response_type);
  CHECK(!job.raw->timeout);
  CHECK(!job.raw->retry);
  CHECK(!job.raw->debug);
  CHECK(!job.raw->text_body);
  CHECK(job.body.empty());
  const Job retry = Read(Raw(R"("retry":{})"));
  REQUIRE(retry.raw->retry);
  CHECK(retry.raw->retry->max_retries == 0);
  CHECK(!retry.raw->retry->exponential);
}

TEST_CASE("raw: method and path are required") {
  CheckRefused({
      {R"({"type":"raw","path":"/v1/x"})", "method", "raw needs \"method\""},
      {R"({"type":"raw","method":"GET"})", "path", "raw needs \"path\""},
      {R"({"type":"raw"})", "method", "raw needs \"method\""},
      {R"({"type":"raw","id":"1"})", "method", "raw needs \"method\""},
  });
}

TEST_CASE("raw: the method is any token") {
  for (const char* method : {"GET", "PURGE", "LINK", "get", "X-1", "abcdefghijklmnopqrstuvwxyzabcdef"}) {
    CHECK(Read(R"({"type":"raw","path":"/v1/x","method":")" + std::string(method) + "\"}").raw->method ==
          method);
  }
  for (const char* method : {"\"\"", "\"GET \"", "\"G T\"", R"("GET\r\nX: 1")", "\"GET/\"", "5",
                             "\"G\xc3\xa9T\"", "\"abcdefghijklmnopqrstuvwxyzabcdefg\""}) {
    CheckRefused({{R"({"type":"raw","path":"/v1/x","method":)" + std::string(method) + "}", "method",
                   "must be an HTTP method"}});
  }
}

TEST_CASE("raw: the path stays below /v1 or /v2") {
  CheckAccepted({WithPath("/v1/"), WithPath("/v1/x?y=/../z"), WithPath("/v2/batch"),
                 WithPath("/v1/a..b/...c/.d"), WithPath("/v1/x/%2F/y"), WithPath("/v1/\xc3\xbc nicht"),
                 WithPath("/v1/" + std::string(limits::kRawPathBytes - 4, 'x'))});
  for (const char* path : {"", "/", "/v1", "v1/x", "/v3/x", "/api/v1/x", "https://host/v1/x", "//v1/x",
                           "/V1/x", "/unsubscribe/1", " /v1/x"}) {
    CheckRefused({{WithPath(path), "path", "must start with /v1/ or /v2/"}});
  }
  for (const char* path : {"/v1/..", "/v1/../x", "/v1/x/..", "/v1/x/../y", "/v1/.", "/v1/./x", "/v1/%2e%2e/x",
                           "/v1/.%2E/x", "/v1/%2e/x", "/v1/x/%2E%2e", "/v1/x/..?y=1"}) {
    CheckRefused({{WithPath(path), "path", "must not hold . or .. segments"}});
  }
  for (const char* path : {R"(/v1/x\r\nHost: y)", R"(/v1/x\u0000)", "/v1/x#y", "/v1/x\x7f", R"(/v1/\t)"}) {
    CheckRefused({{WithPath(path), "path", "must not hold control characters or #"}});
  }
  CheckRefused(
      {{WithPath("/v1/" + std::string(limits::kRawPathBytes - 3, 'x')), "path", "longer than 8192 bytes"},
       {R"({"type":"raw","method":"GET","path":5})", "path", "must be a string"},
       {R"({"type":"raw","method":"GET","path":["/v1/x"]})", "path", "must be a string"}});
}

TEST_CASE("raw: a request about one customer is in that customer's lane unless the job names another") {
  CHECK(Read(WithPath("/v1/customers/42")).customer == "42");
  CHECK(Read(WithPath("/v1/customers/42/events")).customer == "42");
  CHECK(Read(WithPath("/v1/customers/42?x=/y")).customer == "42");
  CHECK(Read(WithPath("/v1/customers/a%40b.c/devices/1")).customer == "a@b.c");
  CHECK(Read(WithPath("/v1/customers/a%2Fb")).customer == "a/b");
  CHECK(Read(WithPath("/v1/customers/")).customer.empty());
  const std::string longest(limits::kCustomerIdBytes, 'x');
  CHECK(Read(WithPath("/v1/customers/" + longest + "/events")).customer == longest);
  CHECK(Read(WithPath("/v1/customers/" + longest + "x/events")).customer.empty());
  CHECK(Read(WithPath("/v1/events")).customer.empty());
  CHECK(Read(WithPath("/v2/batch")).customer.empty());
  CHECK(Read(R"({"type":"raw","method":"PUT","path":"/v1/customers/42","id":"7"})").customer == "7");
}

TEST_CASE("raw: headers cannot smuggle lines and are bounded") {
  const auto header = [](std::string_view name, std::string_view value) {
    return Raw("\"headers\":{\"" + std::string(name) + "\":\"" + std::string(value) + "\"}");
  };
  CheckAccepted({header("X-One", ""), header("x!#$%&'*+-.^_`|~9", "v"), header("X", "\xc3\xbc"),
                 Raw(R"("headers":{})")});
  for (const char* value : {R"(a\r\nX: 1)", R"(a\nb)", R"(\r)", R"(a\u0000)", R"(\u007f)", R"(\t)"}) {
    CheckRefused({{header("X-One", value), "headers.X-One", "must not hold control characters"}});
  }
  for (const char* name : {"", "X One", "X:", "X\xc3\xbc", "X(1)"})
    CheckRefused({{header(name, "v"), std::string("headers") + (*name != 0 ? "." : "") + name,
                   "is not a header name"}});
  CheckRefused({{header(R"(X\r\nY)", "v"), "headers.X\r\nY", "is not a header name"}});
  const auto many = [](std::size_t count) {
    std::string json = "\"headers\":{";
    for (std::size_t i = 0; i < count; ++i) json += (i > 0 ? ",\"X" : "\"X") + std::to_string(i) + "\":\"v\"";
    return Raw(json + "}");
  };
  CheckAccepted({many(64), header("X", std::string(8191, 'v'))});
  CheckRefused({{many(65), "headers", "more than 64 headers"},
                {header("X", std::string(8192, 'v')), "headers", "longer than 8192 bytes together"},
                {Raw(R"("headers":{"X":1})"), "headers.X", "must be a string"},
                {Raw(R"("headers":["X"])"), "headers", "must be an object of strings"}});
}

TEST_CASE("raw: query and form are objects of strings") {
  CheckAccepted(
      {Raw(R"("query":{})"), Raw(R"("query":{"a":"1","a":"2","":""})"), Raw(R"("form":{"a":"\n"})")});
  CheckAccepted({Raw(R"("query":[])"), Raw(R"("headers":[ ],"form":[],"retry":[])")});
  CheckRefused({{Raw(R"("query":[1])"), "query", "must be an object of strings"},
                {Raw(R"("query":{"a":1})"), "query.a", "must be a string"},
                {Raw(R"("form":"a=b")"), "form", "must be an object of strings"},
                {Raw(R"("form":{"a":true})"), "form.a", "must be a string"},
                {Raw(R"("form":{"":"x"})"), "form", "a field needs a name"},
                {Raw(R"("form":{"a\r\nb":"x"})"), "form.a\r\nb", "control characters"}});
}

TEST_CASE("raw: a string body is its text, any other value its bytes") {
  const Job text = Read(Raw(R"("body":"a\n\u00e9")"));
  CHECK(text.raw->text_body == "a\n\xc3\xa9");
  CHECK(text.body.empty());
  CHECK(Read(Raw(R"("body":"")")).raw->text_body == "");
  for (const char* json : {"{}", "[1, 2.0 ]", "1e400", "null", "true", R"({"b":1,"a":[-0]})"}) {
    const Job job = Read(Raw("\"body\":" + std::string(json)));
    CHECK(job.Text(job.body) == json);
    CHECK(!job.raw->text_body);
  }
  CHECK(Read(Raw(R"("body":"a\u0000b")")).raw->text_body == std::string("a\0b", 3));
}

TEST_CASE("raw: body excludes form and files") {
  const std::string files = R"("files":[{"name":"f","content":""}])";
  CheckRefused({{Raw(R"("body":"x","form":{"a":"b"})"), "body", "not both"},
                {Raw(R"("body":{},"form":{"a":"b"})"), "body", "not both"},
                {Raw(R"("body":"",)" + files), "body", "not both"}});
  CheckAccepted({Raw(files), Raw(R"("form":{"a":"b"},)" + files), Raw(R"("body":"x","form":{},"files":[])")});
}

TEST_CASE("raw: files are decoded and named") {
  const Job job = Read(
      Raw(R"("files":[{"name":"a","content":"x\ny"},{"filename":"b.bin","name":"b","content_base64":"AP8="},)"
          R"({"name":"c","content_base64":"_-8"},{"name":"d","content":""}])"));
  const std::vector<RawFile>& files = job.raw->files;
  REQUIRE(files.size() == 4);
  CHECK(files[0].filename == "a");
  CHECK(files[0].content == "x\ny");
  CHECK(files[1].filename == "b.bin");
  CHECK(files[1].content == std::string("\x00\xff", 2));
  CHECK(files[2].content == "\xff\xef");
  CHECK(files[3].content.empty());
  const auto file = [](std::string_view json) {
    return Raw(R"("files":[{"name":"ok","content":""},)" + std::string(json) + "]");
  };
  CheckRefused({
      {Raw(R"("files":{})"), "files", "must be an array of objects"},
      {file("1"), "files.1", "must be an object"},
      {file("{}"), "files.1.name", "a file needs a \"name\""},
      {file(R"({"name":"","content":"x"})"), "files.1.name", "a file needs a \"name\""},
      {file(R"({"name":"a\r\n","content":"x"})"), "files.1.name", "without control characters"},
      {file(R"({"name":"a","filename":"b\n","content":"x"})"), "files.1.filename", "control characters"},
      {file(R"({"name":"a"})"), "files.1.content", "a file needs \"content\" or \"content_base64\""},
      {file(R"({"name":"a","content":"x","content_base64":"AA=="})"), "files.1.content_base64", "not both"},
      {file(R"({"name":"a","content_base64":"???"})"), "files.1.content_base64", "is not base64"},
      {file(R"({"name":"a","content_base64":"A"})"), "files.1.content_base64", "is not base64"},
      {file(R"({"name":"a","content":1})"), "files.1.content", "must be a string"},
      {file(R"({"name":"a","content":"x","type":"text/plain"})"), "files.1.type", "unknown member"},
      {Raw("\"files\":[" + Repeat(R"({"name":"a","content":""},)", 32) + R"({"name":"a","content":""}])"),
       "files", "more than 32 files"},
  });
}

TEST_CASE("raw: retry, timeout, response type and debug take what they say") {
  CheckAccepted({Raw(R"("retry":{"max_retries":100,"delay_ms":86400000})"),
                 Raw(R"("retry":{"max_retries":0,"delay_ms":0,"all_errors":false})"),
                 Raw(R"("timeout_ms":1)"), Raw(R"("timeout_ms":600000)"), Raw(R"("response_type":"binary")"),
                 Raw(R"("response_type":"json")"), Raw(R"("debug":false)")});
  CheckRefused({
      {Raw(R"("retry":[1])"), "retry", "must be an object"},
      {Raw(R"("retry":{"max_retries":101})"), "retry.max_retries", "must be 0 to 100"},
      {Raw(R"("retry":{"max_retries":-1})"), "retry.max_retries", "must be 0 to 100"},
      {Raw(R"("retry":{"max_retries":1.0})"), "retry.max_retries", "must be 0 to 100"},
      {Raw(R"("retry":{"max_retries":"3"})"), "retry.max_retries", "must be 0 to 100"},
      {Raw(R"("retry":{"delay_ms":86400001})"), "retry.delay_ms", "must be 0 to 86400000"},
      {Raw(R"("retry":{"exponential":1})"), "retry.exponential", "must be true or false"},
      {Raw(R"("retry":{"all_errors":0})"), "retry.all_errors", "must be true or false"},
      {Raw(R"("retry":{"jitter":true})"), "retry.jitter", "unknown member"},
      {Raw(R"("timeout_ms":0)"), "timeout_ms", "must be whole milliseconds"},
      {Raw(R"("timeout_ms":600001)"), "timeout_ms", "must be whole milliseconds"},
      {Raw(R"("timeout_ms":1.5)"), "timeout_ms", "must be whole milliseconds"},
      {Raw(R"("timeout_ms":"1000")"), "timeout_ms", "must be whole milliseconds"},
      {Raw(R"("response_type":"xml")"), "response_type", "must be \"json\", \"text\" or \"binary\""},
      {Raw(R"("response_type":1)"), "response_type", "must be \"json\""},
      {Raw(R"("debug":1)"), "debug", "must be true or false"},
  });
}

}  // namespace
}  // namespace outboxd
