#include "storage/inspection.h"

#include <doctest/doctest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/support/outbox_rows.h"

using namespace outboxd;
using outboxd::test::AttemptLine;
using outboxd::test::DeadLine;
using outboxd::test::OutboxLine;
using outboxd::test::OutboxRows;

namespace {

Inspection Open(const OutboxRows& rows) {
  auto inspection = Inspection::Open(rows.File());
  REQUIRE(inspection);
  return std::move(*inspection);
}

template <typename Row>
std::vector<std::uint64_t> Sequences(const std::vector<Row>& rows) {
  std::vector<std::uint64_t> sequences;
  for (const Row& row : rows) sequences.push_back(ToNumber(row.sequence));
  return sequences;
}

using Numbers = std::vector<std::uint64_t>;

AttemptFilter OfCustomer(const std::string& customer) {
  AttemptFilter filter;
  filter.customer = customer;
  return filter;
}

}  // namespace

TEST_CASE(
    "inspection: a job row carries every column, its ref and the size of its line, and the line only when "
    "asked for alone") {
  OutboxRows rows;
  OutboxLine line;
  line.sequence = 9;
  line.customer = "ü'\"; DROP TABLE outbox";
  line.attempts = 3;
  line.failures = 6;
  line.suspicion = "region";
  line.refusals = 2;
  line.counted_ms = 4'000;
  line.due_ms = 5'000;
  line.reason = "503 Service Unavailable";
  line.line = R"({"type":"track","id":"ü","name":"x","ref":"order-9","data":{"n":1e400}})";
  rows.Add(line);
  Inspection inspection = Open(rows);

  const auto page = inspection.Jobs({}, {});
  REQUIRE(page);
  REQUIRE(page->rows.size() == 1);
  const JobRow& row = page->rows[0];
  CHECK(row.job == OutboxRows::JobId(9));
  CHECK(row.customer == line.customer);
  CHECK(row.attempts == 3);
  CHECK(row.failures == 6);
  CHECK(row.suspicion == Suspicion::kRegion);
  CHECK(row.refusals == 2);
  CHECK(row.counted == FromUnixMs(4'000));
  CHECK(row.due == FromUnixMs(5'000));
  CHECK(row.accepted == FromUnixMs(1'000));
  CHECK_FALSE(row.redriven);
  CHECK_FALSE(row.parked);
  CHECK(row.reason == line.reason);
  CHECK(row.ref == "order-9");
  CHECK(row.bytes == line.line.size());
  CHECK(row.line.empty());

  const auto alone = inspection.Job(Sequence{9});
  REQUIRE(alone);
  REQUIRE(*alone);
  CHECK((*alone)->line == line.line);
  CHECK_FALSE(*inspection.Job(Sequence{8}));
}

TEST_CASE("inspection: a line that is not JSON does not break the list it stands in") {
  OutboxRows rows;
  OutboxLine line;
  line.line = "{broken";
  rows.Add(line);
  Inspection inspection = Open(rows);
  const auto page = inspection.Jobs({}, {});
  REQUIRE(page);
  REQUIRE(page->rows.size() == 1);
  CHECK_FALSE(page->rows[0].ref);
}

TEST_CASE("inspection: job filters name exactly what they say, and several must all hold") {
  OutboxRows rows;
  for (std::uint64_t sequence = 1; sequence <= 6; ++sequence) {
    OutboxLine line;
    line.sequence = sequence;
    line.connection = sequence % 2 == 0 ? "eu" : "default";
    line.type = sequence <= 3 ? "identify" : "track";
    line.customer = sequence == 6 ? "" : "customer-" + std::to_string(sequence % 3);
    line.accepted_ms = static_cast<std::int64_t>(sequence) * 1'000;
    if (sequence == 5) line.due_ms = 9'000;
    rows.Add(line);
  }
  Inspection inspection = Open(rows);
  const auto listed = [&](const JobFilter& filter) {
    const auto page = inspection.Jobs(filter, {});
    REQUIRE(page);
    return Sequences(page->rows);
  };
  JobFilter filter;
  CHECK(listed(filter) == Numbers{1, 2, 3, 4, 5, 6});
  filter.connection = "eu";
  CHECK(listed(filter) == Numbers{2, 4, 6});
  filter.type = "track";
  CHECK(listed(filter) == Numbers{4, 6});
  filter = {};
  filter.customer = "customer-2";
  CHECK(listed(filter) == Numbers{2, 5});
  filter = {};
  filter.accepted_after = FromUnixMs(2'000);
  filter.accepted_before = FromUnixMs(5'000);
  CHECK(listed(filter) == Numbers{3, 4});
  filter = {};
  filter.deferred_only = true;
  CHECK(listed(filter) == Numbers{5});
  filter = {};
  filter.sequence = Sequence{4};
  CHECK(listed(filter) == Numbers{4});
  filter.job = OutboxRows::JobId(4);
  CHECK(listed(filter) == Numbers{4});
  filter.job = OutboxRows::JobId(5);
  CHECK(listed(filter).empty());
}

TEST_CASE("inspection: dead filters name exactly what they say") {
  OutboxRows rows;
  for (std::uint64_t sequence = 1; sequence <= 4; ++sequence) {
    DeadLine dead;
    dead.sequence = sequence;
    dead.death = sequence == 1 ? "cancelled" : "rejected";
    dead.status =
        sequence == 1 ? std::nullopt : std::optional<std::int64_t>(399 + static_cast<std::int64_t>(sequence));
    dead.cause = sequence >= 3 ? "a" : "b";
    dead.dead_ms = static_cast<std::int64_t>(sequence) * 1'000;
    rows.Add(dead);
  }
  Inspection inspection = Open(rows);
  const auto listed = [&](const DeadFilter& filter) {
    const auto page = inspection.DeadRows(filter, {}, Detail::kRow);
    REQUIRE(page);
    return Sequences(page->rows);
  };
  DeadFilter filter;
  CHECK(filter.MatchesAll());
  CHECK(listed(filter) == Numbers{1, 2, 3, 4});
  filter.death = "rejected";
  CHECK_FALSE(filter.MatchesAll());
  CHECK(listed(filter) == Numbers{2, 3, 4});
  filter.cause = "a";
  CHECK(listed(filter) == Numbers{3, 4});
  filter = {};
  filter.status = 402;
  CHECK(listed(filter) == Numbers{3});
  filter = {};
  filter.dead_before = FromUnixMs(3'000);
  filter.dead_after = FromUnixMs(1'000);
  CHECK(listed(filter) == Numbers{2});
  filter = {};
  filter.job = OutboxRows::JobId(2);
  CHECK_FALSE(filter.MatchesAll());
}

TEST_CASE("inspection: pages of any size and any examined limit, put together, are the whole list in order") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  OutboxRows rows;
  Numbers expected;
  REQUIRE(rows.Handle().Execute("BEGIN"));
  for (std::uint64_t sequence = 1; sequence <= 300; ++sequence) {
    if (random() % 4 == 0) continue;
    OutboxLine line;
    line.sequence = sequence;
    line.customer = random() % 3 == 0 ? "wanted" : "other";
    if (line.customer == "wanted") expected.push_back(sequence);
    rows.Add(line);
  }
  REQUIRE(rows.Handle().Execute("COMMIT"));
  Inspection inspection = Open(rows);
  JobFilter filter;
  filter.customer = "wanted";
  for (int round = 0; round < 20; ++round) {
    PageRequest request;
    request.rows_max = 1 + random() % 40;
    request.examined_max = 1 + random() % 60;
    Numbers collected;
    for (;;) {
      const auto page = inspection.Jobs(filter, request);
      REQUIRE(page);
      CHECK(page->rows.size() <= request.rows_max);
      CHECK(page->examined <= request.examined_max);
      for (const std::uint64_t sequence : Sequences(page->rows)) collected.push_back(sequence);
      if (!page->next) break;
      REQUIRE(*page->next > request.after);
      request.after = *page->next;
    }
    CHECK(collected == expected);
  }
}

TEST_CASE("inspection: the last page has no next, even when it is exactly full or exactly examined") {
  OutboxRows rows;
  for (std::uint64_t sequence = 1; sequence <= 4; ++sequence) {
    OutboxLine line;
    line.sequence = sequence;
    rows.Add(line);
  }
  Inspection inspection = Open(rows);
  PageRequest request;
  request.rows_max = 4;
  CHECK_FALSE(inspection.Jobs({}, request)->next);
  request.rows_max = 3;
  CHECK(inspection.Jobs({}, request)->next == Sequence{3});
  request = {};
  request.examined_max = 4;
  CHECK_FALSE(inspection.Jobs({}, request)->next);
  request.examined_max = 3;
  CHECK(inspection.Jobs({}, request)->next == Sequence{3});
}

TEST_CASE("inspection: dead letters in full are cut into pages by their size") {
  OutboxRows rows;
  for (std::uint64_t sequence = 1; sequence <= 5; ++sequence) {
    DeadLine dead;
    dead.sequence = sequence;
    dead.line = R"({"type":"track","ref":"r","data":")" + std::string(1'000, 'x') + "\"}";
    rows.Add(dead);
  }
  Inspection inspection = Open(rows);
  PageRequest request;
  request.bytes_max = 2'000;
  const auto page = inspection.DeadRows({}, request, Detail::kFull);
  REQUIRE(page);
  CHECK(Sequences(page->rows) == Numbers{1, 2});
  CHECK(page->next == Sequence{2});
  CHECK(page->rows[0].line.size() > 1'000);
  CHECK(page->rows[0].ref == "r");
  CHECK(page->rows[0].answer == R"({"meta":{"error":"bad name"}})");
  const auto brief = inspection.DeadRows({}, request, Detail::kRow);
  REQUIRE(brief);
  CHECK(brief->rows.size() == 5);
  CHECK(brief->rows[0].line.empty());
}

TEST_CASE("inspection: dead groups are counted by cause, death and status, largest first") {
  OutboxRows rows;
  for (std::uint64_t sequence = 1; sequence <= 5; ++sequence) {
    DeadLine dead;
    dead.sequence = sequence;
    dead.dead_ms = static_cast<std::int64_t>(sequence) * 1'000;
    if (sequence == 1) {
      dead.cause = "too old";
      dead.death = "expired";
      dead.status.reset();
    }
    rows.Add(dead);
  }
  Inspection inspection = Open(rows);
  const auto groups = inspection.DeadGroups();
  REQUIRE(groups);
  REQUIRE(groups->size() == 2);
  CHECK(groups->at(0).count == 4);
  CHECK(groups->at(0).status == 400);
  CHECK(groups->at(0).first == FromUnixMs(2'000));
  CHECK(groups->at(0).last == FromUnixMs(5'000));
  CHECK(groups->at(0).example == OutboxRows::JobId(2));
  CHECK(groups->at(1).death == "expired");
  CHECK_FALSE(groups->at(1).status);
}

TEST_CASE("inspection: a customer's history comes pack by pack, all that matches of one on one page") {
  OutboxRows rows;
  for (std::int64_t attempt = 1; attempt <= 3; ++attempt) {
    std::vector<AttemptLine> pack;
    for (std::uint64_t sequence = 1; sequence <= 4; ++sequence) {
      AttemptLine& line = pack.emplace_back();
      line.sequence = sequence;
      line.attempt = attempt;
      line.customer = sequence == 2 ? "other" : "42";
      line.connection = sequence == 4 ? "eu" : "default";
      line.result = attempt == 3 ? "delivered" : "deferred";
    }
    rows.AddPack(pack);
  }
  Inspection inspection = Open(rows);
  AttemptFilter filter = OfCustomer("42");
  for (std::size_t rows_max = 1; rows_max <= 10; ++rows_max) {
    for (std::size_t examined_max = 1; examined_max <= 16; ++examined_max) {
      PageRequest request;
      request.rows_max = rows_max;
      request.examined_max = examined_max;
      Numbers collected;
      for (;;) {
        const auto page = inspection.Attempts(filter, request);
        REQUIRE(page);
        CHECK(page->rows.size() % 3 == 0);
        for (const std::uint64_t sequence : Sequences(page->rows)) collected.push_back(sequence);
        if (!page->next) break;
        REQUIRE(*page->next > request.after);
        request.after = *page->next;
      }
      CHECK(collected == Numbers{1, 3, 4, 1, 3, 4, 1, 3, 4});
    }
  }
  filter.connection = "eu";
  CHECK(Sequences(inspection.Attempts(filter, {})->rows) == Numbers{4, 4, 4});
  const auto alone = inspection.Attempts(*Ulid::Parse(OutboxRows::JobId(3)));
  REQUIRE(alone);
  REQUIRE(alone->size() == 3);
  CHECK(alone->at(2).attempt == 3);
  CHECK(alone->at(2).status == 200);
  CHECK(alone->at(2).duration == Milliseconds(12));
}

TEST_CASE("inspection: attempt filters name exactly what they say, ordinary texts and odd ones alike") {
  OutboxRows rows;
  const auto line = [](std::uint64_t sequence, const std::string& customer) {
    AttemptLine attempt;
    attempt.sequence = sequence;
    attempt.customer = customer;
    attempt.sent_ms = static_cast<std::int64_t>(sequence) * 1'000;
    return attempt;
  };
  AttemptLine first = line(1, "a\"b\\c\n");
  first.name = "purchase";
  first.ref = "order-9";
  first.uid = 33;
  AttemptLine second = line(2, "default");
  second.result = "deferred";
  second.status.reset();
  second.error = "timeout";
  rows.AddPack({first, second});
  AttemptLine third = line(3, "ü");
  third.connection = "eu";
  third.name = "default";
  rows.AddPack({third, line(4, "")});
  Inspection inspection = Open(rows);
  const auto listed = [&](auto set) {
    AttemptFilter filter;
    set(filter);
    const auto page = inspection.Attempts(filter, {});
    REQUIRE(page);
    return Sequences(page->rows);
  };
  CHECK(listed([](AttemptFilter&) {}) == Numbers{1, 2, 3, 4});
  CHECK(listed([](AttemptFilter& filter) { filter.customer = "a\"b\\c\n"; }) == Numbers{1});
  CHECK(listed([](AttemptFilter& filter) { filter.customer = "default"; }) == Numbers{2});
  CHECK(listed([](AttemptFilter& filter) { filter.customer = "ü"; }) == Numbers{3});
  CHECK(listed([](AttemptFilter& filter) { filter.customer = ""; }) == Numbers{4});
  CHECK(listed([](AttemptFilter& filter) { filter.customer = "purchase"; }).empty());
  CHECK(listed([](AttemptFilter& filter) { filter.connection = "default"; }) == Numbers{1, 2, 4});
  CHECK(listed([](AttemptFilter& filter) { filter.connection = "eu"; }) == Numbers{3});
  CHECK(listed([](AttemptFilter& filter) { filter.result = "delivered"; }) == Numbers{1, 3, 4});
  CHECK(listed([](AttemptFilter& filter) { filter.result = "deferred"; }) == Numbers{2});
  CHECK(listed([](AttemptFilter& filter) { filter.name = "default"; }) == Numbers{3});
  CHECK(listed([](AttemptFilter& filter) { filter.name = "purchase"; }) == Numbers{1});
  CHECK(listed([](AttemptFilter& filter) { filter.ref = "order-9"; }) == Numbers{1});
  CHECK(listed([](AttemptFilter& filter) { filter.uid = 33; }) == Numbers{1});
  CHECK(listed([](AttemptFilter& filter) { filter.from = FromUnixMs(2'000); }) == Numbers{2, 3, 4});
  CHECK(listed([](AttemptFilter& filter) { filter.to = FromUnixMs(3'000); }) == Numbers{1, 2});
  CHECK(listed([](AttemptFilter& filter) {
          filter.from = FromUnixMs(2'000);
          filter.to = FromUnixMs(4'000);
          filter.result = "delivered";
        }) == Numbers{3});
}

TEST_CASE("inspection: a damaged pack is passed over, and what is readable of it is read") {
  OutboxRows rows;
  rows.Add(AttemptLine{});
  REQUIRE(rows.Handle().Execute(
      "INSERT INTO history VALUES (2, 'x', x'00', 'many', 'no JSON'), (3, 1, 1, 1, x'ff00'), (4, 1, 1, 1, "
      "'{}'), (5, 1500, 1500, 3, '[7,[\"00000007\",\"x\"],5,[\"00000007\",0,-1e30,[],null,\"42\",-9]]')"));
  Inspection inspection = Open(rows);
  const auto page = inspection.Attempts(AttemptFilter{}, {});
  REQUIRE(page);
  CHECK(Sequences(page->rows) == Numbers{1, 5});
  CHECK(page->rows[1].customer == "42");
  CHECK(page->rows[1].sent == FromUnixMs(1'500));
  CHECK(page->rows[1].result == "delivered");
  CHECK_FALSE(page->next);
}

TEST_CASE(
    "inspection: what a parked job waits for is the earliest deferred job of its customer, or the earliest "
    "parked before it") {
  OutboxRows rows;
  OutboxLine line;
  line.sequence = 1;
  line.customer = "other";
  line.due_ms = 1;
  rows.Add(line);
  line.customer = "42";
  line.sequence = 2;
  line.due_ms = 7'000;
  rows.Add(line);
  line.due_ms.reset();
  for (std::uint64_t sequence = 3; sequence <= 5; ++sequence) {
    line.sequence = sequence;
    line.parked = 77;
    rows.Add(line);
  }
  Inspection inspection = Open(rows);
  CHECK((*inspection.DeferredBefore("default", "42", Sequence{5}))->sequence == Sequence{2});
  CHECK_FALSE(*inspection.DeferredBefore("default", "42", Sequence{2}));
  CHECK_FALSE(*inspection.DeferredBefore("eu", "42", Sequence{5}));
  CHECK((*inspection.ParkedBefore(77, Sequence{5}))->sequence == Sequence{3});
  CHECK_FALSE(*inspection.ParkedBefore(77, Sequence{3}));
}

TEST_CASE("inspection: an open inspection holds no transaction, so the WAL can be checkpointed whole") {
  OutboxRows rows;
  rows.Add(OutboxLine{});
  rows.Add(DeadLine{});
  rows.Add(AttemptLine{});
  Inspection inspection = Open(rows);
  REQUIRE(inspection.Jobs({}, {}));
  REQUIRE(inspection.Job(Sequence{1}));
  REQUIRE(inspection.DeadRows({}, {}, Detail::kFull));
  REQUIRE(inspection.DeadGroups());
  REQUIRE(inspection.Attempts(OfCustomer("42"), PageRequest{}));
  REQUIRE(inspection.DeferredBefore("default", "42", Sequence{5}));
  // First column: 1 when a reader was in the way.
  CHECK(rows.Handle().Scalar("PRAGMA wal_checkpoint(TRUNCATE)") == 0);
}

TEST_CASE("inspection: a file that is not there is an error, not a new file") {
  OutboxRows rows;
  const auto missing = rows.File().parent_path() / "missing.db";
  CHECK_FALSE(Inspection::Open(missing));
  CHECK_FALSE(std::filesystem::exists(missing));
}
