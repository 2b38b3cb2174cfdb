#include "core/lanes.h"

#include <doctest/doctest.h>

#include "tests/support/child_ending.h"

namespace outboxd {
namespace {

using Keys = std::vector<LaneKey>;
using Sequences = std::vector<Sequence>;

constexpr LaneKey kA{1};
constexpr LaneKey kB{2};
constexpr LaneKey kC{3};

Sequences Numbers(std::initializer_list<std::uint64_t> numbers) {
  Sequences sequences;
  for (const std::uint64_t number : numbers) sequences.push_back(Sequence{number});
  return sequences;
}

// Lanes, with the numbers written short.
struct Short {
  explicit Short(std::size_t lane_jobs_max) : lanes(lane_jobs_max) {}

  Admission Admit(std::uint64_t number, const Keys& keys) { return lanes.Admit(Sequence{number}, keys); }
  bool IsReady(std::uint64_t number, const Keys& keys) const { return lanes.IsReady(Sequence{number}, keys); }
  void Start(std::uint64_t number, const Keys& keys) { lanes.Start(Sequence{number}, keys); }
  void Stop(std::uint64_t number, const Keys& keys) { lanes.Stop(Sequence{number}, keys); }
  Sequences Hold(std::uint64_t number, const Keys& keys) {
    Sequences evicted;
    lanes.Hold(Sequence{number}, keys, evicted);
    lanes.CheckInvariants();
    return evicted;
  }
  LanesOpened Release(std::uint64_t number, const Keys& keys) {
    LanesOpened opened;
    lanes.Release(Sequence{number}, keys, opened);
    lanes.CheckInvariants();
    return opened;
  }
  LanesOpened Refilled(LaneKey key, std::initializer_list<std::uint64_t> loaded,
                       std::optional<std::uint64_t> next) {
    LanesOpened opened;
    const std::optional<Sequence> from = next ? std::optional(Sequence{*next}) : std::nullopt;
    lanes.Refilled(key, Numbers(loaded), from, opened);
    lanes.CheckInvariants();
    return opened;
  }

  Lanes lanes;
};

TEST_CASE("lanes: jobs without a lane are always ready and never held") {
  Short lanes(8);
  CHECK(lanes.Admit(1, {}) == Admission::kReady);
  CHECK(lanes.Admit(2, {}) == Admission::kReady);
  CHECK(lanes.IsReady(1, {}));
  lanes.Start(1, {});
  CHECK(lanes.Hold(1, {}).empty());
  CHECK(lanes.Release(1, {}).ready.empty());
  CHECK(lanes.lanes.LaneCount() == 0);
}

TEST_CASE("lanes: a job that has not got the turn cannot be started") {
  const test::Ending ending = test::EndingOf([] {
    Short lanes(8);
    lanes.Admit(1, {kA});
    lanes.Admit(2, {kA});
    lanes.Start(2, {kA});
  });
  CHECK(ending.HasAborted());
}

TEST_CASE("lanes: jobs of one lane go one after another, those of others do not wait") {
  Short lanes(8);
  CHECK(lanes.Admit(1, {kA}) == Admission::kReady);
  CHECK(lanes.Admit(2, {kA}) == Admission::kWaits);
  CHECK(lanes.Admit(3, {kB}) == Admission::kReady);
  CHECK(lanes.lanes.Blocker(Sequence{2}, Keys{kA}) == Sequence{1});
  lanes.Start(1, {kA});
  CHECK(!lanes.IsReady(1, {kA}));
  CHECK(!lanes.IsReady(2, {kA}));
  CHECK(lanes.lanes.Blocker(Sequence{2}, Keys{kA}) == Sequence{1});
  CHECK(lanes.Release(1, {kA}).ready == Numbers({2}));
  CHECK(lanes.IsReady(2, {kA}));
  CHECK(!lanes.lanes.Blocker(Sequence{2}, Keys{kA}));
}

TEST_CASE("lanes: an idle lane is forgotten") {
  Short lanes(8);
  lanes.Admit(1, {kA});
  lanes.Admit(2, {kA, kB});
  CHECK(lanes.lanes.LaneCount() == 2);
  lanes.Release(1, {kA});
  CHECK(lanes.Release(2, {kA, kB}).ready.empty());
  CHECK(lanes.lanes.LaneCount() == 0);
  CHECK(lanes.Release(3, {kC}).ready.empty());
  CHECK(lanes.lanes.LaneCount() == 0);
}

TEST_CASE("lanes: a job that comes back unsettled is first again") {
  Short lanes(8);
  lanes.Admit(1, {kA});
  lanes.Admit(2, {kA});
  lanes.Start(1, {kA});
  lanes.Stop(1, {kA});
  CHECK(lanes.IsReady(1, {kA}));
  CHECK(!lanes.IsReady(2, {kA}));
}

TEST_CASE("lanes: a deferred head blocks its followers and nobody else") {
  Short lanes(8);
  lanes.Admit(1, {kA});
  lanes.Admit(2, {kA});
  lanes.Admit(3, {kB});
  lanes.Admit(4, {kA});
  lanes.Start(1, {kA});
  CHECK(lanes.Hold(1, {kA}) == Numbers({2, 4}));
  CHECK(lanes.IsReady(3, {kB}));
  CHECK(lanes.Admit(5, {kA}) == Admission::kPark);
  CHECK(!lanes.lanes.RefillFrom(kA));
  CHECK(lanes.IsReady(1, {kA}));  // its time may come
  lanes.Start(1, {kA});
  CHECK(lanes.Hold(1, {kA}).empty());
  lanes.Start(1, {kA});
  const LanesOpened opened = lanes.Release(1, {kA});
  CHECK(opened.ready.empty());
  CHECK(opened.refill == Keys{kA});
  CHECK(lanes.lanes.RefillFrom(kA) == Sequence{2});
  CHECK(lanes.Refilled(kA, {2, 4}, 5).ready == Numbers({2}));
  CHECK(lanes.Admit(6, {kA}) == Admission::kPark);
}

TEST_CASE("lanes: past its limit a lane's jobs are parked, and come back in order") {
  Short lanes(2);
  CHECK(lanes.Admit(1, {kA}) == Admission::kReady);
  CHECK(lanes.Admit(2, {kA}) == Admission::kWaits);
  CHECK(lanes.Admit(3, {kA}) == Admission::kPark);
  CHECK(lanes.Release(1, {kA}).ready == Numbers({2}));
  CHECK(lanes.Admit(4, {kA}) == Admission::kPark);  // there is room, but 3 is before it
  CHECK(lanes.Release(2, {kA}).refill == Keys{kA});
  CHECK(lanes.lanes.RefillFrom(kA) == Sequence{3});
  CHECK(lanes.Refilled(kA, {3, 4}, std::nullopt).ready == Numbers({3}));
  CHECK(lanes.Admit(5, {kA}) == Admission::kPark);
  CHECK(lanes.Release(3, {kA}).ready == Numbers({4}));
  CHECK(lanes.Release(4, {kA}).refill == Keys{kA});
  lanes.Refilled(kA, {}, std::nullopt);  // 5 was cancelled
  CHECK(lanes.lanes.LaneCount() == 0);
}

TEST_CASE("lanes: a million jobs behind a failing head are not held") {
  Short lanes(8);
  lanes.Admit(1, {kA});
  lanes.Start(1, {kA});
  lanes.Hold(1, {kA});
  std::size_t parked = 0;
  for (std::uint64_t number = 2; number < 1'000'002; ++number)
    parked += lanes.Admit(number, {kA}) == Admission::kPark ? 1U : 0U;
  CHECK(parked == 1'000'000);
}

TEST_CASE("lanes: rows parked in an earlier life are read back") {
  Short lanes(8);
  lanes.lanes.MarkParked(kA, Sequence{5});
  lanes.lanes.MarkParked(kA, Sequence{7});
  CHECK(lanes.lanes.RefillFrom(kA) == Sequence{5});
  CHECK(lanes.Admit(9, {kA}) == Admission::kPark);
  CHECK(lanes.Admit(3, {kA}) == Admission::kReady);
  CHECK(!lanes.lanes.RefillFrom(kA));
  CHECK(lanes.Release(3, {kA}).refill == Keys{kA});
  CHECK(lanes.Refilled(kA, {5, 7, 9}, std::nullopt).ready == Numbers({5}));
}

TEST_CASE(
    "lanes: parked rows that turn out to be gone are passed over, those still on their way to the disk are "
    "not asked for again") {
  Short lanes(2);
  lanes.lanes.MarkParked(kA, Sequence{5});
  CHECK(lanes.Refilled(kA, {}, 7).refill == Keys{kA});
  CHECK(lanes.lanes.RefillFrom(kA) == Sequence{7});
  CHECK(lanes.Refilled(kA, {}, 7).refill.empty());
  CHECK(lanes.lanes.RefillFrom(kA) == Sequence{7});
  CHECK(lanes.Refilled(kA, {7}, std::nullopt).ready == Numbers({7}));
}

TEST_CASE("lanes: a job of several lanes waits until it is first in all of them") {
  Short lanes(8);
  lanes.Admit(1, {kA});
  lanes.Admit(2, {kB});
  CHECK(lanes.Admit(3, {kA, kB}) == Admission::kWaits);
  CHECK(lanes.Admit(4, {kB}) == Admission::kWaits);
  CHECK(lanes.Release(2, {kB}).ready.empty());
  CHECK(lanes.lanes.Blocker(Sequence{3}, Keys{kA, kB}) == Sequence{1});
  CHECK(lanes.lanes.Blocker(Sequence{4}, Keys{kB}) == Sequence{3});
  CHECK(lanes.Release(1, {kA}).ready == Numbers({3}));
  lanes.Start(3, {kA, kB});
  CHECK(!lanes.IsReady(4, {kB}));
  CHECK(lanes.Release(3, {kA, kB}).ready == Numbers({4}));
}

TEST_CASE(
    "lanes: a job of several lanes is parked under the one that it must wait in, and comes back to all") {
  Short lanes(1);
  lanes.Admit(1, {kB});
  CHECK(lanes.Admit(2, {kB}) == Admission::kPark);
  CHECK(lanes.Admit(3, {kA, kB}) == Admission::kPark);
  CHECK(lanes.lanes.ParksUnder(Sequence{3}, Keys{kA, kB}) == kB);
  CHECK(!lanes.lanes.Has(kA));
  CHECK(lanes.Release(1, {kB}).refill == Keys{kB});
  lanes.lanes.Join(Sequence{3}, Keys{kA, kB});
  CHECK(lanes.Refilled(kB, {2, 3}, std::nullopt).ready == Numbers({2}));
  CHECK(lanes.Admit(4, {kA}) == Admission::kPark);
  CHECK(lanes.Release(2, {kB}).ready == Numbers({3}));
  CHECK(lanes.Release(3, {kA, kB}).refill == Keys{kA});
}

TEST_CASE("lanes: a held job of several lanes is not given up behind one that failed") {
  Short lanes(8);
  lanes.Admit(1, {kA});
  lanes.Admit(2, {kA, kB});
  lanes.Start(1, {kA});
  CHECK(lanes.Hold(1, {kA}).empty());
  CHECK(lanes.Admit(3, {kA, kB}) == Admission::kPark);
  CHECK(lanes.Release(1, {kA}).ready == Numbers({2}));
}

TEST_CASE("lanes: a redriven job goes before those that wait, not before the one whose turn it is") {
  Short lanes(8);
  CHECK(lanes.Admit(5, {kA}) == Admission::kReady);
  CHECK(lanes.Admit(6, {kA}) == Admission::kWaits);
  CHECK(lanes.Admit(3, {kA}) == Admission::kWaits);  // 5 may be on its way to a worker
  CHECK(lanes.IsReady(5, {kA}));
  lanes.Start(5, {kA});
  CHECK(!lanes.IsReady(3, {kA}));
  CHECK(lanes.Release(5, {kA}).ready == Numbers({3}));
  CHECK(lanes.Release(3, {kA}).ready == Numbers({6}));
}

TEST_CASE("lanes: a job keeps its turn when its attempt ends unsettled and a redriven one waits") {
  Short lanes(8);
  lanes.Admit(5, {kA});
  lanes.Start(5, {kA});
  CHECK(lanes.Admit(3, {kA}) == Admission::kWaits);
  SUBCASE("stopped") {
    lanes.Stop(5, {kA});
  }
  SUBCASE("failed") {
    CHECK(lanes.Hold(5, {kA}).empty());
  }
  CHECK(lanes.IsReady(5, {kA}));
  CHECK(!lanes.IsReady(3, {kA}));
  CHECK(lanes.lanes.Blocker(Sequence{3}, Keys{kA}) == Sequence{5});
  CHECK(lanes.Release(5, {kA}).ready == Numbers({3}));
}

TEST_CASE("lanes: a wave of redriven jobs is parked past the limit as any other") {
  Short lanes(4);
  for (std::uint64_t number = 1001; number <= 1004; ++number) lanes.Admit(number, {kA});
  std::size_t held = 0;
  for (std::uint64_t number = 1; number <= 1000; ++number)
    held += lanes.Admit(number, {kA}) == Admission::kPark ? 0U : 1U;
  CHECK(held == 4);
  CHECK(lanes.Release(1001, {kA}).ready == Numbers({1}));
  for (std::uint64_t number = 1; number <= 3; ++number)
    CHECK(lanes.Release(number, {kA}).ready == Numbers({number + 1}));
  CHECK(lanes.Release(4, {kA}).refill == Keys{kA});
  CHECK(lanes.lanes.RefillFrom(kA) == Sequence{5});
}

TEST_CASE("lanes: of several deferred jobs of a lane found at start none is lost or given up") {
  Short lanes(8);
  for (const std::uint64_t number : {3U, 5U}) {
    lanes.Admit(number, {kA});
    CHECK(lanes.Hold(number, {kA}).empty());
  }
  CHECK(lanes.Admit(6, {kA}) == Admission::kPark);
  CHECK(lanes.IsReady(3, {kA}));
  CHECK(!lanes.IsReady(5, {kA}));
  lanes.Start(3, {kA});
  CHECK(lanes.Hold(3, {kA}).empty());  // 5 stays
  LanesOpened opened = lanes.Release(3, {kA});
  if (!opened.refill.empty()) opened = lanes.Refilled(kA, {}, 6);
  CHECK(opened.ready == Numbers({5}));
  CHECK(lanes.IsReady(5, {kA}));
  CHECK(lanes.Release(5, {kA}).refill == Keys{kA});
}

TEST_CASE("lanes: a cancelled follower leaves the failing head where it is") {
  Short lanes(8);
  lanes.Admit(1, {kA});
  lanes.Admit(2, {kA, kB});
  lanes.Start(1, {kA});
  CHECK(lanes.Hold(1, {kA}).empty());
  CHECK(lanes.Release(2, {kA, kB}).ready.empty());
  CHECK(lanes.IsReady(1, {kA}));
  CHECK(lanes.Admit(3, {kA}) == Admission::kPark);
}

TEST_CASE("lanes: a ready job that is cancelled hands its turn on") {
  Short lanes(8);
  lanes.Admit(1, {kA});
  lanes.Admit(2, {kA});
  CHECK(lanes.Release(1, {kA}).ready == Numbers({2}));
}

}  // namespace
}  // namespace outboxd
