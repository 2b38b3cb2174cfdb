#include "ctl/job_text.h"

#include <doctest/doctest.h>

#include "core/job_line.h"
#include "core/job_types.h"

namespace outboxd {
namespace {

// What is built from sensible flags is also a line the daemon takes.
std::string Built(const JobFlags& flags) {
  const Result<std::string> line = BuildJobLine(flags);
  REQUIRE_MESSAGE(line.has_value(), line.error().message);
  const auto job = ParseJobLine(*line);
  CHECK_MESSAGE(job.has_value(), *line);
  return *line;
}

std::string RefusedFlag(const JobFlags& flags) {
  const Result<std::string> line = BuildJobLine(flags);
  REQUIRE_FALSE(line.has_value());
  CHECK(line.error().kind == ErrorKind::kInvalid);
  return line.error().field;
}

JobFlags Flags(const std::string& type) {
  JobFlags flags;
  flags.type = kNames<JobType>.Find(type).value();
  return flags;
}

TEST_CASE("job text: an event carries its data byte for byte but for white space between tokens") {
  JobFlags flags = Flags("track");
  flags.id = "42";
  flags.name = "purchase \"x\"";
  flags.object = "{ \"price\" : 1.0, \"big\": 1e400, \"z\\u0061\": [ 1 , 2 ] }";
  flags.ref = "order-9";
  flags.timestamp = "1700000000";
  CHECK(
      Built(flags) ==
      R"({"type":"track","id":"42","name":"purchase \"x\"","data":{"price":1.0,"big":1e400,"z\u0061":[1,2]},"timestamp":1700000000,"ref":"order-9"})");
}

TEST_CASE("job text: name=text makes strings, name:=json any value, in the order given") {
  JobFlags flags = Flags("identify");
  flags.id = "42";
  flags.fields = {"plan=pro", "age:=30", "formula=a=b:=c", "tags:=[ \"x\" ]", "empty="};
  flags.timestamp = "2026-11-24T03:10:27Z";
  CHECK(
      Built(flags) ==
      R"({"type":"identify","id":"42","attributes":{"plan":"pro","age":30,"formula":"a=b:=c","tags":["x"],"empty":""},"timestamp":"2026-11-24T03:10:27Z"})");
}

TEST_CASE("job text: the members every job may have") {
  JobFlags flags = Flags("destroy");
  flags.id = "4 2";
  flags.connection = "eu-shop";
  flags.max_age = "2h";
  flags.region = "eu";
  CHECK(Built(flags) ==
        R"({"type":"destroy","connection":"eu-shop","id":"4 2","max_age":7200,"region":"eu"})");
}

TEST_CASE("job text: an anonymous page view with its own event id") {
  JobFlags flags = Flags("pageview");
  flags.anonymous_id = "a-1";
  flags.url = "https://www.example.com/pricing";
  flags.event_id = "01JDB3T0C5W7X8Y9Z0ABCDEFGH";
  CHECK(
      Built(flags) ==
      R"({"type":"pageview","anonymous_id":"a-1","url":"https://www.example.com/pricing","event_id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH"})");
}

TEST_CASE("job text: a raw request with everything") {
  JobFlags flags = Flags("raw");
  flags.method = "POST";
  flags.path = "/v1/forms/5/submit";
  flags.query = {"a=b c", "x="};
  flags.headers = {"X-Test=1=2"};
  flags.form = {"email=a@example.com"};
  flags.files = {{"file", "list.csv", std::string("a\0b", 3)}};
  flags.response_type = "text";
  flags.timeout = "5s";
  flags.max_retries = 3;
  flags.retry_delay = "200ms";
  flags.exponential = flags.all_errors = flags.debug = true;
  CHECK(
      Built(flags) ==
      R"({"type":"raw","method":"POST","path":"/v1/forms/5/submit","query":{"a":"b c","x":""},"headers":{"X-Test":"1=2"},)"
      R"("form":{"email":"a@example.com"},"files":[{"name":"file","filename":"list.csv","content_base64":"YQBi"}],"response_type":"text",)"
      R"("timeout_ms":5000,"retry":{"max_retries":3,"delay_ms":200,"exponential":true,"all_errors":true},"debug":true})");
}

TEST_CASE("job text: a raw body is a text or a JSON value") {
  JobFlags flags = Flags("raw");
  flags.method = "PUT";
  flags.path = "/v1/customers/42";
  flags.body = "a\nb";
  CHECK(Built(flags) == R"({"type":"raw","method":"PUT","path":"/v1/customers/42","body":"a\nb"})");
  flags.body.reset();
  flags.body_json = " { \"a\" : 1e400 } ";
  CHECK(Built(flags) == R"({"type":"raw","method":"PUT","path":"/v1/customers/42","body":{"a":1e400}})");
  flags.body = "x";
  CHECK(RefusedFlag(flags) == "--body");
}

TEST_CASE("job text: the other types") {
  JobFlags device = Flags("add_device");
  device.id = "42";
  device.device_id = "token";
  device.platform = "ios";
  device.last_used = "1700000000";
  device.fields = {"model=x"};
  CHECK(
      Built(device) ==
      R"({"type":"add_device","id":"42","device":{"id":"token","platform":"ios","last_used":1700000000,"attributes":{"model":"x"}}})");
  JobFlags gone = Flags("delete_device");
  gone.id = "42";
  gone.device_id = "token";
  CHECK(Built(gone) == R"({"type":"delete_device","id":"42","device_id":"token"})");
  JobFlags merge = Flags("merge");
  merge.primary = "email=a=b@example.com";
  merge.secondary = "cio_id=03000001";
  CHECK(Built(merge) ==
        R"({"type":"merge","primary":{"email":"a=b@example.com"},"secondary":{"cio_id":"03000001"}})");
  JobFlags form = Flags("form");
  form.form_id = "f1";
  form.fields = {"email=a@example.com"};
  CHECK(Built(form) == R"({"type":"form","form_id":"f1","data":{"email":"a@example.com"}})");
  JobFlags segment = Flags("add_to_segment");
  segment.segment_id = "7";
  segment.ids = {"1", "a,b"};
  segment.id_type = "id";
  CHECK(Built(segment) == R"({"type":"add_to_segment","segment_id":"7","ids":["1","a,b"],"id_type":"id"})");
  JobFlags metric = Flags("metric");
  metric.delivery_id = "d";
  metric.metric = "opened";
  metric.recipient = "a@example.com";
  metric.timestamp = "1700000000";
  CHECK(
      Built(metric) ==
      R"({"type":"metric","delivery_id":"d","metric":"opened","recipient":"a@example.com","timestamp":1700000000})");
  JobFlags suppress = Flags("suppress");
  suppress.id = "42";
  CHECK(Built(suppress) == R"({"type":"suppress","id":"42"})");
}

TEST_CASE("job text: wrong flags are named") {
  JobFlags flags = Flags("track");
  flags.object = "[1]";
  CHECK(RefusedFlag(flags) == "--data");
  flags.object = "{";
  CHECK(RefusedFlag(flags) == "--data");
  flags.object = "{}";
  flags.fields = {"a=b"};
  CHECK(RefusedFlag(flags) == "--data");
  flags.object.reset();
  for (const char* field : {"a", "=b", ":=1", "a:={", "a:="}) {
    flags.fields = {field};
    CHECK_MESSAGE(RefusedFlag(flags) == "--data-field", std::string(field));
  }
  flags.fields.clear();
  flags.max_age = "soon";
  CHECK(RefusedFlag(flags) == "--max-age");
  JobFlags merge = Flags("merge");
  merge.primary = "phone=1";
  CHECK(RefusedFlag(merge) == "--primary");
  JobFlags raw = Flags("raw");
  raw.headers = {"X-Test: 1"};
  CHECK(RefusedFlag(raw) == "--header");
}

}  // namespace
}  // namespace outboxd
