#include "core/batch.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/limits.h"
#include "tests/core/job_lines.h"

namespace outboxd {
namespace {

using testing::Read;
using testing::Repeat;

constexpr Timestamp kAccepted = FromUnixMs(1'700'000'000'123);

std::unique_ptr<QueuedJob> Queue(const std::string& line, std::uint64_t sequence = 1) {
  auto queued = std::make_unique<QueuedJob>();
  queued->sequence = Sequence{sequence};
  queued->stamp = {Ulid::Make(kAccepted, queued->sequence, 7), kAccepted};
  queued->job = Read(line);
  return queued;
}

// What stands between the brackets of the batch.
std::string ItemOf(const std::string& line) {
  std::vector<std::unique_ptr<QueuedJob>> jobs;
  jobs.push_back(Queue(line));
  CAPTURE(line);
  CHECK(FitsBatch(jobs[0]->job));
  const HttpRequest request = BuildBatchRequest(jobs);
  CHECK(request.method == "POST");
  CHECK(request.target == "/api/v2/batch");
  REQUIRE(request.body.starts_with("{\"batch\":["));
  REQUIRE(request.body.ends_with("]}"));
  return request.body.substr(10, request.body.size() - 12);
}

TEST_CASE("batch: each type that fits has the v2 form of its v1 request") {
  const std::string id = Ulid::Make(kAccepted, Sequence{1}, 7).ToText();
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"type":"identify","id":"42","attributes":{"b":1e400,"a":-0, "_update":true}})",
       R"({"type":"person","identifiers":{"id":"42"},"action":"identify","timestamp":1700000000,"attributes":{"b":1e400,"a":-0, "_update":true}})"},
      {R"({"type":"identify","id":42})",
       R"({"type":"person","identifiers":{"id":"42"},"action":"identify","timestamp":1700000000,"attributes":{}})"},
      {R"({"type":"identify","id":"42","timestamp":1600000000,"attributes":{}})",
       R"({"type":"person","identifiers":{"id":"42"},"action":"identify","timestamp":1600000000,"attributes":{}})"},
      {R"({"type":"track","id":"42","name":"purchase","data":{"price":23.450, "big":12345678901234567890}})",
       R"({"type":"person","identifiers":{"id":"42"},"action":"event","name":"purchase","id":")" + id +
           R"(","timestamp":1700000000,"attributes":{"price":23.450, "big":12345678901234567890}})"},
      {R"({"type":"track","id":"a\"b\u0001","name":"x\\y","event_id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","timestamp":"2026-01-31T09:30:00Z"})",
       R"({"type":"person","identifiers":{"id":"a\"b\u0001"},"action":"event","name":"x\\y","id":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","timestamp":1769851800})"},
      {R"({"type":"pageview","id":"42","url":"https://www.example.com/pricing","data":{"r":"x"}})",
       R"({"type":"person","identifiers":{"id":"42"},"action":"page","name":"https://www.example.com/pricing","id":")" +
           id + R"(","timestamp":1700000000,"attributes":{"r":"x"}})"},
      {R"({"type":"destroy","id":"42"})", R"({"type":"person","identifiers":{"id":"42"},"action":"delete"})"},
      {R"({"type":"suppress","id":"42"})",
       R"({"type":"person","identifiers":{"id":"42"},"action":"suppress"})"},
      {R"({"type":"unsuppress","id":"42"})",
       R"({"type":"person","identifiers":{"id":"42"},"action":"unsuppress"})"},
      {R"({"type":"add_device","id":"42","device":{"id":"tok\"en","platform":"ios","last_used":1.50,"attributes":{"z":1,"a":2}}})",
       R"({"type":"person","identifiers":{"id":"42"},"action":"add_device","device":{"token":"tok\"en","platform":"ios","last_used":1,"attributes":{"z":1,"a":2}}})"},
      {R"({"type":"delete_device","id":"42","device_id":"tok"})",
       R"({"type":"person","identifiers":{"id":"42"},"action":"delete_device","device":{"token":"tok"}})"},
  };
  for (const auto& [line, item] : cases) CHECK(ItemOf(line) == item);
}

TEST_CASE("batch: what v2 would lose, guess or refuse does not fit") {
  const std::vector<std::string> lines = {
      R"({"type":"track","anonymous_id":"a1","name":"x"})",
      R"({"type":"pageview","anonymous_id":"a1","url":"x"})",
      R"({"type":"track","id":"ann@example.com","name":"x"})",
      R"({"type":"identify","id":"cio_03000001"})",
      R"({"type":"destroy","id":"cio_03000001"})",
      R"({"type":"identify","id":"1","attributes":{"_timestamp":1}})",
      R"({"type":"identify","id":"1","attributes":{"_timest\u0061mp":1}})",
      R"({"type":"identify","id":"1","attributes":{"cio_relationships":{"action":"add_relationships","relationships":[]}}})",
      R"({"type":"identify","id":"1","attributes":{"anonymous_id":"a1"}})",
      R"({"type":"track","id":"1","name":"x","region":"eu"})",
      R"({"type":"raw","method":"GET","path":"/v1/accounts/region"})",
      R"({"type":"merge","primary":{"id":"1"},"secondary":{"id":"2"}})",
      R"({"type":"form","form_id":"f","data":{"id":"1"}})",
      R"({"type":"add_to_segment","segment_id":1,"ids":["1"]})",
      R"({"type":"remove_from_segment","segment_id":1,"ids":["1"]})",
      R"({"type":"metric","delivery_id":"d","metric":"opened"})",
      R"({"type":"track","id":"1","name":"x","data":{"x":")" + Repeat("y", 32'000) + "\"}}",
  };
  for (const std::string& line : lines) {
    CAPTURE(line.substr(0, 200));
    CHECK_FALSE(FitsBatch(Read(line)));
  }
}

TEST_CASE("batch: items follow one another in the order of the jobs") {
  std::vector<std::unique_ptr<QueuedJob>> jobs;
  for (std::uint64_t i = 1; i <= 3; ++i)
    jobs.push_back(Queue(R"({"type":"destroy","id":)" + std::to_string(i) + "}", i));
  const Result<JsonValue> body = JsonValue::Parse(BuildBatchRequest(jobs).body);
  REQUIRE(body);
  const std::vector<JsonValue> items = (*body)["batch"].Items();
  REQUIRE(items.size() == 3);
  for (std::size_t i = 0; i < items.size(); ++i)
    CHECK(items[i]["identifiers"]["id"].String() == std::to_string(i + 1));
}

TEST_CASE("batch: no item is larger than was reckoned with") {
  std::mt19937_64 random(20261125);
  const std::vector<std::string> texts = {"a",    "\\u0001", "\\b",  "\\u00e9",        "é", "\\/",
                                          "\\\"", "\\\\",    "\x7f", "\\ud83d\\ude00", "<"};
  const auto text = [&](std::size_t length_max) {
    std::string made = "x";
    for (std::size_t left = random() % length_max; left > 0; --left) made += texts[random() % texts.size()];
    return made;
  };
  for (int round = 0; round < 2000; ++round) {
    const std::string name = text(20);
    const std::vector<std::string> lines = {
        R"({"type":"identify","id":")" + name + R"("})",
        R"({"type":"identify","id":7,"attributes":{"a":")" + text(30) + R"("}})",
        R"({"type":"track","id":")" + name + R"(","name":")" + text(9) + R"("})",
        R"({"type":"track","id":7,"name":"x","timestamp":253402300799})",
        R"({"type":"pageview","id":")" + name + R"(","url":")" + text(40) + R"(","data":{"k":")" + text(9) +
            R"("}})",
        R"({"type":"unsuppress","id":")" + name + R"("})",
        R"({"type":"add_device","id":1,"device":{"id":")" + text(9) + R"(","platform":"android"}})",
        R"({"type":"delete_device","id":1,"device_id":")" + text(9) + R"("})",
    };
    const std::string& line = lines[random() % lines.size()];
    CHECK(ItemOf(line).size() < BatchItemBytesMax(Read(line)));
  }
}

TEST_CASE("batch: whatever changes who the customer is, is a fence") {
  for (const char* type : {"destroy", "suppress", "unsuppress"})
    CHECK(IsFence(Read(std::string(R"({"type":")") + type + R"(","id":"1"})")));
  CHECK(IsFence(Read(R"({"type":"merge","primary":{"id":"1"},"secondary":{"id":"2"}})")));
  CHECK_FALSE(IsFence(Read(R"({"type":"identify","id":"1"})")));
  CHECK_FALSE(IsFence(Read(R"({"type":"track","id":"1","name":"x"})")));
}

}  // namespace
}  // namespace outboxd
