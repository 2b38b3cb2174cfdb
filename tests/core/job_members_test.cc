#include "core/job_members.h"

#include <doctest/doctest.h>

#include "core/batch.h"
#include "core/job_types.h"
#include "core/limits.h"
#include "core/request.h"
#include "core/type_requests.h"
#include "tests/core/job_lines.h"

namespace outboxd {
namespace {

using testing::CheckAccepted;
using testing::CheckRefused;
using testing::Read;
using testing::Refused;
using testing::Repeat;

std::string Line(std::string_view type, std::string_view members) {
  return "{\"type\":\"" + std::string(type) + "\"" + (members.empty() ? "" : ",") + std::string(members) +
         "}";
}

std::string Quoted(std::size_t bytes) {
  return '"' + std::string(bytes, 'x') + '"';
}

struct Minimal {
  JobType type;
  std::string members;
};

// A value that a line may hold for `name`.
std::string_view Sample(members::Name name) {
  using members::Name;
  constexpr std::pair<Name, std::string_view> kSamples[] = {
      {Name::kDevice, R"({"id":"d","platform":"ios"})"},
      {Name::kData, R"({"email":"a@b.c"})"},
      {Name::kPrimary, R"({"id":"1"})"},
      {Name::kSecondary, R"({"id":"2"})"},
      {Name::kIds, R"(["1"])"},
      {Name::kSegmentId, "7"},
      {Name::kMetric, R"("opened")"},
      {Name::kMethod, R"("GET")"},
      {Name::kPath, R"("/v1/x")"},
  };
  for (const auto& [sampled, value] : kSamples) {
    if (sampled == name) return value;
  }
  return R"("1")";
}

// A line of each type with what its row requires and nothing else.
std::vector<Minimal> MinimalJobs() {
  std::vector<Minimal> jobs;
  for (const JobTypeRow& row : kJobTypes) {
    std::string members;
    for (const Need& need : row.required) {
      if (need.member == members::Name::kType) continue;
      if (!members.empty()) members += ',';
      members += '"' + std::string(members::TextOf(need.member)) + "\":" + std::string(Sample(need.member));
    }
    jobs.push_back({row.type, members});
  }
  return jobs;
}

TEST_CASE("job members: the least that each type needs is enough, and nothing else is filled in") {
  for (const Minimal& minimal : MinimalJobs()) {
    const Job job = Read(Line(JobTypeName(minimal.type), minimal.members));
    CHECK(job.type == minimal.type);
    CHECK(job.connection == "default");
    CHECK(!job.anonymous);
    CHECK(job.timestamp.empty());
    CHECK(job.event_id.empty());
    CHECK(!job.has_ref);
    CHECK(!job.max_age);
    CHECK(!job.region);
    CHECK((job.raw != nullptr) == (minimal.type == JobType::kRaw));
  }
}

TEST_CASE("job members: every type takes connection, max_age, region and ref") {
  for (const Minimal& minimal : MinimalJobs()) {
    const Job job =
        Read(Line(JobTypeName(minimal.type),
                  minimal.members + R"(,"connection":"shop","max_age":3600,"region":"eu","ref":"r-1")"));
    CHECK(job.connection == "shop");
    CHECK(job.max_age == std::chrono::seconds(3600));
    CHECK(job.region == Region::kEu);
    CHECK(job.has_ref);
    CHECK(job.ref == "r-1");
  }
}

TEST_CASE("job members: a member is taken by the types it belongs to and refused by name by all others") {
  for (const members::Rule& rule : members::Rules()) {
    CHECK(members::FromText(rule.text) == rule.name);
    CHECK(members::TextOf(rule.name) == rule.text);
    for (const Minimal& minimal : MinimalJobs()) {
      if (RowOf(minimal.type).Allowed().Has(rule.name)) continue;
      const std::string type(JobTypeName(minimal.type));
      CheckRefused({{Line(type, minimal.members + ",\"" + std::string(rule.text) + "\":1"),
                     std::string(rule.text), "does not belong to " + type}});
    }
  }
}

TEST_CASE("job members: a set knows what is in it, and which comes first") {
  using members::Name;
  using members::Set;
  constexpr Set kSome = {Name::kRequest, Name::kId};
  CHECK(kSome.Has(Name::kId));
  CHECK(kSome.Has(Name::kRequest));
  CHECK_FALSE(kSome.Has(Name::kType));
  CHECK(kSome.First() == Name::kId);
  CHECK(kSome.Without({Name::kId}) == Set{Name::kRequest});
  CHECK((Set{Name::kId} | Set{Name::kRequest}) == kSome);
  CHECK(kSome.Without(kSome).IsEmpty());
  CHECK_FALSE(kSome.IsEmpty());
}

TEST_CASE("job members: the rules stand in the order of their names") {
  REQUIRE(members::Rules().size() == members::kCount);
  for (std::size_t i = 0; i < members::kCount; ++i) {
    CHECK(members::Rules()[i].name == static_cast<members::Name>(i));
    CHECK_FALSE(members::Rules()[i].text.empty());
  }
}

TEST_CASE("job members: what a type needs is named when it is missing") {
  CheckRefused({
      {Line("identify", ""), "id", "identify needs \"id\""},
      {Line("track", R"("name":"purchase")"), "id", "track needs \"id\" or \"anonymous_id\""},
      {Line("track", R"("id":"1")"), "name", "track needs \"name\""},
      {Line("pageview", R"("url":"/")"), "id", "pageview needs \"id\" or \"anonymous_id\""},
      {Line("pageview", R"("id":"1")"), "url", "pageview needs \"url\""},
      {Line("destroy", ""), "id", "destroy needs \"id\""},
      {Line("suppress", ""), "id", "suppress needs \"id\""},
      {Line("unsuppress", ""), "id", "unsuppress needs \"id\""},
      {Line("add_device", R"("device":{"id":"d","platform":"ios"})"), "id", "add_device needs \"id\""},
      {Line("add_device", R"("id":"1")"), "device", "add_device needs \"device\""},
      {Line("delete_device", R"("device_id":"d")"), "id", "delete_device needs \"id\""},
      {Line("delete_device", R"("id":"1")"), "device_id", "delete_device needs \"device_id\""},
      {Line("merge", R"("secondary":{"id":"1"})"), "primary", "merge needs \"primary\""},
      {Line("merge", R"("primary":{"id":"1"})"), "secondary", "merge needs \"secondary\""},
      {Line("merge", ""), "primary", "merge needs \"primary\""},
      {Line("form", R"("data":{"id":"1"})"), "form_id", "form needs \"form_id\""},
      {Line("form", R"("form_id":"f")"), "data", "form needs \"data\""},
      {Line("add_to_segment", R"("ids":[1])"), "segment_id", "add_to_segment needs \"segment_id\""},
      {Line("add_to_segment", R"("ids":[1],"id_type":"id")"), "segment_id",
       "add_to_segment needs \"segment_id\""},
      {Line("remove_from_segment", R"("segment_id":1)"), "ids", "remove_from_segment needs \"ids\""},
      {Line("metric", R"("metric":"opened")"), "delivery_id", "metric needs \"delivery_id\""},
      {Line("metric", R"("delivery_id":"d")"), "metric", "metric needs \"metric\""},
  });
}

TEST_CASE("job members: identifiers are text or integers of any size") {
  const auto customer = [](std::string_view id) {
    return Read(Line("destroy", "\"id\":" + std::string(id))).customer;
  };
  CHECK(customer("\"42\"") == "42");
  CHECK(customer("42") == "42");
  CHECK(customer("-7") == "-7");
  CHECK(customer("0") == "0");
  CHECK(customer("123456789012345678901234567890") == "123456789012345678901234567890");
  CHECK(customer(std::string(150, '7')) == std::string(150, '7'));
  CHECK(customer(R"("a b/\u00fc+@%~")") == "a b/\xc3\xbc+@%~");
  CHECK(customer("\" a\"") == " a");
  for (const char* id : {"1.0", "1.5", "1e3", "true", "false", "[]", "{}", "[1]"}) {
    CheckRefused({{Line("destroy", "\"id\":" + std::string(id)), "id", "must be a string or an integer"}});
  }
}

TEST_CASE("job members: an anonymous customer stands in place of a known one") {
  const Job job = Read(Line("track", R"("anonymous_id":7,"name":"n")"));
  CHECK(job.anonymous);
  CHECK(job.customer == "7");
  CHECK(Read(Line("pageview", R"("anonymous_id":"a-1","url":"/")")).anonymous);
  CheckRefused({
      {Line("track", R"("id":"1","anonymous_id":"2","name":"n")"), "anonymous_id", "not both"},
      {Line("track", R"("anonymous_id":"2","id":"1","name":"n")"), "anonymous_id", "not both"},
      {Line("track", R"("anonymous_id":"","name":"n")"), "anonymous_id", "must not be empty"},
      {Line("pageview", R"("anonymous_id":null,"url":"/")"), "id",
       "pageview needs \"id\" or \"anonymous_id\""},
  });
}

TEST_CASE("job members: null is the same as absent, and an empty array an object without members") {
  const Job event = Read(Line(
      "track",
      R"("id":null,"anonymous_id":"a","name":"n","data":null,"timestamp":null,"event_id":null,"ref":null)"));
  CHECK(event.customer == "a");
  CHECK(event.body.empty());
  CHECK_FALSE(event.has_ref);
  CHECK(Read(Line("track", R"("id":"1","name":"n","data":[ ])")).body.empty());
  CHECK(Read(Line("identify", R"("id":"1","attributes":[],"timestamp":null)")).body.empty());
  CHECK_FALSE(Read(Line("raw", R"("method":"POST","path":"/v1/x","body":null)")).body.empty());
  CheckRefused({{Line("destroy", R"("id":null)"), "id", "destroy needs \"id\""},
                {Line("track", R"("id":"1","name":"n","data":[1])"), "data", "must be an object"}});
}

// Lines that hold `bytes` bytes where at most `most` are allowed.
struct Limit {
  std::string field;
  std::size_t most;
  std::string (*line)(std::size_t bytes);
};

TEST_CASE("job members: null inside a member is absent too, and leaves no trace in the request") {
  const Stamp stamp{*Ulid::Parse("01JDB3T0C5W7X8Y9Z0ABCDEFGH"), FromUnixMs(1'732'000'000'000)};
  const auto leaves = [&](std::string_view type, std::string_view members) {
    return BuildRequest(Read(Line(type, members)), stamp).body;
  };
  const std::string bare = R"({"device":{"id":"d","platform":"ios"}})";
  CHECK(leaves("add_device",
               R"("id":"1","device":{"id":"d","platform":"ios","last_used":null,"attributes":null})") ==
        bare);
  CHECK(leaves("add_device",
               R"("id":"1","device":{"last_used":null,"attributes":null,"id":"d","platform":"ios"})") ==
        bare);
  CHECK(leaves("add_device",
               R"("id":"1","device":{"attributes":[ ],"id":"d","last_used":null,"platform":"ios"})") ==
        R"({"device":{"attributes":{},"id":"d","platform":"ios"}})");
  CHECK(leaves("merge", R"("primary":{"id":"1","email":null},"secondary":{"cio_id":null,"id":2})") ==
        R"({"primary":{"id":"1"},"secondary":{"id":2}})");
  CHECK(leaves("form", R"("form_id":"f","data":{"id":null,"email":"a@b.c","topic":null})") ==
        R"({"data":{"email":"a@b.c"}})");
  const Job raw =
      Read(Line("raw", R"("method":"POST","path":"/v1/x","query":{"a":null,"b":"1"},"headers":{"X":null},)"
                       R"("retry":{"max_retries":null,"delay_ms":5},)"
                       R"("files":[{"name":"n","filename":null,"content":"c"}])"));
  CHECK(raw.raw->query.size() == 1);
  CHECK(raw.raw->headers.empty());
  CHECK(raw.raw->retry->max_retries == 0);
  CHECK(raw.raw->files.front().filename == "n");
  CheckRefused(
      {{Line("add_device", R"("id":"1","device":{"id":null,"platform":"ios"})"), "device.id",
        "a device needs \"id\""},
       {Line("merge", R"("primary":{"id":null},"secondary":{"id":"2"})"), "primary", "exactly one"}});
}

TEST_CASE("job members: a device's last use is a time as timestamp is, and leaves as Unix seconds") {
  const Stamp stamp{*Ulid::Parse("01JDB3T0C5W7X8Y9Z0ABCDEFGH"), FromUnixMs(1'732'000'000'000)};
  const auto device = [](std::string_view used) {
    return Line("add_device",
                R"("id":"1","device":{"id":"d","last_used":)" + std::string(used) + R"(,"platform":"ios"})");
  };
  for (const char* used :
       {"1700000000", "1700000000.75", R"("2023-11-14T22:13:20Z")", R"("2023-11-14T23:13:20.5+01:00")"}) {
    CAPTURE(used);
    const Job job = Read(device(used));
    CHECK(BuildRequest(job, stamp).body ==
          R"({"device":{"id":"d","last_used":1700000000,"platform":"ios"}})");
    REQUIRE(FitsBatch(job));
    std::string item;
    AppendAddDeviceItem(item, job, stamp);
    CHECK(item.find(R"("device":{"token":"d","last_used":1700000000,"platform":"ios"})") !=
          std::string::npos);
  }
  for (const char* used :
       {"1700000000123", "-1", "1e9", "17000000001234567", R"("1700000000")", R"("soon")", "true", "{}"}) {
    CAPTURE(used);
    CheckRefused({{device(used), "device.last_used", "must be Unix seconds"}});
  }
}

TEST_CASE("job members: an invite is an event that names a recipient and no customer") {
  const Job invite = Read(Line("track", R"("name":"invited","data":{"recipient":"a@example.com"})"));
  CHECK(invite.customer.empty());
  CHECK(LanesOf(invite).empty());
  CHECK_FALSE(FitsBatch(invite));
  for (const char* data :
       {"{}", "[]", R"({"recipient":""})", R"({"recipient":5})", R"({"Recipient":"a@b.c"})"}) {
    CAPTURE(data);
    CheckRefused({{Line("track", R"("name":"n","data":)" + std::string(data)), "id",
                   "track needs \"id\" or \"anonymous_id\""}});
  }
  CheckRefused({{Line("track", R"("data":{"recipient":"a@b.c"})"), "name", "track needs \"name\""},
                {Line("pageview", R"("url":"/","data":{"recipient":"a@b.c"})"), "id", "pageview needs"}});
}

TEST_CASE("job members: limits hold to the byte") {
  const std::vector<Limit> table = {
      {"id", 150, [](std::size_t bytes) { return Line("destroy", "\"id\":" + Quoted(bytes)); }},
      {"id", 150, [](std::size_t bytes) { return Line("destroy", "\"id\":" + std::string(bytes, '1')); }},
      {"anonymous_id", 150,
       [](std::size_t bytes) { return Line("track", "\"name\":\"n\",\"anonymous_id\":" + Quoted(bytes)); }},
      {"name", 100, [](std::size_t bytes) { return Line("track", "\"id\":1,\"name\":" + Quoted(bytes)); }},
      {"url", limits::kEventNameBytes,
       [](std::size_t bytes) { return Line("pageview", "\"id\":1,\"url\":" + Quoted(bytes)); }},
      {"connection", 64,
       [](std::size_t bytes) { return Line("destroy", "\"id\":1,\"connection\":" + Quoted(bytes)); }},
      {"ref", 200, [](std::size_t bytes) { return Line("destroy", "\"id\":1,\"ref\":" + Quoted(bytes)); }},
      {"data", 100'000,
       [](std::size_t bytes) {
         return Line("track", "\"id\":1,\"name\":\"n\",\"data\":{\"a\":" + Quoted(bytes - 8) + "}");
       }},
      {"data", 100'000,
       [](std::size_t bytes) {
         return Line("pageview", "\"id\":1,\"url\":\"/\",\"data\":{\"a\":" + Quoted(bytes - 8) + "}");
       }},
      {"attributes.a", 1000,
       [](std::size_t bytes) {
         return Line("identify", "\"id\":1,\"attributes\":{\"a\":" + Quoted(bytes) + "}");
       }},
      {"device_id", 1000,
       [](std::size_t bytes) { return Line("delete_device", "\"id\":1,\"device_id\":" + Quoted(bytes)); }},
      {"device.id", 1000,
       [](std::size_t bytes) {
         return Line("add_device", "\"id\":1,\"device\":{\"platform\":\"ios\",\"id\":" + Quoted(bytes) + "}");
       }},
      {"form_id", 150,
       [](std::size_t bytes) {
         return Line("form", "\"data\":{\"id\":\"1\"},\"form_id\":" + Quoted(bytes));
       }},
      {"data.email", 150,
       [](std::size_t bytes) {
         return Line("form", "\"form_id\":1,\"data\":{\"email\":" + Quoted(bytes) + "}");
       }},
      {"primary.id", 150,
       [](std::size_t bytes) {
         return Line("merge", "\"primary\":{\"id\":" + Quoted(bytes) + "},\"secondary\":{\"id\":1}");
       }},
      {"ids.1", 150,
       [](std::size_t bytes) {
         return Line("add_to_segment", "\"segment_id\":1,\"ids\":[1," + Quoted(bytes) + "]");
       }},
      {"delivery_id", 1000,
       [](std::size_t bytes) {
         return Line("metric", "\"metric\":\"opened\",\"delivery_id\":" + Quoted(bytes));
       }},
      {"reason", 1000,
       [](std::size_t bytes) {
         return Line("metric", "\"metric\":\"opened\",\"delivery_id\":\"d\",\"reason\":" + Quoted(bytes));
       }},
  };
  for (const Limit& limit : table) {
    CheckAccepted({limit.line(limit.most)});
    CheckRefused({{limit.line(limit.most + 1), limit.field, ""}});
  }
}

TEST_CASE("job members: limits count bytes, not characters or escapes") {
  CheckAccepted({Line("destroy", "\"id\":\"" + Repeat("\xc3\xbc", 75) + "\""),
                 Line("destroy", "\"id\":\"" + Repeat("\\u00fc", 75) + "\""),
                 Line("destroy", "\"id\":\"" + Repeat("\\u0061", 150) + "\"")});
  CheckRefused({{Line("destroy", "\"id\":\"" + Repeat("\xc3\xbc", 76) + "\""), "id",
                 "is 152 bytes; at most 150 are allowed"},
                {Line("destroy", "\"id\":\"" + Repeat("\\u00fc", 76) + "\""), "id",
                 "is 152 bytes; at most 150 are allowed"}});
}

TEST_CASE("job members: empty text and NUL are refused") {
  CheckRefused({
      {Line("destroy", R"("id":"")"), "id", "must not be empty"},
      {Line("destroy", R"("id":"a\u0000b")"), "id", "NUL"},
      {Line("track", R"("id":"1","name":"")"), "name", "must not be empty"},
      {Line("track", R"("id":"1","name":"\u0000")"), "name", "NUL"},
      {Line("pageview", R"("id":"1","url":"")"), "url", "must not be empty"},
      {Line("destroy", R"("id":"1","connection":"")"), "connection", "must not be empty"},
      {Line("destroy", R"("id":"1","connection":5)"), "connection", "must be a string"},
      {Line("delete_device", R"("id":"1","device_id":"")"), "device_id", "must not be empty"},
      {Line("form", R"("form_id":"","data":{"id":"1"})"), "form_id", "must not be empty"},
      {Line("metric", R"("delivery_id":"","metric":"opened")"), "delivery_id", "must not be empty"},
      {Line("metric", R"("delivery_id":"d","metric":"opened","recipient":"")"), "recipient",
       "must not be empty"},
  });
  CHECK(Read(Line("track", R"("id":"1","name":"n","data":{"a":"\u0000"})")).body.length == 14);
}

TEST_CASE("job members: max_age, region, event_id and ref take what they say") {
  CheckAccepted({Line("destroy", R"("id":1,"max_age":1)"), Line("destroy", R"("id":1,"max_age":315360000)"),
                 Line("destroy", R"("id":1,"region":"us")"), Line("destroy", R"("id":1,"ref":"")")});
  CHECK(Read(Line("track", R"("id":1,"name":"n","event_id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH")")).event_id ==
        "01JDB3T0C5W7X8Y9Z0ABCDEFGH");
  for (const char* age : {"0", "-1", "1.0", "1e3", "315360001", "99999999999999999999", "\"60\"", "true"}) {
    CheckRefused({{Line("destroy", "\"id\":1,\"max_age\":" + std::string(age)), "max_age",
                   "must be whole seconds, 1 to 315360000"}});
  }
  for (const char* region : {"\"US\"", "\"\"", "\"asia\"", "1"}) {
    CheckRefused({{Line("destroy", "\"id\":1,\"region\":" + std::string(region)), "region",
                   "must be \"us\" or \"eu\""}});
  }
  for (const char* id :
       {"\"\"", "1", "\"order-9\"", "\"01JDB3T0C5W7X8Y9Z0ABCDEFGI\"", "\"81JDB3T0C5W7X8Y9Z0ABCDEFGH\""}) {
    CheckRefused({{Line("track", "\"id\":1,\"name\":\"n\",\"event_id\":" + std::string(id)), "event_id",
                   "must be a ULID"}});
  }
  CheckRefused({{Line("destroy", R"("id":1,"ref":1)"), "ref", "must be a string"}});
}

TEST_CASE("job members: a timestamp is Unix seconds, cut to whole ones, or RFC 3339") {
  const auto carried = [](std::string_view timestamp) {
    const Job job = Read(Line("track", "\"id\":1,\"name\":\"n\",\"timestamp\":" + std::string(timestamp)));
    return std::string(job.Text(job.timestamp));
  };
  CHECK(carried("0") == "0");
  CHECK(carried("1700000000") == "1700000000");
  CHECK(carried("1700000000.999999999999999999999999") == "1700000000");
  CHECK(carried("0.5") == "0");
  CHECK(carried("253402300799") == "253402300799");
  CHECK(carried("253402300799.9") == "253402300799");
  for (const char* text : {"\"2026-01-31T09:30:00Z\"", "\"1970-01-01T00:00:00Z\"",
                           "\"2026-01-31T09:30:00.123+05:30\"", "\"9999-12-31T23:59:59Z\""}) {
    CHECK(carried(text) == text);
  }
  for (const char* type : {"identify", "pageview"}) {
    const std::string more = std::string_view(type) == "pageview" ? ",\"url\":\"/\"" : "";
    const Job job = Read(Line(type, "\"id\":1,\"timestamp\":1700000000.5" + more));
    CHECK(job.Text(job.timestamp) == "1700000000");
  }
}

TEST_CASE("job members: what is not a time is refused as timestamp") {
  for (const char* timestamp : {"-1",
                                "-0",
                                "-0.5",
                                "1e9",
                                "1.5e9",
                                "1.7E+9",
                                "253402300800",
                                "99999999999999999999",
                                "1700000000000",
                                "true",
                                "[]",
                                "{}",
                                "\"\"",
                                "\"now\"",
                                "\"1700000000\"",
                                "\"2026-01-31\"",
                                "\"2026-01-31T09:30:00\"",
                                "\"2026-02-30T00:00:00Z\"",
                                "\"1969-12-31T23:59:59Z\"",
                                "\"9999-12-31T23:59:59-00:01\"",
                                "\"2026-01-31T09:30:00\\u005a\"",
                                "\" 2026-01-31T09:30:00Z\""}) {
    CheckRefused({{Line("track", "\"id\":1,\"name\":\"n\",\"timestamp\":" + std::string(timestamp)),
                   "timestamp", "must be Unix seconds"}});
  }
}

TEST_CASE("job members: attributes are an object of bounded names, values and count") {
  const auto attributes = [](std::string_view json) {
    return Line("identify", "\"id\":1,\"attributes\":" + std::string(json));
  };
  const auto many = [](std::size_t count) {
    std::string json = "{";
    for (std::size_t i = 0; i < count; ++i) json += (i > 0 ? ",\"a" : "\"a") + std::to_string(i) + "\":1";
    return json + "}";
  };
  CheckAccepted({attributes("{}"), attributes(many(300)), attributes("{\"" + std::string(150, 'k') + "\":1}"),
                 attributes(R"({"s":"x","n":1e400,"b":true,"z":null,"l":[1,"2"],"o":{"deep":[{}]}})")});
  CheckRefused({
      {attributes("[1]"), "attributes", "must be an object"},
      {attributes("1"), "attributes", "must be an object"},
      {attributes("\"x\""), "attributes", "must be an object"},
      {attributes(many(301)), "attributes", "has 301 attributes; at most 300 are allowed"},
      {attributes("{\"" + std::string(151, 'k') + "\":1}"), "attributes." + std::string(151, 'k'),
       "longer than 150 bytes"},
  });
  CheckRefused({{Line("track", R"("id":1,"name":"n","data":[1])"), "data", "must be an object"},
                {Line("pageview", R"("id":1,"url":"/","data":1)"), "data", "must be an object"}});
}

TEST_CASE("job members: a device has an id and a platform, and its own attributes inside") {
  const auto device = [](std::string_view json) {
    return Line("add_device", "\"id\":1,\"device\":" + std::string(json));
  };
  const Job job =
      Read(device(R"({"platform":"android","id":"t","last_used":1700000000,"attributes":{"v":1.50}})"));
  CHECK(job.Text(job.body) ==
        R"({"platform":"android","id":"t","last_used":1700000000,"attributes":{"v":1.50}})");
  CheckRefused({
      {device("[]"), "device", "must be an object"},
      {device("{}"), "device.id", "a device needs \"id\""},
      {device(R"({"id":"t"})"), "device.platform", "a device needs \"platform\""},
      {device(R"({"id":"t","platform":"web"})"), "device.platform", "must be \"ios\" or \"android\""},
      {device(R"({"id":"","platform":"ios"})"), "device.id", "must be a string of 1 to 1000 bytes"},
      {device(R"({"id":5,"platform":"ios"})"), "device.id", "must be a string"},
      {device(R"({"id":"t","platform":"ios","last_used":"5"})"), "device.last_used", "must be Unix seconds"},
      {device(R"({"id":"t","platform":"ios","attributes":[1]})"), "device.attributes", "must be an object"},
      {device(R"({"id":"t","platform":"ios","model":"x"})"), "device.model", "unknown member"},
  });
}

TEST_CASE("job members: merge keeps the order of both customers") {
  const Job job = Read(Line("merge", R"("secondary":{"cio_id":"a1"},"primary":{"email":"a@b.c"})"));
  CHECK(job.customer == "a@b.c");
  CHECK(job.more_customers == std::vector<std::string>{"cio_a1"});
  CHECK(job.Text(job.other->primary) == R"({"email":"a@b.c"})");
  CHECK(job.Text(job.other->secondary) == R"({"cio_id":"a1"})");
  CHECK(LanesOf(job).size() == 2);
  CHECK(Read(Line("merge", R"("primary":{"id":1},"secondary":{"id":2})")).more_customers ==
        std::vector<std::string>{"2"});
  CheckRefused({
      {Line("merge", R"("primary":{},"secondary":{"id":2})"), "primary", "must hold exactly one of"},
      {Line("merge", R"("primary":{"id":1,"email":"a@b.c"},"secondary":{"id":2})"), "primary",
       "must hold exactly one of"},
      {Line("merge", R"("primary":{"id":1},"secondary":{"phone":"2"})"), "secondary",
       "must hold exactly one of"},
      {Line("merge", R"("primary":"1","secondary":{"id":2})"), "primary", "must be an object"},
      {Line("merge", R"("primary":{"id":1},"secondary":{"id":""})"), "secondary.id", "must not be empty"},
      {Line("merge", R"("primary":{"id":1.5},"secondary":{"id":"1"})"), "primary.id",
       "must be a string or an integer"},
      {Line("merge", R"("id":"1","primary":{"id":1},"secondary":{"id":"1"})"), "id",
       "does not belong to merge"},
  });
}

TEST_CASE("job members: a form is in the lane of the person its data names") {
  CHECK(Read(Line("form", R"("form_id":"f","data":{"email":"a@b.c","x":"y"})")).customer == "a@b.c");
  CHECK(Read(Line("form", R"("form_id":12,"data":{"id":"7"})")).other->form_id == "12");
  CheckRefused({
      {Line("form", R"("form_id":"f","data":{})"), "data", "exactly one of \"id\" and \"email\""},
      {Line("form", R"("form_id":"f","data":{"id":"1","email":"a@b.c"})"), "data", "exactly one"},
      {Line("form", R"("form_id":"f","data":{"id":"1","age":5})"), "data.age", "must be a string"},
      {Line("form", R"("form_id":"f","data":{"id":1})"), "data.id", "must be a string"},
      {Line("form", R"("form_id":"f","data":{"id":""})"), "data.id", "must not be empty"},
  });
}

TEST_CASE("job members: a segment change is in the lane of each of its people") {
  const Job job = Read(Line("add_to_segment", R"("segment_id":"7","ids":["1",2,"2"],"id_type":"cio_id")"));
  CHECK(job.other->segment_id == "7");
  CHECK(job.other->id_type == "cio_id");
  CHECK(job.customer.empty());
  CHECK(job.more_customers == std::vector<std::string>{"cio_1", "cio_2", "cio_2"});
  CHECK(LanesOf(job).size() == 2);
  CHECK(job.Text(job.body) == R"(["1",2,"2"])");
  const auto ids = [](std::size_t count) {
    return Line("remove_from_segment", "\"segment_id\":1,\"ids\":[" + Repeat("1,", count - 1) + "1]");
  };
  CheckAccepted({ids(1), ids(1000)});
  CheckRefused({
      {ids(1001), "ids", "must hold 1 to 1000 ids"},
      {Line("add_to_segment", R"("segment_id":1,"ids":[])"), "ids", "must hold 1 to 1000 ids"},
      {Line("add_to_segment", R"("segment_id":1,"ids":"1")"), "ids", "must be an array"},
      {Line("add_to_segment", R"("segment_id":1,"ids":[1,null])"), "ids.1", "must be a string or an integer"},
      {Line("add_to_segment", R"("segment_id":1,"ids":[1],"id_type":"phone")"), "id_type", "must be \"id\""},
      {Line("add_to_segment", R"("segment_id":1,"ids":[1],"id_type":1)"), "id_type", "must be \"id\""},
  });
  for (const char* segment : {"\"x\"", "\"\"", "-1", "1.0", "1e3", "true", "[1]", "1234567890123456789"}) {
    CheckRefused({{Line("add_to_segment", "\"ids\":[1],\"segment_id\":" + std::string(segment)), "segment_id",
                   "must be a segment's number"}});
  }
}

TEST_CASE("job members: a metric is one that the Track API knows") {
  for (const char* metric :
       {"bounced", "clicked", "converted", "deferred", "delivered", "dropped", "opened", "spammed"}) {
    CHECK(Read(Line("metric", "\"delivery_id\":\"d\",\"metric\":\"" + std::string(metric) + "\""))
              .other->metric == metric);
  }
  const Job job = Read(Line(
      "metric",
      R"("delivery_id":"d","metric":"clicked","recipient":"r","reason":"why","href":"https://x","timestamp":1)"));
  CHECK(job.other->recipient == "r");
  CHECK(job.other->reason == "why");
  CHECK(job.other->href == "https://x");
  CHECK(job.Text(job.timestamp) == "1");
  CHECK(LanesOf(job).empty());
  CheckRefused({{Line("metric", R"("delivery_id":"d","metric":"sent")"), "metric", "must be one of bounced"},
                {Line("metric", R"("delivery_id":"d","metric":1)"), "metric", "must be one of bounced"}});
}

}  // namespace
}  // namespace outboxd
