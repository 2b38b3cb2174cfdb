// What the simulated Track API accepts, refuses and how it says so: without sockets.

#include "tests/track_sim/rules.h"

#include <doctest/doctest.h>

#include "tests/track_sim/track_sim.h"

namespace outboxd::sim {
namespace {

constexpr std::string_view kUlid = "01JDB3T0C5W7X8Y9Z0ABCDEFGH";
const std::string kAuthorization = "Basic " + EncodeBase64("site:key");

struct Sample {
  std::string method, target, body;
  std::string authorization = kAuthorization;
  std::string content_type = "application/json";
};

// Status and body of the answer.
std::pair<int, std::string> Answer(TrackSim& sim, const Sample& sample) {
  SimRequest request;
  request.method = sample.method;
  request.target = sample.target;
  request.body = sample.body;
  request.headers.emplace_back("Authorization", sample.authorization);
  if (!sample.body.empty()) request.headers.emplace_back("Content-Type", sample.content_type);
  const std::string bytes = sim.React(request, 1'700'000'000'000).bytes;
  return {std::stoi(bytes.substr(9, 3)), bytes.substr(bytes.find("\r\n\r\n") + 4)};
}

int StatusOf(const Sample& sample) {
  TrackSim sim({"site", "key", "us"}, 1, Remember::kEverything);
  return Answer(sim, sample).first;
}

std::string BodyOf(const Sample& sample) {
  TrackSim sim({"site", "key", "us"}, 1, Remember::kEverything);
  return Answer(sim, sample).second;
}

std::string Report(TrackSim& sim) {
  return Answer(sim, {"GET", "/_sim/report", "", "", ""}).second;
}

std::string Event(std::string_view members) {
  return R"({"name":"purchase",)" + std::string(members) + "}";
}

TEST_CASE("track_sim: every v1 and v2 endpoint takes what its reference shows") {
  const std::vector<std::pair<Sample, int>> table = {
      {{"PUT", "/api/v1/customers/42", R"({"email":"a@example.com","_timestamp":1700000000,"_update":true})"},
       200},
      {{"PUT", "/api/v1/customers/42", ""}, 200},
      {{"PUT", "/api/v1/customers/42", "null"}, 200},
      {{"PUT", "/api/v1/customers/a%20b%2F%C3%BC", R"({"huge":1e400,"long":)" + std::string(400, '9') + "}"},
       200},
      {{"DELETE", "/api/v1/customers/42", ""}, 200},
      {{"DELETE", "/api/v1/customers/42", "{}"}, 200},
      {{"POST", "/api/v1/customers/42/suppress", ""}, 200},
      {{"POST", "/api/v1/customers/42/unsuppress", "{}"}, 200},
      {{"PUT", "/api/v1/customers/42/devices",
        R"({"device":{"id":"t","platform":"ios","last_used":1700000000}})"},
       200},
      {{"DELETE", "/api/v1/customers/42/devices/t", ""}, 200},
      {{"POST", "/api/v1/customers/42/events",
        Event(R"("id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","timestamp":1700000000,"data":{"n":1})")},
       200},
      {{"POST", "/api/v1/customers/42/events",
        R"({"type":"page","name":")" + std::string(100, 'x') + R"(","data":null})"},
       200},
      {{"POST", "/api/v1/customers/42/events",
        R"({"type":"page","name":")" + std::string(101, 'x') + R"(","data":null})"},
       400},
      {{"POST", "/api/v1/customers/42/events", R"({"type":"screen","name":" "})"}, 400},
      {{"POST", "/api/v1/events", Event(R"("anonymous_id":"visitor")")}, 200},
      {{"POST", "/api/v1/events", Event(R"("data":{"recipient":"a@example.com"})")}, 200},
      {{"POST", "/api/v1/events", Event(R"("data":{"recipient":7})")}, 400},
      {{"POST", "/api/v1/events", Event(R"("data":{"n":1})")}, 200},
      {{"POST", "/api/v1/merge_customers", R"({"primary":{"id":"1"},"secondary":{"email":"a@example.com"}})"},
       200},
      {{"POST", "/api/v1/forms/signup/submit", R"({"data":{"email":"a@example.com","size":"7"}})"}, 204},
      {{"POST", "/api/v1/segments/7/add_customers?id_type=email", R"({"ids":["a@example.com"]})"}, 200},
      {{"POST", "/api/v1/segments/7/remove_customers", R"({"ids":["1","2"]})"}, 200},
      {{"POST", "/api/v1/metrics", R"({"delivery_id":"d","metric":"opened","timestamp":1})", ""}, 200},
      {{"POST", "/api/v1/push/events", R"({"delivery_id":"d","event":"opened","device_id":"t"})", ""}, 200},
      {{"POST", "/push/events", R"({"delivery_id":"d","event":"opened","device_id":"t"})", ""}, 200},
      {{"POST", "/unsubscribe/d", R"({"unsubscribe":true})", ""}, 200},
      {{"GET", "/api/v1/accounts/region", ""}, 200},
      {{"POST", "/api/v2/entity",
        R"({"type":"person","action":"identify","identifiers":{"id":"42"},"attributes":{"plan":"pro"}})"},
       200},
      {{"POST", "/api/v2/entity", R"({"type":"person","action":"viewed_content","identifiers":{"id":"42"}})"},
       200},
      {{"POST", "/api/v2/entity", R"({"type":"person","action":"read_content","identifiers":{"id":"42"}})"},
       400},
      {{"POST", "/api/v2/entity",
        R"({"type":"object","action":"identify","identifiers":{"object_type_id":"1","object_id":"2"}})"},
       200},
      {{"POST", "/api/v2/batch",
        R"({"batch":[{"type":"person","action":"event","identifiers":{"id":"42"},"name":"x"}]})"},
       200},
  };
  for (const auto& [sample, status] : table) {
    CAPTURE(sample.method + " " + sample.target + " " + sample.body.substr(0, 200));
    CHECK(StatusOf(sample) == status);
  }
}

TEST_CASE("track_sim: what breaks a rule is refused with the status the rule asks for") {
  const std::string_view events = "/api/v1/customers/42/events";
  const auto event = [events](std::string body) {
    return Sample{"POST", std::string(events), std::move(body)};
  };
  const std::vector<std::pair<Sample, int>> table = {
      {{"GET", "/", ""}, 404},
      {{"PUT", "/api/v1/customers/42/", "{}"}, 404},
      {{"PUT", "/api/v1/customers/a/b", "{}"}, 404},
      {{"PUT", "/api/v3/customers/42", "{}"}, 404},
      {{"PATCH", "/api/v1/customers/42", "{}"}, 405},
      {{"GET", "/api/v2/batch", ""}, 405},
      {{"PUT", "/api/v1/customers/" + std::string(151, 'x'), "{}"}, 400},
      {{"PUT", "/api/v1/customers/", "{}"}, 400},
      {{"PUT", "/api/v1/customers/%zz", "{}"}, 400},
      {{"PUT", "/api/v1/customers/%ff", "{}"}, 400},
      {{"PUT", "/api/v1/customers/42", "[]"}, 400},
      {{"PUT", "/api/v1/customers/42", "{\"a\":01}"}, 400},
      {{"PUT", "/api/v1/customers/42", "{\"a\":1e400,\"b\":01}"}, 400},
      {{"PUT", "/api/v1/customers/42", "{\"a\":\"\xff\"}"}, 400},
      {{"PUT", "/api/v1/customers/42", "{}", kAuthorization, "text/plain"}, 400},
      {{"PUT", "/api/v1/customers/42", R"({"_timestamp":"1700000000"})"}, 400},
      {{"PUT", "/api/v1/customers/42", R"({"_timestamp":1,"_timestamp":2})"}, 400},
      {{"PUT", "/api/v1/customers/42", R"({"a":")" + std::string(1001, 'x') + "\"}"}, 400},
      {{"PUT", "/api/v1/customers/42", R"({")" + std::string(151, 'x') + "\":1}"}, 400},
      {{"PUT", "/api/v1/customers/42/devices", R"({"device":{"id":"t","platform":"windows"}})"}, 400},
      {event(""), 400},
      {event("null"), 400},
      {event(R"({"data":{}})"), 400},
      {event(R"({"name":"","data":{}})"), 400},
      {event(R"({"name":")" + std::string(101, 'x') + "\"}"), 400},
      {event(Event(R"("id":"42")")), 400},
      {event(Event(R"("id":"81JDB3T0C5W7X8Y9Z0ABCDEFGH")")), 400},
      {event(Event(R"("id":"01JDB3T0C5W7X8Y9Z0ABCDEFGU")")), 400},
      {event(Event(R"("id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH")")), 400},
      {event(Event(R"("timestamp":"2026-01-01T00:00:00Z")")), 400},
      {event(Event(R"("type":"visit")")), 400},
      {event(Event(R"("data":[])")), 400},
      {event(Event(R"("data":{"a":")" + std::string(99'993, 'x') + "\"}")), 400},
      {{"POST", "/api/v1/events", Event(R"("data":{"recipient":""})")}, 400},
      {{"POST", "/api/v1/merge_customers", R"({"primary":{"id":"1","email":"a"},"secondary":{"id":"2"}})"},
       400},
      {{"POST", "/api/v1/forms/signup/submit", R"({"data":{"email":"a@example.com","size":7}})"}, 400},
      {{"POST", "/api/v1/forms/signup/submit", R"({"data":{"email":"a@example.com","id":"7"}})"}, 400},
      {{"POST", "/api/v1/segments/seven/add_customers", R"({"ids":["1"]})"}, 400},
      {{"POST", "/api/v1/segments/7/add_customers?id_type=name", R"({"ids":["1"]})"}, 400},
      {{"POST", "/api/v1/segments/7/add_customers", R"({"ids":[]})"}, 400},
      {{"POST", "/api/v1/metrics", R"({"delivery_id":"d","metric":"liked"})"}, 400},
      {{"POST", "/api/v2/entity",
        R"({"type":"person","action":"identify","identifiers":{"id":"1","email":"a"}})"},
       400},
      {{"POST", "/api/v2/batch", R"({"batch":[]})"}, 400},
      {{"POST", "/api/v2/batch", R"({"batch":[)" + std::string(500'000, ' ') + "]}"}, 413},
  };
  for (const auto& [sample, status] : table) {
    CAPTURE(sample.method + " " + sample.target + " " + sample.body.substr(0, 200));
    CHECK(StatusOf(sample) == status);
  }
}

TEST_CASE("track_sim: data of exactly 100,000 bytes and an id of exactly 150 bytes are taken") {
  const std::string data = R"({"a":")" + std::string(99'992, 'x') + "\"}";
  REQUIRE(data.size() == 100'000);
  CHECK(StatusOf({"POST", "/api/v1/customers/" + std::string(150, 'x') + "/events",
                  Event("\"data\":" + data)}) == 200);
}

TEST_CASE("track_sim: a thousand segment ids are taken, one more is refused") {
  std::string ids = "\"0\"";
  for (int i = 1; i < 1000; ++i) ids += ",\"" + std::to_string(i) + "\"";
  CHECK(StatusOf({"POST", "/api/v1/segments/7/add_customers", R"({"ids":[)" + ids + "]}"}) == 200);
  CHECK(StatusOf({"POST", "/api/v1/segments/7/add_customers", R"({"ids":[)" + ids + ",\"x\"]}"}) == 400);
}

TEST_CASE(
    "track_sim: credentials count in both base64 alphabets, and wrong ones are 401 before anything else") {
  TrackSim sim({"si>te", "k?y~~~", "us"}, 1, Remember::kEverything);
  std::string standard = EncodeBase64("si>te:k?y~~~");
  REQUIRE(standard.find_first_of("+/") != std::string::npos);
  std::string url_safe = standard;
  for (char& character : url_safe) character = character == '+' ? '-' : character == '/' ? '_' : character;
  CHECK(Answer(sim, {"GET", "/api/v1/accounts/region", "", "Basic " + standard}).first == 200);
  CHECK(Answer(sim, {"GET", "/api/v1/accounts/region", "", "basic " + url_safe}).first == 200);
  CHECK(Answer(sim, {"GET", "/api/v1/accounts/region", "", "Bearer " + standard}).first == 401);
  CHECK(Answer(sim, {"GET", "/api/v1/accounts/region", "", ""}).first == 401);
  CHECK(Answer(sim, {"PUT", "/api/v1/customers/42", "not json", kAuthorization}).first == 401);
  CHECK(Answer(sim, {"POST", "/_sim/credentials", R"({"site_id":"site","api_key":"key"})", ""}).first == 200);
  CHECK(Answer(sim, {"GET", "/api/v1/accounts/region", "", kAuthorization}).first == 200);
  CHECK(Answer(sim, {"GET", "/api/v1/accounts/region", "", "Basic " + standard}).first == 401);
}

TEST_CASE("track_sim: errors come in the shape of their API version") {
  CHECK(BodyOf({"POST", "/api/v1/customers/42/events", "{}"}) ==
        "{\"meta\":{\"error\":\"name is required\"}}\n");
  CHECK(BodyOf({"POST", "/api/v2/entity", "{}"}) ==
        "{\"errors\":[{\"reason\":\"required\",\"field\":\"type\",\"message\":\"type is required\"}]}\n");
  CHECK(BodyOf({"PUT", "/api/v1/customers/42", "{}"}) == "{}\n");
  CHECK(BodyOf({"GET", "/api/v1/accounts/region", ""}) ==
        R"({"url":"https://track.customer.io","region":"us","environment_id":3})"
        "\n");
}

TEST_CASE("track_sim: a batch with a bad item is 207, names its index and takes the others") {
  TrackSim sim({"site", "key", "us"}, 1, Remember::kEverything);
  const std::string good = R"({"type":"person","action":"event","identifiers":{"id":"42"},"name":"x"})";
  const std::string bad = R"({"type":"person","action":"event","identifiers":{"id":"42"}})";
  const std::string large =
      R"({"type":"person","action":"event","identifiers":{"id":"42"},"name":"x","attributes":{"a":")" +
      std::string(32'768, 'x') + "\"}}";
  const auto [status, body] = Answer(
      sim, {"POST", "/api/v2/batch", R"({"batch":[)" + good + "," + bad + "," + good + "," + large + "]}"});
  CHECK(status == 207);
  CHECK(body.find(R"("batch_index":1,"reason":"required","field":"name")") != std::string::npos);
  CHECK(body.find(R"("batch_index":3,"reason":"too_large")") != std::string::npos);
  CHECK(Report(sim).find(R"("effects":2,)") != std::string::npos);
}

TEST_CASE("track_sim: the script can refuse items of a good batch") {
  TrackSim sim({"site", "key", "us"}, 1, Remember::kEverything);
  REQUIRE(Answer(sim, {"POST", "/_sim/script",
                       R"({"rules":[{"match":{"count":1},"action":{"batch_errors":[0,2]}}]})", ""})
              .first == 200);
  const std::string item = R"({"type":"person","action":"identify","identifiers":{"id":"42"}})";
  const Sample batch{"POST", "/api/v2/batch", R"({"batch":[)" + item + "," + item + "," + item + "]}"};
  const auto [status, body] = Answer(sim, batch);
  CHECK(status == 207);
  CHECK(body.find("\"batch_index\":0") < body.find("\"batch_index\":2"));
  CHECK(body.find("\"batch_index\":1") == std::string::npos);
  CHECK(Report(sim).find(R"("effects":1,)") != std::string::npos);
  CHECK(Answer(sim, batch).first == 200);
}

TEST_CASE("track_sim: a script with a misspelt member is refused and changes nothing") {
  TrackSim sim({"site", "key", "us"}, 1, Remember::kEverything);
  CHECK(Answer(sim, {"POST", "/_sim/script", R"({"rules":[{"action":{"status":503}}]})", ""}).first == 200);
  CHECK(Answer(sim, {"POST", "/_sim/script", R"({"rules":[{"action":{"statos":500}}]})", ""}).first == 400);
  CHECK(Answer(sim, {"POST", "/_sim/script", R"({"rules":[{"match":{"custommer":"1"},"action":{}}]})", ""})
            .first == 400);
  CHECK(Answer(sim, {"PUT", "/api/v1/customers/42", "{}"}).first == 503);
}

TEST_CASE(
    "track_sim: a repeated ULID takes effect once, in either case; the same event under another ULID is "
    "doubled") {
  TrackSim sim({"site", "key", "us"}, 1, Remember::kEverything);
  const auto send = [&sim](std::string_view id) {
    const std::string body = Event(R"("id":")" + std::string(id) + R"(","data":{"n":5})");
    return Answer(sim, {"POST", "/api/v1/customers/42/events", body}).first;
  };
  CHECK(send(kUlid) == 200);
  CHECK(send(kUlid) == 200);
  CHECK(send("01jdb3t0c5w7x8y9z0abcdefgh") == 200);
  std::string report = Report(sim);
  CHECK(report.find(R"("effects":1,"customers":1,"repeated_ulids":2,"doubled":0,)") != std::string::npos);
  CHECK(report.find(R"("order_violations":0)") != std::string::npos);
  CHECK(send("01JDB3T0C5W7X8Y9Z0ABCDEFGJ") == 200);
  report = Report(sim);
  CHECK(report.find(R"("effects":2,"customers":1,"repeated_ulids":2,"doubled":1,)") != std::string::npos);
}

TEST_CASE(
    "track_sim: an effect whose number is not above the earlier ones of its customer violates the order; a "
    "repeated identify does not") {
  TrackSim sim({"site", "key", "us"}, 1, Remember::kEverything);
  const auto identify = [&sim](std::string_view customer, int n) {
    Answer(sim, {"PUT", "/api/v1/customers/" + std::string(customer), "{\"n\":" + std::to_string(n) + "}"});
  };
  const auto track = [&sim](std::string_view customer, int n) {
    Answer(sim, {"POST", "/api/v1/customers/" + std::string(customer) + "/events",
                 Event("\"data\":{\"n\":" + std::to_string(n) + "}")});
  };
  identify("42", 1);
  identify("42", 1);
  track("42", 2);
  track("7", 1);
  track("42", 10);
  CHECK(Report(sim).find(R"("order_violations":0)") != std::string::npos);
  track("42", 9);
  CHECK(Report(sim).find(R"("order_violations":1)") != std::string::npos);
  identify("42", 8);
  CHECK(Report(sim).find(R"("order_violations":2)") != std::string::npos);
}

TEST_CASE("track_sim: counting only, it remembers no effect") {
  TrackSim sim({"site", "key", "us"}, 1, Remember::kCountsOnly);
  for (int i = 0; i < 3; ++i)
    Answer(sim, {"POST", "/api/v1/customers/42/events", Event(R"("id":")" + std::string(kUlid) + "\"")});
  CHECK(Report(sim).find(R"("effects":3,"customers":1,)") != std::string::npos);
  CHECK(Answer(sim, {"GET", "/_sim/effects", "", ""}).second.empty());
  CHECK(Answer(sim, {"GET", "/_sim/requests", "", ""}).second == "{\"requests\":[]}\n");
}

TEST_CASE("track_sim: a request head that could be read in two ways is refused") {
  const std::vector<std::pair<std::string, ReadState>> table = {
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ReadState::kComplete},
      {"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", ReadState::kComplete},
      {"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{", ReadState::kNeedMore},
      {"PUT /x HTTP/1.1\r\nHost: a\r\n", ReadState::kNeedMore},
      {"GET / HTTP/1.1\r\n\r\n", ReadState::kBad},
      {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", ReadState::kBad},
      {"GET x HTTP/1.1\r\nHost: a\r\n\r\n", ReadState::kBad},
      {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", ReadState::kBad},
      {"GET /\xc3\xbc HTTP/1.1\r\nHost: a\r\n\r\n", ReadState::kBad},
      {"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", ReadState::kBad},
      {"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", ReadState::kBad},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a\nb\r\n\r\n", ReadState::kBad},
      {"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", ReadState::kBad},
      {"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}", ReadState::kBad},
      {"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ReadState::kBad},
      {std::string(20'000, 'x'), ReadState::kBad},
  };
  for (const auto& [bytes, state] : table) {
    CAPTURE(bytes.substr(0, 200));
    SimRequest request;
    CHECK(ReadRequest(bytes, request).state == state);
  }
}

TEST_CASE("track_sim: base64 reads back what it wrote") {
  for (const std::string text : {"", "a", "ab", "abc", "abcd", "\xff\xfe\xfd"})
    CHECK(DecodeBase64(EncodeBase64(text)) == text);
  CHECK(EncodeBase64("light w") == "bGlnaHQgdw==");
  CHECK(DecodeBase64("bGlnaHQgdw") == "light w");
  CHECK_FALSE(DecodeBase64("bGln!"));
  CHECK_FALSE(DecodeBase64("b"));
}

}  // namespace
}  // namespace outboxd::sim
