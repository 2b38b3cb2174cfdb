#include "daemon/delivery/refused_row.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "core/job.h"
#include "core/ulid.h"

namespace outboxd {
namespace {

LaneList Lane(std::uint64_t key) {
  return LaneList(LaneKey{key});
}

bool AddNine(RefusedRow& row, Suspicion suspicion) {
  bool is_long = false;
  for (std::uint64_t i = 1; i <= 9; ++i) is_long = row.Add(suspicion, Sequence{i}, Lane(i)) || is_long;
  return is_long;
}

TEST_CASE("refused row: ten of different lanes are to blame on the connection, and name themselves") {
  RefusedRow row;
  CHECK_FALSE(AddNine(row, Suspicion::kAuth));
  CHECK_FALSE(row.Add(Suspicion::kAuth, Sequence{50}, Lane(3)));
  CHECK(row.Add(Suspicion::kAuth, Sequence{10}, Lane(10)));
  CHECK(row.Add(Suspicion::kAuth, Sequence{11}, Lane(11)));
  std::vector<Sequence> named;
  row.ForEach([&](Sequence sequence) { named.push_back(sequence); });
  CHECK(named.size() == 10);
  CHECK(named.front() == Sequence{1});
}

TEST_CASE("refused row: another kind of refusal, or a delivery, begins anew") {
  RefusedRow row;
  CHECK_FALSE(AddNine(row, Suspicion::kAuth));
  CHECK_FALSE(row.Add(Suspicion::kRegion, Sequence{10}, Lane(10)));
  CHECK_FALSE(AddNine(row, Suspicion::kAuth));
  row.Clear();
  CHECK_FALSE(row.Add(Suspicion::kAuth, Sequence{10}, Lane(10)));
}

TEST_CASE("refused row: a job about no customer is a lane of its own") {
  RefusedRow row;
  for (std::uint64_t i = 1; i <= 9; ++i) CHECK_FALSE(row.Add(Suspicion::kNotTrackApi, Sequence{i}, {}));
  CHECK_FALSE(row.Add(Suspicion::kNotTrackApi, Sequence{9}, {}));
  CHECK(row.Add(Suspicion::kNotTrackApi, Sequence{10}, {}));
}

}  // namespace
}  // namespace outboxd
