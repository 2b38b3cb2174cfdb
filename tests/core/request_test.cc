#include "core/request.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "core/encoding.h"
#include "core/job_line.h"
#include "core/multipart.h"

namespace outboxd {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

constexpr Timestamp kAccepted = FromUnixMs(1'700'000'000'999);
const Headers kJson = {{"Content-Type", "application/json"}};

Stamp TestStamp() {
  return {Ulid::Parse("01JDB3T0C5W7X8Y9Z0ABCDEFGH").value(), kAccepted};
}

Job MakeJob(JobType type, std::string customer = {}) {
  Job job;
  job.type = type;
  job.customer = std::move(customer);
  return job;
}

// Puts `text` into the job's line as a member's value.
Slice Put(Job& job, std::string_view text) {
  job.line += ' ';
  const Slice slice{static_cast<std::uint32_t>(job.line.size()), static_cast<std::uint32_t>(text.size())};
  job.line += text;
  return slice;
}

Job Identify(std::string_view attributes) {
  Job job = MakeJob(JobType::kIdentify, "42");
  job.body = Put(job, attributes);
  return job;
}

Job WithOther(JobType type, std::string customer = {}) {
  Job job = MakeJob(type, std::move(customer));
  job.other = std::make_unique<OtherMembers>();
  return job;
}

Job Raw(std::string method, std::string path) {
  Job job = MakeJob(JobType::kRaw);
  job.raw = std::make_unique<RawCall>();
  job.raw->method = std::move(method);
  job.raw->path = std::move(path);
  return job;
}

std::string Header(const HttpRequest& request, std::string_view name) {
  for (const auto& [header, value] : request.headers) {
    if (header == name) return value;
  }
  return "(none)";
}

void CheckRequest(const Job& job, std::string_view method, std::string_view target, std::string_view body) {
  const HttpRequest request = BuildRequest(job, TestStamp());
  CHECK(request.method == method);
  CHECK(request.target == target);
  CHECK(request.body == body);
  CHECK(request.headers == (body.empty() ? Headers{} : kJson));
  CHECK_FALSE(request.timeout);
  CHECK_FALSE(request.debug);
}

TEST_CASE("request: identify puts the attributes with the time of acceptance in front, bytes untouched") {
  CheckRequest(Identify(R"({"plan":"pro","n":1e400,"z":-0,"e":"\u00e9"})"), "PUT", "/api/v1/customers/42",
               R"({"_timestamp":1700000000,"plan":"pro","n":1e400,"z":-0,"e":"\u00e9"})");
  CheckRequest(Identify(R"({ "a" : 1 })"), "PUT", "/api/v1/customers/42",
               R"({"_timestamp":1700000000, "a" : 1 })");
  CheckRequest(Identify("{}"), "PUT", "/api/v1/customers/42", R"({"_timestamp":1700000000})");
  CheckRequest(Identify("{ \t\n }"), "PUT", "/api/v1/customers/42", R"({"_timestamp":1700000000})");
  CheckRequest(MakeJob(JobType::kIdentify, "42"), "PUT", "/api/v1/customers/42",
               R"({"_timestamp":1700000000})");
}

TEST_CASE(
    "request: identify keeps a _timestamp of the producer's, however its key is written, and only at the "
    "top") {
  struct Case {
    std::string_view attributes;
    bool own;
  };
  const std::vector<Case> cases = {
      {R"({"_timestamp":5})", true},
      {R"({"a":{"b":[1,2]},"_timestamp":5})", true},
      {R"({"a":"}","_timestamp" : 5})", true},
      {R"({"\u005ftimestamp":5})", true},
      {R"({"\u005Ft\u0069mestamp":5})", true},
      {R"({"_timestamp":null})", true},
      {R"({"a":{"_timestamp":5}})", false},
      {R"({"a":[{"_timestamp":5}]})", false},
      {R"({"a":"_timestamp"})", false},
      {R"({"a":"\"_timestamp\":5"})", false},
      {R"({"a\"_timestamp":5})", false},
      {R"({"_timestamp ":5})", false},
      {R"({"_Timestamp":5})", false},
      {R"({"x_timestamp":5})", false},
      {R"({"\\u005ftimestamp":5})", false},
      {R"({"a":{"\u005ftimestamp":5}})", false},
      {R"({"a":1e400,"b":{"_timestamp":5}})", false},
      {R"({"a":1e400,"_timestamp":5})", true},
  };
  for (const Case& one : cases) {
    CAPTURE(one.attributes);
    const auto job =
        ParseJobLine(R"({"type":"identify","id":"42","attributes":)" + std::string(one.attributes) + "}");
    REQUIRE(job);
    const std::string body = BuildRequest(*job, TestStamp()).body;
    if (one.own) {
      CHECK(body == one.attributes);
    } else {
      CHECK(body == "{\"_timestamp\":1700000000," + std::string(one.attributes.substr(1)));
    }
  }
}

TEST_CASE(
    "request: the producer's time is sent instead of the acceptance: numbers as written, texts as whole "
    "seconds") {
  struct Case {
    std::string_view given;
    std::string_view sent;
  };
  const std::vector<Case> cases = {
      {"1600000000", "1600000000"},
      {"1600000000.250", "1600000000.250"},
      {"1.6e9", "1.6e9"},
      {"-5", "-5"},
      {R"("2020-09-13T12:26:40Z")", "1600000000"},
      {R"("2020-09-13T12:26:40.999Z")", "1600000000"},
      {R"("2020-09-13T14:26:40+02:00")", "1600000000"},
      {R"("1969-12-31T23:59:59.5Z")", "-1"},
      {R"("not a time")", "1700000000"},
      {R"(")", "1700000000"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.given);
    Job identify = Identify("{}");
    identify.timestamp = Put(identify, one.given);
    CHECK(BuildRequest(identify, TestStamp()).body == "{\"_timestamp\":" + std::string(one.sent) + "}");
    Job track = MakeJob(JobType::kTrack, "42");
    track.name = "n";
    track.timestamp = Put(track, one.given);
    CHECK(BuildRequest(track, TestStamp()).body ==
          R"({"name":"n","id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","timestamp":)" + std::string(one.sent) + "}");
  }
}

TEST_CASE("request: track sends name, job id and time, and the data's bytes") {
  Job job = MakeJob(JobType::kTrack, "42");
  job.name = "purchase";
  CheckRequest(job, "POST", "/api/v1/customers/42/events",
               R"({"name":"purchase","id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","timestamp":1700000000})");
  job.body = Put(job, R"({"price":23.450,"big":123456789012345678901234567890, "a":[ 1 ]})");
  CheckRequest(job, "POST", "/api/v1/customers/42/events",
               R"({"name":"purchase","id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","timestamp":1700000000,)"
               R"("data":{"price":23.450,"big":123456789012345678901234567890, "a":[ 1 ]}})");
  job.event_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
  job.body = {};
  CheckRequest(job, "POST", "/api/v1/customers/42/events",
               R"({"name":"purchase","id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","timestamp":1700000000})");
}

TEST_CASE("request: a page view is an event of type page with the url as its name") {
  Job job = MakeJob(JobType::kPageview, "42");
  job.name = "https://www.example.com/a?b=\"c\"";
  CheckRequest(
      job, "POST", "/api/v1/customers/42/events",
      R"({"type":"page","name":"https://www.example.com/a?b=\"c\"","id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","timestamp":1700000000})");
}

TEST_CASE("request: anonymous events go to the events path with their anonymous_id") {
  Job job = MakeJob(JobType::kTrack, "anon/1\\2");
  job.anonymous = true;
  job.name = "seen";
  job.body = Put(job, "{}");
  CheckRequest(
      job, "POST", "/api/v1/events",
      R"({"anonymous_id":"anon/1\\2","name":"seen","id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","timestamp":1700000000,"data":{}})");
  job.type = JobType::kPageview;
  CheckRequest(
      job, "POST", "/api/v1/events",
      R"({"anonymous_id":"anon/1\\2","type":"page","name":"seen","id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","timestamp":1700000000,"data":{}})");
}

TEST_CASE("request: destroy, suppress and unsuppress have no body") {
  CheckRequest(MakeJob(JobType::kDestroy, "42"), "DELETE", "/api/v1/customers/42", "");
  CheckRequest(MakeJob(JobType::kSuppress, "42"), "POST", "/api/v1/customers/42/suppress", "");
  CheckRequest(MakeJob(JobType::kUnsuppress, "42"), "POST", "/api/v1/customers/42/unsuppress", "");
}

TEST_CASE("request: the other jobs have the Track API's own paths and members") {
  Job add_device = MakeJob(JobType::kAddDevice, "42");
  add_device.body = Put(add_device, R"({"id":"d","platform":"ios"})");
  CheckRequest(add_device, "PUT", "/api/v1/customers/42/devices",
               R"({"device":{"id":"d","platform":"ios"}})");

  Job delete_device = WithOther(JobType::kDeleteDevice, "42");
  delete_device.other->device_id = "a/b c";
  CheckRequest(delete_device, "DELETE", "/api/v1/customers/42/devices/a%2Fb%20c", "");

  Job merge = WithOther(JobType::kMerge);
  merge.other->primary = Put(merge, R"({"id":"1"})");
  merge.other->secondary = Put(merge, R"({"email":"a@example.com"})");
  CheckRequest(merge, "POST", "/api/v1/merge_customers",
               R"({"primary":{"id":"1"},"secondary":{"email":"a@example.com"}})");

  Job form = WithOther(JobType::kForm);
  form.other->form_id = "f&1";
  form.body = Put(form, R"({"email":"a@example.com"})");
  CheckRequest(form, "POST", "/api/v1/forms/f%261/submit", R"({"data":{"email":"a@example.com"}})");
  form.body = {};
  CheckRequest(form, "POST", "/api/v1/forms/f%261/submit", R"({"data":{}})");

  Job segment = WithOther(JobType::kAddToSegment);
  segment.other->segment_id = "7";
  segment.body = Put(segment, R"(["1","2"])");
  CheckRequest(segment, "POST", "/api/v1/segments/7/add_customers", R"({"ids":["1","2"]})");
  segment.type = JobType::kRemoveFromSegment;
  segment.other->id_type = "cio_id";
  CheckRequest(segment, "POST", "/api/v1/segments/7/remove_customers?id_type=cio_id", R"({"ids":["1","2"]})");

  Job metric = WithOther(JobType::kMetric);
  metric.other->delivery_id = "RPILAgU\"";
  metric.other->metric = "clicked";
  CheckRequest(metric, "POST", "/api/v1/metrics",
               R"({"delivery_id":"RPILAgU\"","metric":"clicked","timestamp":1700000000})");
  metric.other->recipient = "a@example.com";
  metric.other->reason = "r";
  metric.other->href = "https://example.com/";
  metric.timestamp = Put(metric, "7");
  CheckRequest(metric, "POST", "/api/v1/metrics",
               R"({"delivery_id":"RPILAgU\"","metric":"clicked","timestamp":7,)"
               R"("recipient":"a@example.com","reason":"r","href":"https://example.com/"})");
}

TEST_CASE("request: a customer cannot leave its place in the path") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a b/c+@%~", "a%20b%2Fc%2B%40%25~"},
      {"..", "%2E%2E"},
      {".", "%2E"},
      {"...", "..."},
      {"../../v1/x", "..%2F..%2Fv1%2Fx"},
      {"a?b#c", "a%3Fb%23c"},
      {"\xc3\xbc", "%C3%BC"},
      {"a\r\nHost: x", "a%0D%0AHost%3A%20x"},
      {std::string("\0", 1), "%00"},
  };
  for (const auto& [customer, segment] : cases) {
    CAPTURE(customer);
    CHECK(BuildRequest(MakeJob(JobType::kDestroy, customer), TestStamp()).target ==
          "/api/v1/customers/" + segment);
  }
}

TEST_CASE("request: strings of ours are escaped as RFC 8259 asks and no further") {
  Job job = MakeJob(JobType::kTrack, "42");
  job.name =
      std::string("a\"b\\c/d\b\f\n\r\t\x01\x1f\x7f\xc3\xa9\xf0\x9f\x92\xa5", 21) + std::string("\0z", 2);
  const std::string body = BuildRequest(job, TestStamp()).body;
  CHECK(body.substr(0, body.find(",\"id\"")) ==
        "{\"name\":\"a\\\"b\\\\c/d\\b\\f\\n\\r\\t\\u0001\\u001F\x7f\xc3\xa9\xf0\x9f\x92\xa5\\u0000z\"");
}

TEST_CASE("request: a raw call goes below /api with its path as written and its query encoded") {
  struct Case {
    std::string path;
    std::vector<std::pair<std::string, std::string>> query;
    std::string target;
  };
  const std::vector<Case> cases = {
      {"/v1/accounts/region", {}, "/api/v1/accounts/region"},
      {"/v2/entity", {{"a b", "c&d=e+f"}, {"x", ""}}, "/api/v2/entity?a%20b=c%26d%3De%2Bf&x="},
      {"/v1/x?y=1", {{"z", "2"}}, "/api/v1/x?y=1&z=2"},
      {"/v1/x?", {{"z", "2"}}, "/api/v1/x?z=2"},
      {"/v1/x?y&", {{"z", "2"}}, "/api/v1/x?y&z=2"},
      {"/v1/customers/a%2Fb", {}, "/api/v1/customers/a%2Fb"},
      {"/v1/100%/%zz%4", {}, "/api/v1/100%25/%25zz%254"},
      {"/v1/a b\r\nHost:x#f[\"<>\\^`{|}", {}, "/api/v1/a%20b%0D%0AHost:x%23f%5B%22%3C%3E%5C%5E%60%7B%7C%7D"},
      {"/v1/\xc3\xbc", {}, "/api/v1/%C3%BC"},
      {"/v1/a;b:@!$&'()*+,=-._~", {}, "/api/v1/a;b:@!$&'()*+,=-._~"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.path);
    Job job = Raw("GET", one.path);
    job.raw->query = one.query;
    CHECK(BuildRequest(job, TestStamp()).target == one.target);
  }
}

TEST_CASE("request: a raw call's headers pass but for those that are ours") {
  Job job = Raw("PATCH", "/v1/x");
  job.raw->headers = {{"X-One", "1"},
                      {"authorization", "Basic evil"},
                      {"AUTHORIZATION", "Basic evil"},
                      {"Content-length", "7"},
                      {"host", "evil"},
                      {"Transfer-Encoding", "chunked"},
                      {"X-Split", "a\r\nAuthorization: evil"},
                      {"X-Split\n", "b"},
                      {"", "c"},
                      {"accept", "text/csv"},
                      {"content-type", "text/xml"}};
  job.raw->text_body = "<x/>";
  const HttpRequest request = BuildRequest(job, TestStamp());
  CHECK(request.method == "PATCH");
  CHECK(request.headers == Headers{{"X-One", "1"}, {"accept", "text/csv"}, {"content-type", "text/xml"}});
  CHECK(request.body == "<x/>");
}

TEST_CASE("request: a raw body's content type follows from what it is") {
  Job json = Raw("POST", "/v1/x");
  json.body = Put(json, R"({"a":1.0})");
  CHECK(BuildRequest(json, TestStamp()).body == R"({"a":1.0})");
  CHECK(Header(BuildRequest(json, TestStamp()), "Content-Type") == "application/json");

  Job number = Raw("POST", "/v1/x");
  number.body = Put(number, "1");
  CHECK(Header(BuildRequest(number, TestStamp()), "Content-Type") == "application/json");

  const std::vector<std::pair<std::string, std::string>> texts = {{R"({"a":1})", "application/json"},
                                                                  {" \n[1]", "application/json"},
                                                                  {"a=b", "text/plain; charset=utf-8"},
                                                                  {" ", "text/plain; charset=utf-8"},
                                                                  {"", "(none)"}};
  for (const auto& [text, type] : texts) {
    CAPTURE(text);
    Job job = Raw("POST", "/v1/x");
    job.raw->text_body = text;
    const HttpRequest request = BuildRequest(job, TestStamp());
    CHECK(request.body == text);
    CHECK(Header(request, "Content-Type") == type);
  }
  CHECK(Header(BuildRequest(Raw("GET", "/v1/x"), TestStamp()), "Content-Type") == "(none)");
}

TEST_CASE("request: a raw call accepts what its response_type says") {
  Job job = Raw("GET", "/v1/x");
  CHECK(Header(BuildRequest(job, TestStamp()), "Accept") == "application/json");
  job.raw->response_type = ResponseType::kText;
  CHECK(Header(BuildRequest(job, TestStamp()), "Accept") == "text/*");
  job.raw->response_type = ResponseType::kBinary;
  CHECK(Header(BuildRequest(job, TestStamp()), "Accept") == "*/*");
}

TEST_CASE("request: a form or files become one multipart body, whose content type is not the producer's") {
  Job job = Raw("POST", "/v1/x");
  job.raw->headers = {{"Content-Type", "multipart/form-data"}};
  job.raw->form = {{"a", "1"}, {"b", ""}};
  job.raw->files = {{"list", "people.csv", std::string("\0\xff", 2)}, {"other", "", "text"}};
  job.raw->timeout = Milliseconds(1500);
  job.raw->debug = true;
  const HttpRequest request = BuildRequest(job, TestStamp());
  const MultipartBody body = BuildMultipart(job.raw->form, job.raw->files, TestStamp().id);
  CHECK(request.body == body.bytes);
  CHECK(request.headers == Headers{{"Accept", "application/json"},
                                   {"Content-Type", "multipart/form-data; boundary=" + body.boundary}});
  CHECK(request.timeout == Milliseconds(1500));
  CHECK(request.debug);
}

TEST_CASE("request: a stored raw job's headers of the hop do not leave, whatever else it holds does") {
  Job job = Raw("POST", "/v1/x");
  job.raw->headers = {{"Connection", "close, Authorization"},
                      {"proxy_authorization", "x"},
                      {"Transfer_Encoding", "chunked"},
                      {"Expect", "100-continue"},
                      {"X-HTTP-Method", "DELETE"},
                      {"Accept", "*/*"}};
  CHECK(BuildRequest(job, TestStamp()).headers == Headers{{"X-HTTP-Method", "DELETE"}, {"Accept", "*/*"}});
}

TEST_CASE("request: a number that crashes who computes it goes out as it came") {
  const std::string data = R"({"v":0.000000000000000001e-2147483639})";
  const auto job = ParseJobLine(R"({"type":"track","id":"1","name":"n","data":)" + data + "}");
  REQUIRE(job.has_value());
  CHECK(BuildRequest(*job, TestStamp()).body.ends_with(",\"data\":" + data + "}"));
}

TEST_CASE("request: a job without the members of its type still has a request") {
  for (std::size_t type = 0; type < kJobTypeCount; ++type) {
    const HttpRequest request = BuildRequest(MakeJob(static_cast<JobType>(type)), TestStamp());
    CHECK(request.target.starts_with("/api"));
  }
}

TEST_CASE("request: the region probe asks for the account's region") {
  const HttpRequest request = BuildRegionProbe();
  CHECK(request.method == "GET");
  CHECK(request.target == "/api/v1/accounts/region");
  CHECK(request.body.empty());
}

TEST_CASE("request: whatever the strings of a job hold, target and headers stay within their lines") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto text = [&random] {
    std::string bytes(random() % 12, '\0');
    std::generate(bytes.begin(), bytes.end(), [&random] { return static_cast<char>(random() % 256); });
    return bytes;
  };
  const auto is_visible = [](char byte) { return byte > ' ' && byte < '\x7f'; };
  for (int i = 0; i < 5'000; ++i) {
    Job job = Raw("POST", "/v1/" + text());
    job.type = static_cast<JobType>(random() % kJobTypeCount);
    job.customer = text();
    job.raw->query = {{text(), text()}};
    job.raw->headers = {{text(), text()}};
    job.other = std::make_unique<OtherMembers>();
    job.other->device_id = text();
    job.other->form_id = text();
    job.other->segment_id = text();
    job.other->id_type = text();
    const HttpRequest request = BuildRequest(job, TestStamp());
    REQUIRE(std::all_of(request.target.begin(), request.target.end(), is_visible));
    for (const auto& [name, value] : request.headers)
      REQUIRE((name + value).find_first_of(std::string("\r\n\0", 3)) == std::string::npos);
  }
}

}  // namespace
}  // namespace outboxd
