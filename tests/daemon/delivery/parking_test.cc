#include "daemon/delivery/parking.h"

#include <doctest/doctest.h>

#include <vector>

namespace outboxd {
namespace {

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);
constexpr Milliseconds kInterval{1000};
constexpr LaneKey kA{1};
constexpr LaneKey kB{2};

Report ReportWith(std::uint64_t ticket) {
  Report report;
  report.ticket = ticket;
  return report;
}

OutboxReader::Parked Rows(std::initializer_list<std::uint64_t> numbers,
                          std::optional<Sequence> next = std::nullopt) {
  OutboxReader::Parked parked;
  for (const std::uint64_t number : numbers) {
    StoredJob& stored = parked.jobs.emplace_back();
    stored.job = std::make_unique<QueuedJob>();
    stored.job->sequence = Sequence{number};
  }
  parked.next = next;
  return parked;
}

std::vector<LaneKey> TakeRefills(Parking& parking) {
  std::vector<LaneKey> lanes;
  for (; parking.NextRefill(); parking.PopRefill()) lanes.push_back(*parking.NextRefill());
  return lanes;
}

TEST_CASE("parking: an estimate never goes below none, and is set right by a recount") {
  EstimatedRows rows;
  rows.Subtract();
  CHECK(rows.rows() == 0);
  rows.Add();
  rows.Add();
  rows.Subtract();
  CHECK(rows.rows() == 1);
  rows.Recount(7, kNow);
  CHECK(rows.rows() == 7);
}

TEST_CASE("parking: an estimate is recounted only when it is doubted, and once an interval at most") {
  EstimatedRows rows;
  CHECK_FALSE(rows.MustRecount(kNow, kInterval));
  rows.Doubt();
  CHECK(rows.MustRecount(kNow, kInterval));
  rows.Recount(1, kNow);
  CHECK_FALSE(rows.MustRecount(kNow + kInterval, kInterval));
  rows.Doubt();
  CHECK_FALSE(rows.MustRecount(kNow + kInterval - Milliseconds(1), kInterval));
  CHECK(rows.MustRecount(kNow + kInterval, kInterval));
  CHECK(rows.MustRecount(kNow - Milliseconds(1), kInterval));  // the clock was set back
}

TEST_CASE("parking: marks are under way until their report is written; then their lanes are refilled") {
  Parking parking;
  Report first = ReportWith(1), second = ReportWith(2);
  parking.Mark(Sequence{5}, kA, LaneList(kA), first);
  parking.Mark(Sequence{6}, kB, LaneList(kB), first);
  parking.Mark(Sequence{7}, kA, LaneList(kA), second);
  CHECK(first.parks.size() == 2);
  CHECK(parking.marks_under_way() == 3);
  CHECK(parking.out_of_memory().rows() == 3);
  CHECK(parking.WillRefill(kA));
  CHECK(TakeRefills(parking).empty());
  parking.OnTicket(1);
  parking.CheckInvariants();
  CHECK(parking.marks_under_way() == 1);
  CHECK(TakeRefills(parking) == std::vector{kA, kB});
  CHECK_FALSE(parking.WillRefill(kB));
  CHECK(parking.IsMarking());
  parking.OnTicket(2);
  CHECK_FALSE(parking.IsMarking());
  CHECK(TakeRefills(parking) == std::vector{kA});
  CHECK(parking.out_of_memory().rows() == 3);
}

TEST_CASE("parking: of the rows of a lane those before the first that is being marked are taken") {
  Parking parking;
  parking.MoveFrontier(Sequence{100});
  Report report = ReportWith(1);
  parking.Mark(Sequence{7}, kA, LaneList(kA), report);
  parking.Mark(Sequence{3}, kB, LaneList(kB), report);
  OutboxReader::Parked rows = Rows({5, 6, 8});
  CHECK(parking.Cut(kA, rows) == Sequence{7});
  CHECK(rows.jobs.size() == 2);
  OutboxReader::Parked all = Rows({1, 2}, Sequence{9});
  CHECK(parking.Cut(kA, all) == Sequence{7});
  CHECK(all.jobs.size() == 2);
}

TEST_CASE("parking: of the rows of a lane those up to the frontier are taken") {
  Parking parking;
  parking.MoveFrontier(Sequence{6});
  OutboxReader::Parked rows = Rows({5, 6, 8}, Sequence{9});
  CHECK(parking.Cut(kA, rows) == Sequence{8});
  CHECK(rows.jobs.size() == 2);
  OutboxReader::Parked last = Rows({5, 6});
  CHECK_FALSE(parking.Cut(kA, last));
  CHECK(last.jobs.size() == 2);
}

TEST_CASE("parking: a lane is refilled once the frontier has come to its row, which never goes back") {
  Parking parking;
  parking.RefillLater(kA, Sequence{10});
  parking.RefillLater(kB, Sequence{20});
  parking.MoveFrontier(Sequence{9});
  CHECK(TakeRefills(parking).empty());
  CHECK(parking.WillRefill(kA));
  parking.MoveFrontier(Sequence{10});
  CHECK(TakeRefills(parking) == std::vector{kA});
  parking.MoveFrontier(Sequence{5});
  CHECK(parking.frontier() == Sequence{10});
  parking.RefillLater(kA, Sequence{10});
  CHECK(TakeRefills(parking) == std::vector{kA});
  parking.CheckInvariants();
}

TEST_CASE("parking: lanes are refilled in the order they were named") {
  Parking parking;
  parking.RefillSoon(std::vector{kB, kA});
  CHECK(parking.WillRefill(kA));
  CHECK(TakeRefills(parking) == std::vector{kB, kA});
}

}  // namespace
}  // namespace outboxd
