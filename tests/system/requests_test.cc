// Every type of job as the request that arrives at the Track API.
#include <doctest/doctest.h>

#include "core/ulid.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

// What one job brought to the API; its stamps are taken out of the body.
struct Arrived {
  std::string job;
  std::string method, target, body, content_type;
};

class Desk {
 public:
  Arrived Send(std::string_view line) {
    sim_.Reset();
    Arrived arrived;
    arrived.job = daemon_.Accept(line);
    daemon_.AwaitDrained();
    const SimRequestSeen request = OnlyRequest(sim_);
    INFO("line ", std::string(line), " refused: ", sim_.Report().text);
    CHECK(request.status / 100 == 2);
    CHECK(request.auth_ok);
    arrived.method = request.method;
    arrived.target = request.target;
    arrived.body = request.body;
    for (const auto& [name, value] : request.headers) {
      if (name == "Content-Type" || name == "content-type") arrived.content_type = value;
    }
    return arrived;
  }
  SimUnderTest& sim() { return sim_; }
  DaemonUnderTest& daemon() { return daemon_; }

 private:
  SimUnderTest sim_;
  DaemonUnderTest daemon_{sim_};
};

// The seconds since 1970 at which the job was accepted, as its id tells.
std::string AcceptedSeconds(const std::string& job) {
  return std::to_string(ToUnixMs(Ulid::Parse(job)->Time()) / 1000);
}

struct Example {
  const char* line;
  const char* method;
  const char* target;
  const char* body;  // nullptr: not compared
};

TEST_CASE("delivery: every type of job arrives as its own request, values byte for byte") {
  const Example examples[] = {
      {R"({"type":"identify","id":"42","timestamp":1700000000,"attributes":{"n":1e400, "z":-0,"a":"\u00e9","big":12345678901234567890}})",
       "PUT", "/api/v1/customers/42",
       R"({"_timestamp":1700000000,"n":1e400, "z":-0,"a":"\u00e9","big":12345678901234567890})"},
      {R"({"type":"identify","id":"42","attributes":{"_timestamp":5,"b":1.0}})", "PUT",
       "/api/v1/customers/42", R"({"_timestamp":5,"b":1.0})"},
      {R"({"type":"track","id":7,"name":"buy","event_id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","timestamp":1700000001,"data":{"p":0.10,"q":[1E2,{}]}})",
       "POST", "/api/v1/customers/7/events",
       R"({"name":"buy","id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","timestamp":1700000001,"data":{"p":0.10,"q":[1E2,{}]}})"},
      {R"({"type":"track","anonymous_id":"a b","name":"buy","event_id":"01JDB3T0C5W7X8Y9Z0ABCDEFGJ","timestamp":"2023-11-14T22:13:22Z"})",
       "POST", "/api/v1/events",
       R"({"anonymous_id":"a b","name":"buy","id":"01JDB3T0C5W7X8Y9Z0ABCDEFGJ","timestamp":1700000002})"},
      {R"({"type":"pageview","id":"é/?%","url":"https://x.example/","event_id":"01JDB3T0C5W7X8Y9Z0ABCDEFGK","timestamp":1700000003})",
       "POST", "/api/v1/customers/%C3%A9%2F%3F%25/events",
       R"({"type":"page","name":"https://x.example/","id":"01JDB3T0C5W7X8Y9Z0ABCDEFGK","timestamp":1700000003})"},
      {R"({"type":"destroy","id":"..."})", "DELETE", "/api/v1/customers/...", ""},
      {R"({"type":"suppress","id":"a@b.example"})", "POST", "/api/v1/customers/a%40b.example/suppress", ""},
      {R"({"type":"unsuppress","id":"42"})", "POST", "/api/v1/customers/42/unsuppress", ""},
      {R"({"type":"add_device","id":"42","device":{"id":"d/1","platform":"ios","last_used":1}})", "PUT",
       "/api/v1/customers/42/devices", R"({"device":{"id":"d/1","platform":"ios","last_used":1}})"},
      {R"({"type":"delete_device","id":"42","device_id":"d/1"})", "DELETE",
       "/api/v1/customers/42/devices/d%2F1", ""},
      {R"({"type":"merge","primary":{"id":"1"},"secondary":{"email":"x@y.example"}})", "POST",
       "/api/v1/merge_customers", R"({"primary":{"id":"1"},"secondary":{"email":"x@y.example"}})"},
      {R"({"type":"form","form_id":"f 1","data":{"email":"x@y.example","note":"hi"}})", "POST",
       "/api/v1/forms/f%201/submit", R"({"data":{"email":"x@y.example","note":"hi"}})"},
      {R"({"type":"add_to_segment","segment_id":7,"ids":["1","2"],"id_type":"id"})", "POST",
       "/api/v1/segments/7/add_customers?id_type=id", R"({"ids":["1","2"]})"},
      {R"({"type":"remove_from_segment","segment_id":"7","ids":["1"]})", "POST",
       "/api/v1/segments/7/remove_customers", R"({"ids":["1"]})"},
      {R"({"type":"metric","delivery_id":"D","metric":"opened","timestamp":1700000004,"recipient":"r"})",
       "POST", "/api/v1/metrics",
       R"({"delivery_id":"D","metric":"opened","timestamp":1700000004,"recipient":"r"})"},
      {R"({"type":"raw","method":"GET","path":"/v1/accounts/region","query":{"a b":"c&d"}})", "GET",
       "/api/v1/accounts/region?a%20b=c%26d", ""},
      {R"({"type":"raw","method":"PUT","path":"/v1/customers/9","body":{"x":1e400, "y":[ ]}})", "PUT",
       "/api/v1/customers/9", R"({"x":1e400, "y":[ ]})"},
      {R"({"type":"raw","method":"PUT","path":"/v1/customers/9","body":"{\"x\": \"as is\"}","headers":{"X-Own":"1"}})",
       "PUT", "/api/v1/customers/9", R"({"x": "as is"})"},
      {R"({"type":"raw","method":"POST","path":"/v2/entity","body":{"type":"person","action":"identify","identifiers":{"id":"9"},"attributes":{}}})",
       "POST", "/api/v2/entity", nullptr},
  };
  Desk desk;
  for (const Example& example : examples) {
    INFO("line ", std::string(example.line));
    const Arrived arrived = desk.Send(example.line);
    CHECK(arrived.method == example.method);
    CHECK(arrived.target == example.target);
    if (example.body != nullptr) CHECK(arrived.body == example.body);
    if (!arrived.body.empty()) CHECK(arrived.content_type == "application/json");
  }
  CHECK(desk.daemon().Status()["totals"]["delivered"].Int() ==
        static_cast<std::int64_t>(std::size(examples)));
}

TEST_CASE("delivery: an event without its own id and time carries the job id and the time of acceptance") {
  Desk desk;
  const Arrived event = desk.Send(R"({"type":"track","id":"42","name":"buy","data":{"a":1}})");
  CHECK(event.body == R"({"name":"buy","id":")" + event.job + R"(","timestamp":)" +
                          AcceptedSeconds(event.job) + R"(,"data":{"a":1}})");
  const Arrived identify = desk.Send(R"({"type":"identify","id":"42"})");
  CHECK(identify.body == R"({"_timestamp":)" + AcceptedSeconds(identify.job) + "}");
  const Arrived metric = desk.Send(R"({"type":"metric","delivery_id":"D","metric":"opened"})");
  CHECK(metric.body ==
        R"({"delivery_id":"D","metric":"opened","timestamp":)" + AcceptedSeconds(metric.job) + "}");
}

TEST_CASE("delivery: a raw job with fields and files leaves as a multipart form") {
  Desk desk;
  desk.sim().Always(R"({"status":200})");  // the API itself knows no path that takes one
  const Arrived arrived = desk.Send(
      R"({"type":"raw","method":"POST","path":"/v1/forms/1/submit","form":{"a":"b"},"files":[{"name":"f","filename":"x.txt","content":"hello"},)"
      R"({"name":"g","filename":"y.bin","content_base64":"AAEC"}]})");
  CHECK(arrived.content_type.starts_with("multipart/form-data; boundary="));
  const JsonValue requests = HttpClient(desk.sim().Port()).Get("/_sim/requests?last=1").Json();
  const std::string body =
      arrived.body.empty() ? requests["requests"].Items().front()["body_base64"].String() : arrived.body;
  CHECK(body.find("name=\"a\"\r\n\r\nb\r\n") != std::string::npos);
  CHECK(body.find("name=\"f\"; filename=\"x.txt\"") != std::string::npos);
  CHECK(body.find("\r\n\r\nhello\r\n") != std::string::npos);
  CHECK(body.find(std::string("\0\1\2", 3)) != std::string::npos);
}

TEST_CASE("delivery: an Authorization header of a raw job does not replace the connection's") {
  Desk desk;
  const Arrived arrived = desk.Send(
      R"({"type":"raw","method":"GET","path":"/v1/accounts/region","headers":{"Authorization":"Basic Zm9yZWlnbg=="}})");
  CHECK(arrived.target == "/api/v1/accounts/region");
}

}  // namespace
}  // namespace outboxd
