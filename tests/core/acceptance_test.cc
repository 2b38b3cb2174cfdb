#include "core/acceptance.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/job_line.h"
#include "core/limits.h"
#include "core/track_body.h"
#include "core/track_call.h"
#include "tests/core/job_lines.h"

namespace outboxd {
namespace {

using testing::CheckAccepted;
using testing::CheckRefused;
using testing::Read;
using testing::Repeat;

std::string RawPost(std::string_view members) {
  return R"({"type":"raw","method":"POST","path":"/v1/x",)" + std::string(members) + "}";
}
std::string Fields(std::size_t count) {
  std::string json = "{";
  for (std::size_t i = 0; i < count; ++i) json += (i > 0 ? ",\"f" : "\"f") + std::to_string(i) + "\":\"\"";
  return json + "}";
}
std::string RequestTo(std::string_view target) {
  return R"({"type":"track","request":{"method":"POST","target":")" + std::string(target) +
         R"(","body":{"name":"n"}}})";
}

TEST_CASE("acceptance: a form has at most 100 fields, a query 200 members, wherever they stand") {
  CheckAccepted({RawPost("\"form\":" + Fields(100)), RawPost("\"query\":" + Fields(200)),
                 R"({"type":"raw","method":"GET","path":"/v1/x?)" + Repeat("a&", 199) + "a\"}",
                 RequestTo("/api/v1/customers/1/events?" + Repeat("a&", 199) + "a")});
  CheckRefused({{RawPost("\"form\":" + Fields(101)), "form", "more than 100 fields"},
                {RawPost("\"query\":" + Fields(201)), "query", "more than 200 query members"},
                {R"({"type":"raw","method":"GET","path":"/v1/x?)" + Repeat("a&", 200) + "a\"}", "path",
                 "more than 200 query members"},
                {R"({"type":"raw","method":"GET","path":"/v1/x?)" + Repeat(";", 200) + "\"}", "path",
                 "more than 200 query members"},
                {R"({"type":"raw","method":"GET","path":"/v1/x?a=1","query":)" + Fields(200) + "}", "query",
                 "more than 200 query members"},
                {RequestTo("/api/v1/customers/1/events?" + Repeat("a&", 200) + "a"), "request.target",
                 "more than 200 query members"}});
}

TEST_CASE(
    "acceptance: a path leads nowhere but down, whether its producer wrote it, a request has it, or ids make "
    "it") {
  const std::string dots = "must not hold . or .. segments";
  for (const std::string path :
       {"/v1/..%2f..%2f..%2finternal/x", "/v1/x/%252e%252e", "/v2/..%5cx", "/v1/..;/x"}) {
    CAPTURE(path);
    CheckRefused({{R"({"type":"raw","method":"GET","path":")" + path + "\"}", "path", dots}});
  }
  CheckRefused({{R"({"type":"raw","method":"GET","path":"/v1/..\\x"})", "path", dots},
                {RequestTo("/api/v1/customers/../events"), "request.target", dots},
                {RequestTo("/api/v1/customers/..%2f..%2fx/events"), "request.target", dots},
                {R"({"type":"destroy","request":{"method":"DELETE","target":"/api/v1/customers/%252E."}})",
                 "request.target", dots}});
  CheckAccepted(
      {RequestTo("/api/v1/customers/1/events?x=/../y"), RequestTo("/api/v1/customers/a%2Fb/events")});
}

TEST_CASE("acceptance: a path with its query is not longer than servers read, as it is sent") {
  const auto query = [](std::size_t bytes, char byte) {
    return RawPost(R"("query":{"a":")" + std::string(bytes, byte) + "\"}");
  };
  CheckAccepted({query(65'000, 'x'), query(21'000, ' ')});
  CheckRefused(
      {{query(66'000, 'x'), "query", "longer than 65536 bytes"}, {query(22'000, ' '), "query", "encoded"}});
}

TEST_CASE("acceptance: no person and no device is called . or .., or blank, in any spelling") {
  const std::string nobody = "must not be blank, . or ..";
  for (const std::string id :
       {".", "..", "%2e%2e", "%252e.", "a/../b", "..\\\\x", "..;x", " ", "%20", "\\u0001", "cio_.."}) {
    CAPTURE(id);
    CheckRefused(
        {{R"({"type":"destroy","id":")" + id + "\"}", "id", nobody},
         {R"({"type":"identify","id":")" + id + "\"}", "id", nobody},
         {R"({"type":"track","anonymous_id":")" + id + R"(","name":"n"})", "anonymous_id", nobody},
         {R"({"type":"delete_device","id":"1","device_id":")" + id + "\"}", "device_id", nobody},
         {R"({"type":"add_device","id":"1","device":{"id":")" + id + R"(","platform":"ios"}})", "device.id",
          nobody},
         {R"({"type":"merge","primary":{"id":")" + id + R"("},"secondary":{"id":"2"}})", "primary", nobody},
         {R"({"type":"merge","primary":{"id":"1"},"secondary":{"email":")" + id + "\"}}", "secondary",
          nobody},
         {R"({"type":"form","form_id":")" + id + R"(","data":{"email":"a@b.c"}})", "form_id", nobody},
         {R"({"type":"form","form_id":"f","data":{"email":")" + id + "\"}}", "data", nobody},
         {R"({"type":"add_to_segment","segment_id":7,"ids":["1",")" + id + "\"]}", "ids.1", nobody},
         {R"({"type":"raw","method":"GET","path":"/v1/x","id":")" + id + "\"}", "id", nobody}});
  }
  CheckRefused(
      {{R"({"type":"destroy","request":{"method":"POST","target":"/api/v2/entity","body":)"
        R"({"type":"person","action":"delete","identifiers":{"id":".."}}}})",
        "request.body", nobody},
       {R"({"type":"add_device","request":{"method":"PUT","target":"/api/v1/customers/1/devices","body":)"
        R"({"device":{"id":"..","platform":"ios"}}}})",
        "request.body.device", nobody}});
  CheckAccepted({R"({"type":"destroy","id":"a..b"})", R"({"type":"destroy","id":"first.last@example.com"})",
                 R"({"type":"destroy","id":"..."})", R"({"type":"destroy","id":"a/b"})",
                 R"({"type":"delete_device","id":"1","device_id":"token/1:a.b"})"});
}

TEST_CASE("acceptance: a blank id or one of dots is refused for every type, in lines and in requests") {
  for (const std::string id : {".", "..", " ", "%20", "%2E%2e"}) {
    CAPTURE(id);
    for (const std::string& line :
         {R"({"type":"identify","id":")" + id + "\"}", R"({"type":"track","id":")" + id + R"(","name":"n"})",
          R"({"type":"pageview","id":")" + id + R"(","url":"/"})",
          R"({"type":"pageview","anonymous_id":")" + id + R"(","url":"/"})",
          R"({"type":"destroy","id":")" + id + "\"}", R"({"type":"suppress","id":")" + id + "\"}",
          R"({"type":"unsuppress","id":")" + id + "\"}",
          R"({"type":"raw","method":"GET","path":"/v1/x","id":")" + id + "\"}",
          R"({"type":"add_device","id":")" + id + R"(","device":{"id":"d","platform":"ios"}})",
          R"({"type":"delete_device","id":")" + id + R"(","device_id":"d"})",
          R"({"type":"merge","primary":{"cio_id":")" + id + R"("},"secondary":{"id":"2"}})",
          R"({"type":"form","form_id":"f","data":{"id":")" + id + "\"}}",
          R"({"type":"remove_from_segment","segment_id":7,"ids":[")" + id + "\"]}",
          R"({"type":"metric","metric":"opened","delivery_id":")" + id + "\"}"}) {
      CAPTURE(line);
      const auto job = ParseJobLine(line);
      REQUIRE_FALSE(job.has_value());
      CHECK(job.error().message.find("must not be blank") != std::string::npos);
    }
  }
  const auto refuses = [](std::string_view method, std::string_view target, std::string_view body) {
    const Result<TrackRoute> route = FindTrackRoute(method, target);
    REQUIRE(route.has_value());
    return !MakeTrackCallJob(*route, "default", method, target, *TrackBody::Read(body)).has_value();
  };
  for (const std::string id : {"%2E", "..", "%20", "%2520", "%09"}) {
    CAPTURE(id);
    const std::string customer = "/api/v1/customers/" + id;
    CHECK(refuses("PUT", customer, "{}"));
    CHECK(refuses("DELETE", customer, ""));
    CHECK(refuses("POST", customer + "/events", R"({"name":"n"})"));
    CHECK(refuses("POST", customer + "/suppress", ""));
    CHECK(refuses("PUT", customer + "/devices", R"({"device":{"id":"d","platform":"ios"}})"));
    CHECK(refuses("DELETE", "/api/v1/customers/1/devices/" + id, ""));
    CHECK(refuses("POST", "/api/v1/forms/" + id + "/submit", R"({"data":{"id":"1"}})"));
  }
  CHECK(refuses("POST", "/api/v1/metrics", R"({"delivery_id":" ","metric":"opened"})"));
  CHECK(refuses("POST", "/api/v1/events", R"({"name":"n","anonymous_id":" "})"));
  CHECK(refuses("POST", "/api/v1/segments/7/add_customers", R"({"ids":["1"," "]})"));
  CHECK(refuses("POST", "/api/v1/merge_customers", R"({"primary":{"id":" "},"secondary":{"id":"1"}})"));
  for (const char* device : {R"("add_device","device":{"token":" ","platform":"ios"})",
                             R"("delete_device","device":{"token":".."})"}) {
    CHECK(refuses("POST", "/api/v2/entity",
                  R"({"type":"person","identifiers":{"id":"1"},"action":)" + std::string(device) + "}"));
  }
  CHECK_FALSE(refuses("DELETE", "/api/v1/customers/1/devices/a%20b", ""));
}

TEST_CASE("acceptance: the name of an event, also of a page, is not blank and at most 100 bytes long") {
  const auto named = [](std::string_view name) {
    const std::string text(name);
    return std::vector<testing::Refused>{
        {R"({"type":"track","id":"1","name":")" + text + "\"}", "name", {}},
        {R"({"type":"pageview","id":"1","url":")" + text + "\"}", "url", {}},
        {R"({"type":"pageview","anonymous_id":"1","url":")" + text + "\"}", "url", {}},
        {R"({"type":"pageview","request":{"method":"POST","target":"/api/v1/customers/1/events","body":)"
         R"({"type":"page","name":")" +
             text + "\"}}}",
         "request.body.name",
         {}},
        {R"({"type":"pageview","request":{"method":"POST","target":"/api/v2/entity","body":)"
         R"({"type":"person","action":"page","identifiers":{"id":"1"},"name":")" +
             text + "\"}}}",
         "request.body.name",
         {}}};
  };
  const std::string longest = "https://example.com/" + Repeat("x", 80);
  for (const testing::Refused& row : named(longest)) CheckAccepted({row.line});
  for (const std::string& name : {longest + "x", Repeat("ü", 51)}) {
    for (testing::Refused row : named(name)) {
      row.message_part = "at most 100 are allowed";
      CheckRefused({row});
    }
  }
  for (const char* blank : {" ", " \\t\\n"}) {
    for (testing::Refused row : named(blank)) {
      row.message_part = "must not be blank";
      CheckRefused({row});
    }
  }
}

TEST_CASE("acceptance: a page with a long url that was stored before is read as ever") {
  CHECK(ParseStoredLine(R"({"type":"pageview","id":"1","url":")" + Repeat("x", 4096) + "\"}").has_value());
  CHECK(ParseStoredLine(R"({"type":"track","id":"1","name":" "})").has_value());
}

TEST_CASE("acceptance: methods that are not for the API are refused, in any case") {
  for (const char* method : {"CONNECT", "TRACE", "trace", "PRI", "TRACK"}) {
    CheckRefused({{R"({"type":"raw","path":"/v1/x","method":")" + std::string(method) + "\"}", "method",
                   "must not be "}});
  }
  CheckAccepted({R"({"type":"raw","path":"/v1/x","method":"TRACES"})"});
}

TEST_CASE(
    "acceptance: headers of the hop and those that override the request are refused by name; ours are "
    "dropped") {
  for (const std::string name : {"Connection", "proxy-authorization", "Keep_Alive", "TE", "Trailer",
                                 "Upgrade", "HTTP2-Settings", "Expect", "Cookie"}) {
    CheckRefused({{RawPost("\"headers\":{\"X-A\":\"1\",\"" + name + "\":\"v\"}"), "headers." + name,
                   "belongs to the network connection"}});
  }
  CheckRefused({{RawPost(R"("headers":{"X-HTTP-Method-Override":"DELETE"})"),
                 "headers.X-HTTP-Method-Override", "another method or path"}});
  CheckAccepted({RawPost(R"("headers":{"Authorization":"x","Host":"y","Content-Length":"7","X-A":"1"})")});
}

TEST_CASE("acceptance: a refused line echoes its ref") {
  const auto job = ParseJobLine(R"({"type":"destroy","id":"..","ref":"r-1"})");
  REQUIRE_FALSE(job.has_value());
  CHECK(job.error().has_ref);
  CHECK(job.error().ref == "r-1");
}

TEST_CASE("acceptance: a request of the endpoint is held to the same rules") {
  const auto accepts = [](std::string_view method, std::string_view target, std::string_view body) {
    const Result<TrackRoute> route = FindTrackRoute(method, target.substr(0, target.find('?')));
    REQUIRE(route.has_value());
    return MakeTrackCallJob(*route, "default", method, target, *TrackBody::Read(body));
  };
  CHECK(accepts("DELETE", "/api/v1/customers/1/devices/a", "").has_value());
  const auto device = accepts("DELETE", "/api/v1/customers/1/devices/..", "");
  REQUIRE_FALSE(device.has_value());
  CHECK(device.error().field == "target");
  CHECK_FALSE(accepts("DELETE", "/api/v1/customers/%252e%252e", "").has_value());
  CHECK_FALSE(accepts("POST", "/unsubscribe/..%2fapi", "{}").has_value());
  CHECK_FALSE(
      accepts("POST", "/api/v1/metrics?" + Repeat("&", 200), R"({"delivery_id":"1","metric":"opened"})")
          .has_value());
}

TEST_CASE("acceptance: what was stored before the rules came is read as ever") {
  for (const std::string& line :
       {RawPost("\"form\":" + Fields(5000)), RawPost("\"query\":" + Fields(500)),
        std::string(R"({"type":"destroy","id":".."})"), RawPost(R"("headers":{"Connection":"close"})"),
        std::string(R"({"type":"raw","method":"TRACE","path":"/v1/..%2fx"})"),
        RequestTo("/api/v1/customers/../events")}) {
    CAPTURE(line);
    CHECK(ParseStoredLine(line).has_value());
    CHECK_FALSE(ParseJobLine(line).has_value());
  }
}

TEST_CASE("acceptance: only a stored job whose path would lead upwards does not stay below the base URL") {
  const auto stays = [](std::string line) {
    const auto job = ParseStoredLine(std::move(line));
    REQUIRE(job.has_value());
    return WhyNeverSent(*job).empty();
  };
  for (const char* line :
       {R"({"type":"destroy","id":".."})", R"({"type":"track","id":"a/../b","name":"n"})",
        R"({"type":"delete_device","id":"1","device_id":".."})",
        R"({"type":"form","form_id":"..","data":{"email":"a@b.c"}})",
        R"({"type":"raw","method":"GET","path":"/v1/..%2fx"})",
        R"({"type":"destroy","request":{"method":"DELETE","target":"/api/v1/customers/.."}})"}) {
    CAPTURE(line);
    CHECK_FALSE(stays(line));
  }
  for (const char* line :
       {R"({"type":"track","anonymous_id":"..","name":"n"})", R"({"type":"destroy","id":" "})",
        R"({"type":"merge","primary":{"id":".."},"secondary":{"id":"2"}})",
        R"({"type":"form","form_id":"f","data":{"email":".."}})",
        R"({"type":"raw","method":"GET","path":"/v1/x?y=/../z","id":".."})",
        R"({"type":"raw","method":"TRACE","path":"/v1/x"})"}) {
    CAPTURE(line);
    CHECK(stays(line));
  }
}

TEST_CASE(
    "acceptance: a stored job whose query is longer than can be sent is told, one that can be sent is not") {
  const auto query = [](std::size_t bytes) {
    return RawPost(R"("query":{"a":")" + std::string(bytes, ' ') + "\"}");
  };
  CHECK(WhyNeverSent(*ParseStoredLine(query(299'000))).empty());
  CHECK(WhyNeverSent(*ParseStoredLine(query(301'000))).find("longer than can be sent") !=
        std::string_view::npos);
}

}  // namespace
}  // namespace outboxd
