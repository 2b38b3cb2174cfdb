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
#include "tests/core/worst_lines.h"

namespace outboxd {
namespace {

using testing::Filled;
using testing::kLineBytes;
using testing::Numbered;
using testing::Repeat;
using testing::WorstLines;

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
