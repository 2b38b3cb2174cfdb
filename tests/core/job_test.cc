#include "core/job.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

namespace outboxd {
namespace {

Job About(std::string connection, std::string customer, std::vector<std::string> more = {}) {
  Job job;
  job.connection = std::move(connection);
  job.customer = std::move(customer);
  job.more_customers = std::move(more);
  return job;
}

TEST_CASE("job: every region has a name that names it") {
  CHECK(kNames<Region>.Find("eu") == Region::kEu);
  CHECK_FALSE(kNames<Region>.Find("EU"));
}

TEST_CASE("job: lane keys are part of the disk format and never change") {
  CHECK(static_cast<std::uint64_t>(MakeLaneKey("default", "42")) == 0x8304339231fe4b34);
  CHECK(static_cast<std::uint64_t>(MakeLaneKey("shop", "a@example.com")) == 0xb4e476b90c408e90);
}

TEST_CASE("job: a lane is one customer on one connection") {
  CHECK(MakeLaneKey("a", "1") == MakeLaneKey("a", "1"));
  CHECK(MakeLaneKey("a", "1") != MakeLaneKey("b", "1"));
  CHECK(MakeLaneKey("a", "1") != MakeLaneKey("a", "2"));
  CHECK(MakeLaneKey("a1", "2") != MakeLaneKey("a", "12"));
  std::set<LaneKey> keys;
  for (int i = 0; i < 100'000; ++i) keys.insert(MakeLaneKey("default", std::to_string(i)));
  CHECK(keys.size() == 100'000);
}

TEST_CASE("job: the lanes of a job are sorted and unique") {
  CHECK(LanesOf(About("a", "")).empty());
  CHECK(LanesOf(About("a", "1")) == std::vector<LaneKey>{MakeLaneKey("a", "1")});
  CHECK(LanesOf(About("a", "1", {"1"})) == std::vector<LaneKey>{MakeLaneKey("a", "1")});
  std::vector<LaneKey> expected = {MakeLaneKey("a", "1"), MakeLaneKey("a", "2"), MakeLaneKey("a", "3")};
  std::sort(expected.begin(), expected.end());
  CHECK(LanesOf(About("a", "3", {"2", "1", "2"})) == expected);
  CHECK(LanesOf(About("a", "", {"2", "1", "3"})) == expected);
}

TEST_CASE("job: age counts from acceptance or from the last redrive") {
  QueuedJob queued;
  queued.stamp.accepted = FromUnixMs(1000);
  CHECK(queued.AgeStart() == FromUnixMs(1000));
  queued.redriven = FromUnixMs(5000);
  CHECK(queued.AgeStart() == FromUnixMs(5000));
}

}  // namespace
}  // namespace outboxd
