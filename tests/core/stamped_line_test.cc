#include "core/stamped_line.h"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <string_view>

#include "core/member_values.h"
#include "core/request.h"
#include "tests/core/job_lines.h"

namespace outboxd {
namespace {

using testing::Read;

constexpr std::string_view kId = "01JDB3T0C5W7X8Y9Z0ABCDEFGH";
const Stamp kStamp{*Ulid::Parse(kId), FromUnixMs(1'732'000'000'123)};
const Stamp kLater{*Ulid::Parse("01JDC3T0C5W7X8Y9Z0ABCDEFGJ"), FromUnixMs(1'732'999'999'000)};

std::string Request(std::string_view type, std::string_view target, std::string_view body) {
  return R"({"type":")" + std::string(type) + R"(","request":{"method":")" +
         (type == "identify" ? "PUT" : "POST") + R"(","target":")" + std::string(target) + "\"" +
         (body.empty() ? "" : ",\"body\":" + std::string(body)) + "}}";
}

// A body's members in the order of their names.
std::map<std::string, std::string> Sorted(const std::string& body) {
  std::map<std::string, std::string> sorted;
  for (const Member& member : members::Inside(body))
    sorted[member.key] = body.substr(member.raw.offset, member.raw.length);
  return sorted;
}

TEST_CASE(
    "stamped line: handed in anew a job's line means the same, with the event's id and the job's time") {
  const std::string events = "/api/v1/customers/1/events";
  for (const std::string& line :
       {std::string(R"({"type":"track","id":"1","name":"n","data":{"a":1.50}})"),
        std::string(R"({ "type":"track","id":"1","name":"n","event_id":null})"),
        std::string(R"({"type":"track","id":"1","name":"n","event_id":"01JDAZZZZZZZZZZZZZZZZZZZZZ"})"),
        std::string(R"({"type":"pageview","anonymous_id":"1","url":"/","timestamp":1700000000.5})"),
        std::string(R"({"type":"identify","id":"1","attributes":{"a":1}})"),
        std::string(R"({"type":"identify","id":"1","attributes":{"_timestamp":5}})"),
        std::string(R"({"type":"metric","delivery_id":"d","metric":"opened"})"),
        std::string(R"({"type":"destroy","id":"1","ref":"r"})"),
        std::string(R"({"type":"raw","method":"POST","path":"/v1/x","body":{"n":1}})"),
        Request("track", events, R"({"name":"n"})"),
        Request("track", events, R"({"id":"","timestamp":"","name":"n","data":[]})"),
        Request("track", events, R"({"id":"x","timestamp":7,"name":"n"})"),
        Request("identify", "/api/v1/customers/1", ""), Request("identify", "/api/v1/customers/1", "null"),
        Request("merge", "/api/v1/merge_customers", R"({"primary":{"id":"1"},"secondary":{"id":"2"}})")}) {
    CAPTURE(line);
    const Job job = Read(line);
    const Job again = Read(LineWithStamps(job, kStamp));
    const HttpRequest first = BuildRequest(job, kStamp);
    const HttpRequest second = BuildRequest(again, kLater);
    CHECK(second.target == first.target);
    CHECK(Sorted(second.body) == Sorted(first.body));
    CHECK(EventIdOf(again, kLater) == EventIdOf(job, kStamp));
  }
  CHECK(LineWithStamps(Read(R"({"type":"destroy","id":"1"})"), kStamp) == R"({"type":"destroy","id":"1"})");
}

TEST_CASE("stamped line: an event gets another id, wherever it would stand") {
  const Ulid other = *Ulid::Parse("01JDC3T0C5W7X8Y9Z0ABCDEFGJ");
  const std::string events = "/api/v1/customers/1/events";
  for (const std::string& line :
       {std::string(R"({"type":"track","id":"1","name":"n"})"),
        std::string(R"({"type":"pageview","id":"1","url":"/","event_id":"01JDAZZZZZZZZZZZZZZZZZZZZZ"})"),
        Request("track", events, R"({"name":"n"})"), Request("track", events, R"({"name":"n","id":"x"})")}) {
    CAPTURE(line);
    const Job job = Read(line);
    CHECK(EventIdOf(job, kStamp) != other.ToText());
    const Job changed = Read(LineWithEventId(job, other));
    CHECK(EventIdOf(changed, kStamp) == other.ToText());
    CHECK(BuildRequest(changed, kStamp).body.find(other.ToText()) != std::string::npos);
  }
  CHECK(EventIdOf(Read(R"({"type":"identify","id":"1"})"), kStamp).empty());
}

}  // namespace
}  // namespace outboxd
