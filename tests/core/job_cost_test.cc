// What jobs cost is measured: by what the allocator says is in use while they are there.
#include "core/job_cost.h"

#include <doctest/doctest.h>
#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/job_line.h"
#include "core/job_types.h"
#include "core/request.h"
#include "tests/core/job_lines.h"

namespace outboxd {
namespace {

using testing::Repeat;

constexpr std::size_t kLineBytes = 512UL * 1024;

std::size_t InUse() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

// Sanitizers have an allocator of their own.
bool CanMeasure() {
  const std::size_t before = InUse();
  const auto block = std::make_unique<std::string>(std::size_t{1} << 20, 'x');
  return InUse() > before;
}

struct Measured {
  std::size_t held = 0, sent = 0;            // bytes in use
  std::size_t held_cost = 0, send_cost = 0;  // as they are told
};

Measured Measure(const std::string& line, bool stored) {
  const std::string warm = R"({"type":"destroy","id":"1"})";
  static_cast<void>(ParseJobLine(warm));
  static_cast<void>(ParseStoredLine(line));
  const std::size_t before = InUse();
  auto queued = std::make_unique<QueuedJob>();
  auto job = stored ? ParseStoredLine(line) : ParseJobLine(line);
  REQUIRE_MESSAGE(job.has_value(), (job ? "" : job.error().field + ": " + job.error().message));
  queued->job = std::move(*job);
  Measured measured;
  measured.held = InUse() - before;
  const auto request = std::make_unique<HttpRequest>(BuildRequest(queued->job, queued->stamp));
  measured.sent = InUse() - before;
  measured.held_cost = HeldCost(queued->job);
  measured.send_cost = SendCost(queued->job);
  return measured;
}

// A line of nearly `bytes`: `head`, as many of `piece` as there is room for, the last without its comma,
// `tail`.
std::string Filled(std::string_view head, std::string_view piece, std::string_view tail,
                   std::size_t bytes = kLineBytes) {
  std::string line(head);
  line += Repeat(piece, (bytes - head.size() - tail.size()) / piece.size());
  if (line.ends_with(',')) line.pop_back();
  return line + std::string(tail);
}

std::string Numbered(std::string_view head, std::size_t count, std::string_view value,
                     std::string_view tail) {
  std::string line(head);
  for (std::size_t i = 0; i < count; ++i)
    line.append(i > 0 ? ",\"" : "\"").append(std::to_string(i)).append("\":\"").append(value).append("\"");
  return line + std::string(tail);
}

// The worst that is accepted of each type, as far as one can think of it.
std::vector<std::string> WorstLines() {
  const std::string id(150, '"');
  const std::string quoted = Repeat("\\\"", 150);
  return {
      Filled(R"({"type":"identify","id":")" + quoted + R"(","attributes":{"a":[)", "0,", "]}}"),
      Filled(R"({"type":"identify","id":"1","attributes":{"a":")", "\\u0001", "\"}}", 1000),
      Filled(R"({"type":"track","id":")" + quoted + R"(","name":"n","data":{"a":[)", "[],", "]}}", 99'000),
      Filled(R"({"type":"pageview","anonymous_id":")" + quoted + R"(","url":")", "\\u0001", "\"}", 20'000),
      Filled(R"({"type":"destroy","id":"1","ref":"r")", " ", "}"),
      Filled(R"({"type":"suppress","id":")" + quoted + "\"", " ", "}"),
      Filled(R"({"type":"unsuppress","id":")" + quoted + "\"", " ", "}"),
      Filled(R"({"type":"add_device","id":"1","device":{"id":"1","platform":"ios","attributes":{"a":[)", "0,",
             "]}}}"),
      R"({"type":"delete_device","id":")" + quoted + R"(","device_id":")" + Repeat("\\u0001", 999) + "x\"}",
      Filled(R"({"type":"merge","primary":{"id":")" + quoted + R"("},"secondary":{"id":"2")", " ", "}}"),
      Filled(R"({"type":"form","form_id":"f","data":{"email":"a@b.c")", R"(,"a":"")", "}}", 90'000),
      Filled(R"({"type":"add_to_segment","segment_id":7,"ids":[)", "\"" + quoted + "\",", "]}", 300'000),
      R"({"type":"remove_from_segment","segment_id":7,"ids":[)" + Repeat("1,", 999) + "1]}",
      R"({"type":"metric","metric":"opened","delivery_id":")" + std::string(1000, 'x') + R"(","href":")" +
          std::string(4000, 'y') + "\"}",
      Numbered(R"({"type":"raw","method":"POST","path":"/v1/x","form":{)", 100, std::string(5000, 'v'), "}}"),
      Filled(R"({"type":"raw","method":"POST","path":"/v1/x","form":{")", "\\\"", R"(":""}})"),
      Numbered(R"({"type":"raw","method":"GET","path":"/v1/x","query":{)", 200, std::string(100, ' '), "}}"),
      Filled(R"({"type":"raw","method":"GET","path":"/v1/x","query":{"a":")", "\\u0001", "\"}}", 120'000),
      R"({"type":"raw","method":"GET","path":"/v1/)" + std::string(8000, ' ') + "\"}",
      Numbered(R"({"type":"raw","method":"GET","path":"/v1/x","headers":{)", 64, std::string(120, 'h'), "}}"),
      Filled(R"({"type":"raw","method":"POST","path":"/v1/x","body":")", "x", "\"}"),
      Filled(R"({"type":"raw","method":"POST","path":"/v1/x","body":[)", "0,", "]}"),
      Filled(R"({"type":"raw","method":"POST","path":"/v1/x","files":[{"name":"f","content":")", "x",
             "\"}]}"),
      R"({"type":"raw","method":"POST","path":"/v1/x","files":[)" +
          Repeat(R"({"name":"f","content_base64":")" + Repeat("QUJD", 3900) + "\"},", 31) +
          R"({"name":"f","content":""}]})",
      Filled(R"({"type":"track","request":{"method":"POST","target":"/api/v1/customers/1/events?)" +
                 std::string(8000, 'q') + R"(","body":{"name":"n","data":{"a":[)",
             "[],", "]}}}}", 100'000),
      Filled(R"({"type":"merge","request":{"method":"POST","target":"/api/v1/merge_customers","body":)"
             R"({"primary":{"id":"1"},"secondary":{"id":"2"},"a":[)",
             "0,", "]}}}"),
  };
}

// Of the kind that was accepted before there were limits.
std::vector<std::string> OldBombs() {
  return {
      Numbered(R"({"type":"raw","method":"POST","path":"/v1/x","form":{)", 45'000, "", "}}"),
      Numbered(R"({"type":"raw","method":"GET","path":"/v1/x","query":{)", 45'000, "", "}}"),
      R"({"type":"raw","method":"GET","path":"/v1/x?)" + Repeat("&", 8000) + "\"}",
      Numbered(R"({"type":"raw","method":"GET","path":"/v1/x","query":{)", 200, std::string(2500, ' '), "}}"),
  };
}

void CheckMeasured(const std::string& line, const Measured& measured) {
  const std::string start = line.substr(0, 120);
  CAPTURE(start);
  CHECK(measured.held_cost >= measured.held);
  CHECK(measured.send_cost >= measured.sent);
  CHECK(measured.send_cost >= measured.held_cost);
}

TEST_CASE("job cost: no accepted line of any type costs more than it says") {
  if (!CanMeasure()) return;
  std::vector<JobType> seen;
  for (const std::string& line : WorstLines()) {
    REQUIRE(line.size() <= kLineBytes);
    CheckMeasured(line, Measure(line, false));
    seen.push_back(ParseJobLine(line)->type);
  }
  for (const JobTypeRow& row : kJobTypes)
    CHECK_MESSAGE(std::find(seen.begin(), seen.end(), row.type) != seen.end(), row.name);
}

TEST_CASE("job cost: nor does a stored line from before there were limits") {
  if (!CanMeasure()) return;
  for (const std::string& line : OldBombs()) CheckMeasured(line, Measure(line, true));
}

TEST_CASE(
    "job cost: the bound is not far from the truth where it matters: a common line, a large body, an old "
    "bomb") {
  const std::string event =
      R"({"type":"track","id":"42","name":"purchase","data":{"text":")" + std::string(250, 'x') + "\"}}";
  const Job small = testing::Read(event);
  CHECK(HeldCost(small) < 2000);
  CHECK(SendCost(small) < 7000);
  const Job large =
      testing::Read(Filled(R"({"type":"raw","method":"POST","path":"/v1/x","body":")", "x", "\"}"));
  CHECK(SendCost(large) < 4 * kLineBytes);
  const auto bomb = ParseStoredLine(OldBombs().front());
  REQUIRE(bomb.has_value());
  CHECK(SendCost(*bomb) < 20'000'000);
}

}  // namespace
}  // namespace outboxd
