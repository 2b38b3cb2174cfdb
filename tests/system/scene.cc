#include "tests/system/scene.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "core/ulid.h"
#include "tests/support/give_up.h"

namespace outboxd {
namespace {

constexpr std::size_t kLinesAtOnce = 500;  // their replies fit into the kernel's buffers

}  // namespace

std::string Quoted(std::string_view text) {
  return JsonWriter().String(text).Take();
}

std::string Event(std::string_view customer, std::int64_t n) {
  return R"({"type":"track","id":)" + Quoted(customer) + R"(,"name":"step","data":{"n":)" +
         std::to_string(n) + "}}";
}

std::string EventWithId(std::string_view customer, std::int64_t n, std::string_view event_id) {
  return R"({"type":"track","id":)" + Quoted(customer) + R"(,"name":"step","event_id":)" + Quoted(event_id) +
         R"(,"data":{"n":)" + std::to_string(n) + "}}";
}

std::string EventId(std::uint64_t n) {
  return Ulid::Make(FromUnixMs(1'700'000'000'000), Sequence{n + 1}, n).ToText();
}

std::vector<std::string> ManyEvents(std::size_t count, std::size_t customers, std::string_view prefix) {
  std::vector<std::string> lines;
  lines.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string customer = std::string(prefix) + std::to_string(i % customers);
    lines.push_back(Event(customer, static_cast<std::int64_t>(i / customers + 1)));
  }
  return lines;
}

std::string Joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text.append(line).append("\n");
  return text;
}

std::vector<JsonValue> SubmitAll(LineClient& producer, const std::vector<std::string>& lines) {
  std::vector<JsonValue> replies;
  replies.reserve(lines.size());
  for (std::size_t start = 0; start < lines.size(); start += kLinesAtOnce) {
    const std::size_t end = std::min(start + kLinesAtOnce, lines.size());
    std::string bytes;
    for (std::size_t i = start; i < end; ++i) bytes.append(lines[i]).append("\n");
    if (!producer.Send(bytes, kLongPatience)) GiveUp("the lines were not taken");
    for (std::size_t i = start; i < end; ++i) {
      const std::optional<std::string> reply = producer.ReadLine(kLongPatience);
      if (!reply) GiveUp("no reply to line " + std::to_string(i));
      replies.push_back(Parsed(*reply));
    }
  }
  return replies;
}

std::vector<std::string> AcceptAll(const DaemonUnderTest& daemon, const std::vector<std::string>& lines) {
  LineClient producer = daemon.Producer();
  std::vector<std::string> jobs;
  jobs.reserve(lines.size());
  for (const JsonValue& reply : SubmitAll(producer, lines)) {
    if (!reply["ok"].Bool()) GiveUp("not accepted: " + reply.ToText());
    jobs.push_back(reply["job"].String());
  }
  return jobs;
}

JsonValue Parsed(std::string_view json) {
  Result<JsonValue> value = JsonValue::Parse(json);
  if (!value) GiveUp("not JSON: " + std::string(json));
  return *value;
}

std::vector<JsonValue> ParsedLines(std::string_view text) {
  std::vector<JsonValue> values;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    values.push_back(Parsed(text.substr(start, end - start)));
    start = end + 1;
  }
  return values;
}

JsonValue Get(DaemonUnderTest& daemon, std::string_view target) {
  const HttpAnswer answer = daemon.Admin().Get(target);
  if (answer.status != 200)
    GiveUp(std::string(target) + ": " + std::to_string(answer.status) + " " + answer.body + answer.error);
  return answer.Json();
}

std::vector<JsonValue> Rows(DaemonUnderTest& daemon, std::string_view target) {
  return Get(daemon, target)["rows"].Items();
}

std::vector<JsonValue> AttemptsOf(DaemonUnderTest& daemon, std::string_view job) {
  return Rows(daemon, "/v1/history?job=" + std::string(job));
}

JsonValue AwaitDead(DaemonUnderTest& daemon, std::string_view job) {
  const std::string target = "/v1/dead/" + std::string(job);
  HttpAnswer answer;
  if (!Await([&] { return (answer = daemon.Admin().Get(target)).status == 200; }))
    GiveUp("no dead letter: " + answer.body);
  return answer.Json();
}

void AwaitAttempts(DaemonUnderTest& daemon, std::string_view job, std::size_t count) {
  const auto is_recorded = [&] { return AttemptsOf(daemon, job).size() >= count; };
  if (!Await(is_recorded)) GiveUp("the attempts were not recorded: " + daemon.Status().ToText());
}

std::vector<SimRequestSeen> JobRequests(SimUnderTest& sim) {
  std::vector<SimRequestSeen> requests = sim.Requests();
  std::erase_if(requests,
                [](const SimRequestSeen& request) { return request.target == "/api/v1/accounts/region"; });
  return requests;
}

SimRequestSeen OnlyRequest(SimUnderTest& sim) {
  const std::vector<SimRequestSeen> requests = sim.Requests();
  if (requests.size() != 1)
    GiveUp(std::to_string(requests.size()) + " requests instead of one; " + sim.Report().text);
  return requests.front();
}

void CheckFlawless(const SimReport& report) {
  INFO("the simulated API saw ", report.text);
  CHECK(report.order_violations == 0);
  CHECK(report.overlaps == 0);
  CHECK(report.doubled == 0);
  CHECK(report.invalid.empty());
}

void CheckNumbered(SimUnderTest& sim, std::string_view customer, std::int64_t count) {
  const std::vector<SimEffect> effects = sim.Effects(customer);
  INFO("customer ", std::string(customer));
  REQUIRE(effects.size() == static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    REQUIRE(effects[static_cast<std::size_t>(i)].n.value_or(-1) == i + 1);
}

ConfigValues ConnectionConfigOf(const std::string& name, const SimUnderTest& sim) {
  const std::string prefix = "connections." + name + ".";
  return {{prefix + "base_url", Quoted(sim.BaseUrl())},
          {prefix + "site_id", Quoted(sim.Options().site_id)},
          {prefix + "api_key", Quoted(sim.Options().api_key)},
          {prefix + "rate_limit", "0"},
          {prefix + "probe_interval", "50ms"}};
}

}  // namespace outboxd
