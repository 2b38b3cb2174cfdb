#include "core/track_call.h"

#include <doctest/doctest.h>

#include <span>

#include "core/batch.h"
#include "core/job_line.h"
#include "core/track_route.h"

namespace outboxd {
namespace {

const Stamp kStamp{*Ulid::Parse("01JDB3T0C5W7X8Y9Z0ABCDEFGH"), FromUnixMs(1'732'000'000'000)};

TrackRoute Route(std::string_view method, std::string_view target) {
  const Result<TrackRoute> route = FindTrackRoute(method, target.substr(0, target.find('?')));
  REQUIRE(route.has_value());
  return *route;
}

// As the endpoint makes it. Its line must read back as the same job.
Result<Job> Take(std::string_view method, std::string_view target, std::string_view text) {
  ASSIGN_OR_RETURN(const TrackBody body, TrackBody::Read(text));
  ASSIGN_OR_RETURN(Job job, MakeTrackCallJob(Route(method, target), "default", method, target, body));
  const auto again = ParseJobLine(job.line);
  REQUIRE(again.has_value());
  CHECK(again->type == job.type);
  CHECK(again->connection == job.connection);
  CHECK(again->customer == job.customer);
  CHECK(again->more_customers == job.more_customers);
  CHECK(again->anonymous == job.anonymous);
  CHECK(again->Text(again->body) == text.substr(0, job.body.length));
  CHECK(BuildRequest(*again, kStamp).body == BuildRequest(job, kStamp).body);
  return job;
}

struct Sent {
  std::string_view method, target, body;
  JobType type;
  std::string_view customer;
  std::string_view leaves;  // the body that goes out
};

TEST_CASE(
    "track call: each request of the API becomes the job of its type, and leaves as it came but for its "
    "stamps") {
  constexpr std::string_view kId = R"("id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH")";
  const std::string stamps = std::string(kId) + R"(,"timestamp":1732000000,)";
  const std::string event = "{" + stamps + R"("name":"n","data":null})";
  const std::string page = "{" + stamps + R"("type":"page","name":"/p"})";
  const std::string empty_id =
      "{" + std::string(R"("timestamp":1732000000,"data":{},)") + std::string(kId) + R"(,"name":"n"})";
  const std::string entity =
      "{" + stamps + R"("type":"person","action":"page","name":"p","identifiers":{"cio_id":"x"}})";
  const std::vector<Sent> all = {
      {"PUT", "/api/v1/customers/a%20b%2F%C3%BC+@~", R"({"plan" : 1e400})", JobType::kIdentify, "a b/ü+@~",
       R"({"_timestamp":1732000000,"plan" : 1e400})"},
      {"PUT", "/api/v1/customers/1", "null", JobType::kIdentify, "1", "null"},
      {"PUT", "/api/v1/customers/1", "", JobType::kIdentify, "1", ""},
      {"PUT", "/api/v1/customers/1", "{}", JobType::kIdentify, "1", R"({"_timestamp":1732000000})"},
      {"PUT", "/api/v1/customers/1", " { }\n", JobType::kIdentify, "1", " {\"_timestamp\":1732000000 }\n"},
      {"PUT", "/api/v1/customers/1", R"({"_timestamp":5})", JobType::kIdentify, "1", R"({"_timestamp":5})"},
      {"DELETE", "/api/v1/customers/1", "{}", JobType::kDestroy, "1", "{}"},
      {"POST", "/api/v1/customers/1/suppress", "", JobType::kSuppress, "1", ""},
      {"POST", "/api/v1/customers/1/events", R"({"name":"n","data":null})", JobType::kTrack, "1", event},
      {"POST", "/api/v1/customers/1/events", R"({"type":"page","name":"/p"})", JobType::kPageview, "1", page},
      {"POST", "/api/v1/customers/1/events", R"({"data":{},"id":"","name":"n"})", JobType::kTrack, "1",
       empty_id},
      {"POST", "/api/v1/customers/1/events", R"({"id":"x","name":"n","timestamp":7})", JobType::kTrack, "1",
       R"({"id":"x","name":"n","timestamp":7})"},
      {"PUT", "/api/v1/customers/1/devices",
       R"({"device":{"last_used":"5","a":1,"id":"d","platform":"ios"}})", JobType::kAddDevice, "1",
       R"({"device":{"last_used":"5","a":1,"id":"d","platform":"ios"}})"},
      {"DELETE", "/api/v1/customers/1/devices/d%2F1", "", JobType::kDeleteDevice, "1", ""},
      {"POST", "/api/v1/merge_customers", R"({"primary":{"email":"a@b"},"secondary":{"cio_id":"9"}})",
       JobType::kMerge, "a@b", R"({"primary":{"email":"a@b"},"secondary":{"cio_id":"9"}})"},
      {"POST", "/api/v1/forms/f/submit", R"({"data":{"email":"a@b","x":1}})", JobType::kForm, "a@b",
       R"({"data":{"email":"a@b","x":1}})"},
      {"POST", "/api/v1/segments/7/add_customers?id_type=cio_id", R"({"ids":["1"]})", JobType::kAddToSegment,
       "", R"({"ids":["1"]})"},
      {"POST", "/api/v1/metrics", R"({"delivery_id":"d","metric":"opened"})", JobType::kMetric, "",
       R"({"delivery_id":"d","metric":"opened"})"},
      {"POST", "/push/events", R"({"delivery_id":"d","event":"opened"})", JobType::kMetric, "",
       R"({"delivery_id":"d","event":"opened"})"},
      {"POST", "/unsubscribe/abc", R"({"unsubscribe":true})", JobType::kRaw, "", R"({"unsubscribe":true})"},
      {"POST", "/api/v2/entity",
       R"({"type":"person","action":"page","name":"p","identifiers":{"cio_id":"x"}})", JobType::kPageview,
       "cio_x", entity},
      {"POST", "/api/v2/entity",
       R"({"type":"object","action":"delete","identifiers":{"object_type_id":"1","object_id":"acme"}})",
       JobType::kRaw, "object/1/acme",
       R"({"type":"object","action":"delete","identifiers":{"object_type_id":"1","object_id":"acme"}})"},
  };
  for (const Sent& sent : all) {
    CAPTURE(sent.target);
    CAPTURE(sent.body);
    const auto job = Take(sent.method, sent.target, sent.body);
    REQUIRE_MESSAGE(job.has_value(), job.error().message);
    CHECK(job->type == sent.type);
    CHECK(job->customer == sent.customer);
    const HttpRequest request = BuildRequest(*job, kStamp);
    CHECK(request.method == sent.method);
    CHECK(request.target == sent.target);
    CHECK(request.body == sent.leaves);
  }
}

TEST_CASE(
    "track call: a time that is not Unix seconds leaves as such, and only what is not a time is replaced") {
  struct Case {
    std::string_view given, leaves;
  };
  constexpr std::string_view kAccepted = "1732000000";
  for (const Case& one : {Case{"1700000000", "1700000000"},
                          {R"("1700000000")", R"("1700000000")"},
                          {"0", "0"},
                          {"253402300799", "253402300799"},
                          {"1700000000123", "1700000000"},
                          {R"("1700000000123")", "1700000000"},
                          {"1700000000.75", "1700000000"},
                          {R"("1700000000.75")", "1700000000"},
                          {"1700000000123.5", "1700000000"},
                          {R"("2023-11-14T22:13:20Z")", "1700000000"},
                          {R"("2023-11-14T23:13:20.9+01:00")", "1700000000"},
                          {"-5", "-5"},
                          {"1.7e9", "1.7e9"},
                          {R"("yesterday")", kAccepted},
                          {R"("1700000000s")", kAccepted},
                          {R"("0123456789012")", kAccepted},
                          {"17000000001234", kAccepted},
                          {"true", kAccepted},
                          {"[1700000000]", kAccepted},
                          {"{}", kAccepted},
                          {"null", kAccepted},
                          {R"("")", kAccepted}}) {
    CAPTURE(one.given);
    for (const std::string head :
         {R"({"name":"n","id":"x","timestamp":)", R"({"type":"page","id":"x","name":"n","timestamp" : )"}) {
      const auto job = Take("POST", "/api/v1/customers/1/events", head + std::string(one.given) + "}");
      REQUIRE(job.has_value());
      CHECK(BuildRequest(*job, kStamp).body == head + std::string(one.leaves) + "}");
    }
    const std::string identify = R"({"a":1,"_timestamp":)";
    const auto person = Take("PUT", "/api/v1/customers/1", identify + std::string(one.given) + "}");
    REQUIRE(person.has_value());
    CHECK(BuildRequest(*person, kStamp).body == identify + std::string(one.leaves) + "}");
    const std::string entity =
        R"({"type":"person","action":"event","identifiers":{"id":"1"},"id":"x","name":"n","timestamp":)";
    const auto event = Take("POST", "/api/v2/entity", entity + std::string(one.given) + "}");
    REQUIRE(event.has_value());
    CHECK(BuildRequest(*event, kStamp).body == entity + std::string(one.leaves) + "}");
  }
}

TEST_CASE("track call: a request whose path needs no credentials may leave without them, no other one") {
  const auto line = [](std::string_view type, std::string_view target, std::string_view credentials) {
    return R"({"type":")" + std::string(type) + R"(","request":{"method":"POST","target":")" +
           std::string(target) + R"(","credentials":)" + std::string(credentials) +
           R"(,"body":{"delivery_id":"d","metric":"opened","name":"n"}}})";
  };
  const auto body = TrackBody::Read(R"({"delivery_id":"d","metric":"opened"})");
  const auto made = MakeTrackCallJob(Route("POST", "/api/v1/metrics"), "default", "POST", "/api/v1/metrics",
                                     *body, CallCredentials::kNone);
  REQUIRE(made.has_value());
  const auto again = ParseJobLine(made->line);
  REQUIRE(again.has_value());
  CHECK(BuildRequest(*again, kStamp).without_credentials);
  CHECK(ParseJobLine(line("metric", "/api/v1/metrics", "false")).has_value());
  CHECK_FALSE(ParseJobLine(line("metric", "/api/v1/metrics", "true")).has_value());
  CHECK_FALSE(ParseJobLine(line("track", "/api/v1/customers/1/events", "false")).has_value());
  const auto ordinary = Take("POST", "/api/v1/metrics", R"({"delivery_id":"d","metric":"opened"})");
  CHECK_FALSE(BuildRequest(*ordinary, kStamp).without_credentials);
}

TEST_CASE("track call: an event without a person belongs to no lane, one with an anonymous_id to its own") {
  const auto invite = Take("POST", "/api/v1/events", R"({"name":"n","data":{"recipient":"a@b"}})");
  REQUIRE(invite.has_value());
  CHECK(LanesOf(*invite).empty());
  const auto anonymous = Take("POST", "/api/v1/events", R"({"name":"n","anonymous_id":"v"})");
  REQUIRE(anonymous.has_value());
  CHECK(anonymous->anonymous);
  CHECK(LanesOf(*anonymous).size() == 1);
}

TEST_CASE("track call: an anonymous_id that is a number names a lane as its text does") {
  const auto number = Take("POST", "/api/v1/events", R"({"name":"n","anonymous_id":7})");
  const auto text = Take("POST", "/api/v1/events", R"({"name":"n","anonymous_id":"7"})");
  REQUIRE((number && text));
  CHECK(number->anonymous);
  CHECK(number->customer == "7");
  CHECK(LanesOf(*number) == std::span<const LaneKey>(LanesOf(*text)));
  CHECK(LanesOf(*number).size() == 1);
  const auto too_long =
      Take("POST", "/api/v1/events", R"({"name":"n","anonymous_id":)" + std::string(151, '7') + "}");
  REQUIRE(too_long.has_value());
  CHECK(LanesOf(*too_long).empty());
}

TEST_CASE("track call: an identify that claims an anonymous person's events is in that lane too") {
  const LaneKey person = MakeLaneKey("default", "1");
  const LaneKey visitor = MakeLaneKey("default", "v");
  const LaneList both(std::vector<LaneKey>{person, visitor});
  const auto v1 = Take("PUT", "/api/v1/customers/1", R"({"plan":"pro","anonymous_id":"v"})");
  const auto v2 = Take("POST", "/api/v2/entity",
                       R"({"type":"person","action":"identify","identifiers":{"id":"1"},)"
                       R"("attributes":{"anonymous_id":"v"}})");
  const auto line = ParseJobLine(R"({"type":"identify","id":"1","attributes":{"anonymous_id":"v"}})");
  REQUIRE((v1 && v2 && line));
  for (const Job* job : {&*v1, &*v2, &*line}) {
    CHECK(job->customer == "1");
    CHECK(LanesOf(*job) == std::span<const LaneKey>(both));
    CHECK_FALSE(FitsBatch(*job));
  }
  const auto number = Take("PUT", "/api/v1/customers/1", R"({"anonymous_id":7})");
  REQUIRE(number.has_value());
  CHECK(number->more_customers == std::vector<std::string>{"7"});
  for (const char* nobody : {R"("")", "null", "[]", "true", R"("1")"}) {
    CAPTURE(nobody);
    const auto job = Take("PUT", "/api/v1/customers/1", R"({"anonymous_id":)" + std::string(nobody) + "}");
    REQUIRE(job.has_value());
    CHECK(LanesOf(*job).size() == 1);
  }
  CHECK(Take("PUT", "/api/v1/customers/1", R"({"anonymous_id":" .. "})").has_value());
}

TEST_CASE("track call: one person has one lane, whichever request and version names it") {
  const auto v1 = Take("PUT", "/api/v1/customers/cio_9", "{}");
  const auto v2 =
      Take("POST", "/api/v2/entity", R"({"type":"person","action":"delete","identifiers":{"cio_id":"9"}})");
  const auto line = ParseJobLine(R"({"type":"destroy","id":"cio_9"})");
  REQUIRE((v1 && v2 && line));
  CHECK(LanesOf(*v1).front() == LanesOf(*v2).front());
  CHECK(LanesOf(*v1).front() == LanesOf(*line).front());
}

TEST_CASE("track call: what the API would refuse is refused, and the member named") {
  const std::vector<std::array<std::string_view, 4>> bad = {{
      {"POST", "/api/v1/customers/1/events", "{}", "name"},
      {"POST", "/api/v1/customers/1/events", R"({"name":"n","data":[1]})", "data"},
      {"PUT", "/api/v1/customers/%FF", "{}", "id"},
      {"PUT", "/api/v1/customers/1", "[1]", ""},
      {"PUT", "/api/v1/customers/1/devices", R"({"device":{"id":"d"}})", "device.platform"},
      {"POST", "/api/v1/merge_customers", R"({"primary":{"id":"1","email":"a@b"},"secondary":{"id":"2"}})",
       "primary"},
      {"POST", "/api/v1/forms/f/submit", R"({"data":{}})", "data"},
      {"POST", "/api/v1/segments/7/add_customers", R"({"ids":[]})", "ids"},
      {"POST", "/api/v1/metrics", R"({"metric":"opened"})", "delivery_id"},
      {"POST", "/api/v2/entity", R"({"type":"person","action":"delete"})", "identifiers"},
      {"POST", "/api/v2/entity", R"({"type":"ghost","action":"delete"})", "type"},
  }};
  for (const auto& [method, target, body, field] : bad) {
    CAPTURE(target);
    CAPTURE(body);
    const auto job = Take(method, target, body);
    REQUIRE_FALSE(job.has_value());
    CHECK(job.error().field == field);
  }
}

TEST_CASE("track call: a member of the wrong type is told from one that is missing") {
  const std::vector<std::array<std::string_view, 4>> bad = {{
      {"/api/v1/customers/1/events", R"({"name":5})", "name", "must be a string, not a number"},
      {"/api/v1/customers/1/events", R"({"name":["n"]})", "name", "must be a string, not an array"},
      {"/api/v1/customers/1/events", R"({"name":null})", "name", "is required"},
      {"/api/v1/customers/1/events", R"({"name":"n","data":"x"})", "data", "must be an object, not a string"},
      {"/api/v1/metrics", R"({"delivery_id":{},"metric":"opened"})", "delivery_id",
       "must be a string, not an object"},
      {"/api/v1/push/events", R"({"delivery_id":"d","event":true})", "event",
       "must be a string, not true or false"},
      {"/api/v1/forms/f/submit", R"({"data":{"id":5}})", "data.id", "must be a string, not a number"},
      {"/api/v1/merge_customers", R"({"primary":{"id":["1"]},"secondary":{"id":"2"}})", "primary.id",
       "must be a string or a number, not an array"},
      {"/api/v2/entity", R"({"type":1,"action":"delete"})", "type", "must be a string, not a number"},
      {"/api/v2/entity", R"({"type":"person","action":false})", "action",
       "must be a string, not true or false"},
      {"/api/v2/entity", R"({"type":"person","action":"delete","identifiers":{"id":true}})", "identifiers.id",
       "must be a string or a number, not true or false"},
      {"/api/v2/entity", R"({"type":"object","action":"delete","identifiers":{"object_id":[]}})",
       "identifiers.object_id", "must be a string or a number, not an array"},
  }};
  for (const auto& [target, body, field, message] : bad) {
    CAPTURE(body);
    const auto job = Take("POST", target, body);
    REQUIRE_FALSE(job.has_value());
    CHECK(job.error().field == field);
    CHECK(job.error().message == message);
  }
  const auto device = Take("PUT", "/api/v1/customers/1/devices", R"({"device":{"id":7,"platform":"ios"}})");
  REQUIRE_FALSE(device.has_value());
  CHECK(device.error().message == "must be a string, not a number");
}

TEST_CASE("track call: PHP's empty array leaves as the empty object that it stands for") {
  struct Case {
    std::string_view method, target, given, leaves;
  };
  constexpr std::string_view kEvents = "/api/v1/customers/1/events";
  for (const Case& one :
       {Case{"POST", kEvents, R"({"data":[ ],"name":"n","id":"x","timestamp":7})",
             R"({"data":{},"name":"n","id":"x","timestamp":7})"},
        {"POST", kEvents, R"({"id":"","name":"n","data":[],"timestamp":7000000000000})",
         R"({"id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","name":"n","data":{},"timestamp":7000000000})"},
        {"PUT", "/api/v1/customers/1", "[]", R"({"_timestamp":1732000000})"},
        {"POST", "/api/v1/customers/1/suppress", " [ ] ", "{}"},
        {"DELETE", "/api/v1/customers/1", "[]", "{}"},
        {"PUT", "/api/v1/customers/1/devices",
         R"({"device":{"attributes":[],"id":"d","last_used":1700000000123,"platform":"ios"}})",
         R"({"device":{"attributes":{},"id":"d","last_used":1700000000,"platform":"ios"}})"},
        {"POST", "/api/v2/entity",
         R"({"type":"person","action":"identify","identifiers":{"id":"1"},"timestamp":7,"attributes":[]})",
         R"({"type":"person","action":"identify","identifiers":{"id":"1"},"timestamp":7,"attributes":{}})"},
        {"POST", "/api/v2/entity",
         R"({"type":"object","action":"identify","identifiers":{"object_id":"1"},"attributes":[]})",
         R"({"type":"object","action":"identify","identifiers":{"object_id":"1"},"attributes":{}})"}}) {
    CAPTURE(one.given);
    const auto job = Take(one.method, one.target, one.given);
    REQUIRE_MESSAGE(job.has_value(), job.error().message);
    CHECK(BuildRequest(*job, kStamp).body == one.leaves);
  }
}

TEST_CASE("track call: a device's last use leaves as Unix seconds, in both versions; what is no time stays") {
  struct Case {
    std::string_view given, leaves;
  };
  for (const Case& one : {Case{"1700000000", "1700000000"},
                          {R"("5")", R"("5")"},
                          {"1700000000123", "1700000000"},
                          {R"("1700000000123")", "1700000000"},
                          {"1700000000.75", "1700000000"},
                          {R"("2023-11-14T22:13:20Z")", "1700000000"},
                          {"null", "null"},
                          {R"("yesterday")", R"("yesterday")"}}) {
    CAPTURE(one.given);
    const auto with = [](std::string_view used) {
      return R"({"device":{"id":"d","token":"d","platform":"ios","last_used":)" + std::string(used) +
             R"(},"type":"person","action":"add_device","identifiers":{"id":"1"}})";
    };
    for (const auto& [method, target] :
         {std::pair("PUT", "/api/v1/customers/1/devices"), std::pair("POST", "/api/v2/entity")}) {
      const auto job = Take(method, target, with(one.given));
      REQUIRE(job.has_value());
      CHECK(BuildRequest(*job, kStamp).body == with(one.leaves));
    }
  }
}

TEST_CASE("track call: what is null among a person's identifiers is left out") {
  const auto merge =
      Take("POST", "/api/v1/merge_customers",
           R"({"primary":{"id":null , "email":"a@b","cio_id":null},"secondary":{ "id":"2" }})");
  REQUIRE_MESSAGE(merge.has_value(), merge.error().message);
  CHECK(merge->customer == "a@b");
  CHECK(BuildRequest(*merge, kStamp).body == R"({"primary":{ "email":"a@b"},"secondary":{ "id":"2" }})");
  const auto person = Take("POST", "/api/v2/entity",
                           R"({"type":"person","action":"delete","identifiers":{"id":"1","email":null}})");
  REQUIRE(person.has_value());
  CHECK(BuildRequest(*person, kStamp).body ==
        R"({"type":"person","action":"delete","identifiers":{"id":"1"}})");
}

TEST_CASE("track call: what is absent is told from what is wrong by the kind of the error") {
  const auto kind = [](std::string_view target, std::string_view body) {
    const auto job = Take("POST", target, body);
    REQUIRE_FALSE(job.has_value());
    return job.error().kind;
  };
  CHECK(kind("/api/v1/customers/1/events", "{}") == ErrorKind::kMissing);
  CHECK(kind("/api/v1/customers/1/events", R"({"name":"n","data":"x"})") == ErrorKind::kInvalid);
  CHECK(kind("/api/v1/merge_customers", R"({"primary":{"id":"1"}})") == ErrorKind::kMissing);
  CHECK(kind("/api/v1/merge_customers", R"({"primary":[]})") == ErrorKind::kInvalid);
  CHECK(kind("/api/v1/metrics", R"({"delivery_id":"d"})") == ErrorKind::kMissing);
  CHECK(kind("/api/v2/entity", R"({"action":"delete"})") == ErrorKind::kMissing);
  CHECK(kind("/api/v2/entity", R"({"type":"ghost","action":"delete"})") == ErrorKind::kInvalid);
  CHECK(kind("/api/v2/entity", R"({"type":"person","action":"delete"})") == ErrorKind::kMissing);
}

TEST_CASE(
    "track call: an entity's action that is not known goes on as it came, in its customer's lane if it has "
    "one") {
  struct Case {
    std::string_view body, customer;
  };
  for (
      const Case& one : {
          Case{R"({"type":"person","action":"viewed_content","identifiers":{"id":"7"},"content":{"id":1e2}})",
               "7"},
          {R"({"type":"person","action":"clicked_content","identifiers":{"cio_id":"9"},"timestamp":"soon"})",
           "cio_9"},
          {R"({"type":"person","action":"dance"})", ""},
          {R"({"type":"person","action":"dance","identifiers":{"shoe":1}})", ""},
          {R"({"type":"object","action":"event","name":"n","identifiers":{"object_type_id":"1","object_id":"acme"}})",
           "object/1/acme"},
          {R"({"type":"object","action":"dance"})", ""},
          {R"({"type":"delivery","action":"dance","identifiers":{"id":"d"}})", ""},
      }) {
    CAPTURE(one.body);
    const auto job = Take("POST", "/api/v2/entity", one.body);
    REQUIRE(job.has_value());
    CHECK(job->type == JobType::kRaw);
    CHECK(job->customer == one.customer);
    CHECK(BuildRequest(*job, kStamp).body == one.body);
    CHECK(ParseJobLine(job->line).has_value());
  }
}

TEST_CASE("track call: an entity may have 32,768 bytes, and its stamps make it no longer") {
  const auto event = [](std::size_t bytes) {
    const std::string start =
        R"({"type":"person","action":"event","identifiers":{"id":"7"},"name":"n","attributes":{"x":")";
    return start + std::string(bytes - start.size() - 3, 'x') + "\"}}";
  };
  CHECK_FALSE(Take("POST", "/api/v2/entity", event(32'769)).has_value());
  for (const std::size_t bytes : {32'768UL, 32'740UL, 32'700UL, 32'600UL}) {
    const auto job = Take("POST", "/api/v2/entity", event(bytes));
    REQUIRE(job.has_value());
    const std::string leaves = BuildRequest(*job, kStamp).body;
    CHECK(leaves.size() <= 32'768);
    CHECK(leaves.ends_with(event(bytes).substr(1)));
    CHECK((leaves.find(R"("id":"01JDB3)") != std::string::npos) == (bytes <= 32'700));
    CHECK((leaves.find(R"("timestamp":1732000000)") != std::string::npos) == (bytes <= 32'600));
  }
}

TEST_CASE("track call: a request without a body leaves with the content type that it came with, if any") {
  const auto types = [](std::string_view body, std::string_view content_type) {
    constexpr std::string_view kTarget = "/api/v1/customers/1/suppress";
    const auto made = MakeTrackCallJob(Route("POST", kTarget), "default", "POST", kTarget,
                                       *TrackBody::Read(body), CallCredentials::kOfConnection, content_type);
    REQUIRE(made.has_value());
    const auto again = ParseJobLine(made->line);
    REQUIRE(again.has_value());
    const HttpRequest request = BuildRequest(*again, kStamp);
    return request.headers.empty() ? "none"
                                   : request.headers.front().first + ": " + request.headers.front().second;
  };
  CHECK(types("", "application/x-www-form-urlencoded") == "Content-Type: application/x-www-form-urlencoded");
  CHECK(types("", "application/json") == "Content-Type: application/json");
  CHECK(types("", "") == "none");
  CHECK(types("{}", "text/plain") == "Content-Type: application/json");
  CHECK(types("", "a\r\nX: y") == "none");
  CHECK(types("", std::string(201, 'a')) == "none");
}

TEST_CASE("track call: data is measured as the API does, decoded") {
  const auto is_taken = [](const std::string& text, std::size_t times) {
    std::string data;
    for (std::size_t i = 0; i < times; ++i) data += text;
    return Take("POST", "/api/v1/customers/1/events", R"({"name":"n","data":{"x":")" + data + R"("}})")
        .has_value();
  };
  CHECK(is_taken("\\u00e9", 49'990));  // two bytes each
  CHECK_FALSE(is_taken("\\u00e9", 50'000));
  CHECK(is_taken("\\ud83d\\ude00", 24'990));  // four
  CHECK_FALSE(is_taken("\\ud83d\\ude00", 25'000));
  const std::string spaces(90'000, ' ');
  CHECK(Take("POST", "/api/v1/customers/1/events",
             R"({"name":"n","data":{)" + spaces + R"("x":)" + spaces + R"("y"}})")
            .has_value());
}

TEST_CASE("track call: a cio_id is as long as a path takes it with its prefix") {
  const std::string longest(146, 'a');
  for (const std::string& cio_id : {longest, longest + "a"}) {
    const bool fits = cio_id == longest;
    const std::string person = R"({"cio_id":")" + cio_id + "\"}";
    CHECK(Take("POST", "/api/v1/merge_customers", R"({"secondary":{"id":"1"},"primary":)" + person + "}")
              .has_value() == fits);
    CHECK(Take("POST", "/api/v1/segments/7/add_customers?id_type=cio_id", R"({"ids":[")" + cio_id + "\"]}")
              .has_value() == fits);
    CHECK(ParseJobLine(R"({"type":"merge","secondary":{"id":"1"},"primary":)" + person + "}").has_value() ==
          fits);
    CHECK(ParseJobLine(R"({"type":"add_to_segment","segment_id":7,"id_type":"cio_id","ids":[")" + cio_id +
                       "\"]}")
              .has_value() == fits);
  }
}

TEST_CASE("track call: what is too long is refused, and the member named; a delivery's event is a metric") {
  const std::string long_id(151, '1');
  CHECK(Take("PUT", "/api/v1/customers/" + long_id, "{}").error().field == "id");
  const std::string data = R"({"name":"n","data":{"x":")" + std::string(100'000, 'x') + R"("}})";
  CHECK(Take("POST", "/api/v1/customers/1/events", data).error().field == "data");
  const auto metric =
      Take("POST", "/api/v2/entity", R"({"type":"delivery","action":"event","identifiers":{"id":"d"}})");
  REQUIRE(metric.has_value());
  CHECK(metric->type == JobType::kMetric);
  const auto stranger = ParseJobLine(
      R"({"type":"destroy","request":{"method":"DELETE","target":"/api/v1/customers/1","headers":{}}})");
  CHECK(stranger.error().field == "request.headers");
}

TEST_CASE("track call: a line says the type that its request has, and nothing beside it") {
  const auto nameless = ParseJobLine(
      R"({"type":"track","request":{"method":"POST","target":"/api/v1/customers/1/events","body":{}}})");
  CHECK(nameless.error().field == "request.body.name");
  CHECK_FALSE(ParseJobLine(R"({"type":"track","request":{"method":"DELETE","target":"/api/v1/customers/1"}})")
                  .has_value());
  CHECK_FALSE(
      ParseJobLine(
          R"({"type":"destroy","id":"2","request":{"method":"DELETE","target":"/api/v1/customers/1"}})")
          .has_value());
  CHECK_FALSE(
      ParseJobLine(
          R"({"type":"destroy","request":{"method":"DELETE","target":"/api/v1/customers/1 HTTP/1.1"}})")
          .has_value());
  CHECK(
      ParseJobLine(
          R"({"type":"destroy","ref":"r","max_age":9,"request":{"method":"DELETE","target":"/api/v1/customers/1"}})")
          .has_value());
}

TEST_CASE("track call: entities ride in batches as they are, requests of the first version never") {
  auto entity = Take("POST", "/api/v2/entity",
                     R"({"type":"person","action":"event","name":"n","identifiers":{"email":"a@b"}})");
  REQUIRE(entity.has_value());
  CHECK(FitsBatch(*entity));
  std::vector<std::unique_ptr<QueuedJob>> jobs;
  jobs.push_back(std::make_unique<QueuedJob>());
  jobs.back()->stamp = kStamp;
  jobs.back()->job = std::move(*entity);
  CHECK(
      BuildBatchRequest(jobs).body ==
      R"({"batch":[{"id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","timestamp":1732000000,"type":"person","action":"event","name":"n","identifiers":{"email":"a@b"}}]})");
  const auto v1 = Take("PUT", "/api/v1/customers/1", "{}");
  REQUIRE(v1.has_value());
  CHECK_FALSE(FitsBatch(*v1));
}

}  // namespace
}  // namespace outboxd
