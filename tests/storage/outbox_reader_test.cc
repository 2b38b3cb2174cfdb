// Reading waiting jobs back.
#include "storage/outbox_reader.h"

#include <doctest/doctest.h>

#include "storage/outbox.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::Accept;
using test::OutcomeOf;
using test::Settle;
using test::TrackLine;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

struct Fixture {
  TempDir folder;
  std::filesystem::path file = folder / "outbox.db";
  std::optional<Outbox> outbox;
  std::optional<OutboxReader> reader;
  test::Jobs jobs;

  explicit Fixture(const std::vector<std::string>& lines) {
    auto opened = Outbox::Open(file, 7);
    REQUIRE(opened);
    outbox.emplace(std::move(*opened));
    auto reading = OutboxReader::Open(file);
    REQUIRE(reading);
    reader.emplace(std::move(*reading));
    auto accepted = Accept(*outbox, lines, kNow);
    REQUIRE(accepted);
    jobs = std::move(*accepted);
  }

  Sequence At(std::size_t index) const { return jobs[index]->sequence; }

  void Park(std::size_t index, LaneKey lane) {
    WriteBatch batch;
    batch.parks.push_back({At(index), lane, {}});
    REQUIRE(outbox->Write(batch, kNow));
  }

  void Defer(std::size_t index) {
    Outcome outcome = OutcomeOf(test::NewJob(jobs[index]->job.line), OutcomeKind::kDeferred, 503);
    outcome.job->sequence = At(index);
    outcome.job->stamp = jobs[index]->stamp;
    REQUIRE(Settle(*outbox, outcome, kNow));
  }

  OutboxReader::Page Read(Sequence after, std::size_t count_max = 100, std::size_t bytes_max = 1 << 20,
                          std::size_t examined_max = 100) {
    auto page = reader->ReadAfter("default", after, count_max, bytes_max, examined_max);
    REQUIRE(page);
    return std::move(*page);
  }
};

std::vector<std::string> Lines(std::size_t count, const std::string& connection = "default") {
  std::vector<std::string> lines;
  for (std::size_t index = 0; index < count; ++index)
    lines.push_back(TrackLine(std::to_string(index), "n", connection));
  return lines;
}

std::vector<Sequence> SequencesOf(const std::vector<StoredJob>& jobs) {
  std::vector<Sequence> sequences;
  for (const StoredJob& stored : jobs) sequences.push_back(stored.job->sequence);
  return sequences;
}

}  // namespace

TEST_CASE("reader: a job comes back as it was accepted") {
  Fixture fixture({R"({"type":"identify","id":42,"attributes":{"n":1e400,"b":-0},"ref":"r","max_age":7})"});
  const auto page = fixture.Read(Sequence{});
  REQUIRE(page.jobs.size() == 1);
  const QueuedJob& job = *page.jobs[0].job;
  CHECK(page.jobs[0].unreadable.empty());
  CHECK(job.sequence == fixture.At(0));
  CHECK(job.stamp.id == fixture.jobs[0]->stamp.id);
  CHECK(job.stamp.accepted == kNow);
  CHECK(job.job.line == fixture.jobs[0]->job.line);
  CHECK(job.job.customer == "42");
  CHECK(job.job.max_age == std::chrono::seconds(7));
  CHECK_FALSE(job.due);
  CHECK_FALSE(job.redriven);
}

TEST_CASE("reader: pages follow one another without gap or repeat, whatever limit ends them") {
  Fixture fixture(Lines(20));
  const std::size_t line_bytes = fixture.jobs[0]->job.line.size();
  const auto walk = [&](std::size_t count_max, std::size_t bytes_max, std::size_t examined_max) {
    std::vector<Sequence> seen;
    Sequence after{};
    for (bool at_end = false; !at_end;) {
      const auto page = fixture.Read(after, count_max, bytes_max, examined_max);
      const std::vector<Sequence> sequences = SequencesOf(page.jobs);
      seen.insert(seen.end(), sequences.begin(), sequences.end());
      REQUIRE((page.at_end || page.through > after));
      after = page.through;
      at_end = page.at_end;
    }
    std::vector<Sequence> all;
    for (const auto& job : fixture.jobs) all.push_back(job->sequence);
    CHECK(seen == all);
  };
  walk(3, 1 << 20, 100);
  walk(100, line_bytes * 2, 100);
  walk(100, 1, 100);
  walk(100, 1 << 20, 7);
  walk(20, 1 << 20, 20);
}

TEST_CASE(
    "reader: a page leaves out deferred and parked rows and those of other connections, and says how far it "
    "looked") {
  auto lines = Lines(6);
  lines[5] = TrackLine("5", "n", "other");
  Fixture fixture(lines);
  fixture.Defer(1);
  fixture.Park(2, LaneKey{5});
  const auto page = fixture.Read(Sequence{});
  CHECK(SequencesOf(page.jobs) == std::vector{fixture.At(0), fixture.At(3), fixture.At(4)});
  CHECK(page.through == fixture.At(5));
  CHECK(page.at_end);
}

TEST_CASE("reader: deferred jobs come back with due time and attempts, by connection") {
  Fixture fixture(Lines(3));
  fixture.Defer(2);
  fixture.Defer(0);
  const auto deferred = test::ReadDeferred(*fixture.reader, "default");
  REQUIRE(deferred);
  CHECK(SequencesOf(*deferred) == std::vector{fixture.At(0), fixture.At(2)});
  CHECK(deferred->front().job->due);
  CHECK(deferred->front().job->attempts == 1);
  CHECK(test::ReadDeferred(*fixture.reader, "other")->empty());
}

TEST_CASE("reader: parked jobs are found by lane; a deferred one is not waiting for its lane") {
  const LaneKey high{0xffff'ffff'ffff'fff0};
  Fixture fixture(Lines(5));
  fixture.Park(1, LaneKey{5});
  fixture.Park(2, high);
  fixture.Park(3, LaneKey{5});
  fixture.Park(4, LaneKey{6});
  fixture.Defer(4);
  auto lanes = fixture.reader->ReadParkedLanes("default");
  REQUIRE(lanes);
  REQUIRE(lanes->size() == 2);
  for (const auto& lane : *lanes) CHECK(lane.first == (lane.lane == high ? fixture.At(2) : fixture.At(1)));
  const auto read = [&](LaneKey lane, Sequence from, std::size_t count_max, std::size_t bytes_max = 1 << 20) {
    auto parked = fixture.reader->ReadParked("default", lane, from, count_max, bytes_max);
    REQUIRE(parked);
    return std::pair(SequencesOf(parked->jobs), parked->next);
  };
  const std::size_t line_bytes = fixture.jobs[1]->job.line.size();
  CHECK(read(LaneKey{5}, Sequence{}, 10) ==
        std::pair(std::vector{fixture.At(1), fixture.At(3)}, std::optional<Sequence>()));
  CHECK(read(LaneKey{5}, fixture.At(2), 10) ==
        std::pair(std::vector{fixture.At(3)}, std::optional<Sequence>()));
  for (const std::size_t bytes_max : {std::size_t{0}, line_bytes}) {
    CHECK(read(LaneKey{5}, Sequence{}, 10, bytes_max) ==
          std::pair(std::vector{fixture.At(1)}, std::optional(fixture.At(3))));
  }
  CHECK(read(LaneKey{5}, Sequence{}, 10, line_bytes + 1).first.size() == 2);
  CHECK(read(LaneKey{5}, Sequence{}, 1) ==
        std::pair(std::vector{fixture.At(1)}, std::optional(fixture.At(3))));
  CHECK(read(LaneKey{6}, Sequence{}, 10).first.empty());
  CHECK(fixture.reader->CountParked("default") == 4);
}

TEST_CASE("reader: a lane has only jobs of its connection, whoever else is parked under its key") {
  auto lines = Lines(4);
  lines[0] = TrackLine("0", "n", "other");
  lines[2] = TrackLine("2", "n", "other");
  Fixture fixture(lines);
  for (std::size_t index = 0; index < 4; ++index) fixture.Park(index, LaneKey{5});
  const auto check = [&](const std::string& connection, std::size_t first, std::size_t second) {
    CAPTURE(connection);
    const auto lanes = fixture.reader->ReadParkedLanes(connection);
    REQUIRE((lanes && lanes->size() == 1));
    CHECK(lanes->front().lane == LaneKey{5});
    CHECK(lanes->front().first == fixture.At(first));
    const auto parked = fixture.reader->ReadParked(connection, LaneKey{5}, Sequence{}, 10, 1 << 20);
    REQUIRE(parked);
    CHECK(SequencesOf(parked->jobs) == std::vector{fixture.At(first), fixture.At(second)});
    CHECK_FALSE(parked->next);
    CHECK(fixture.reader->ReadParked(connection, LaneKey{5}, Sequence{}, 1, 1 << 20)->next ==
          fixture.At(second));
  };
  check("default", 1, 3);
  check("other", 0, 2);
  CHECK(fixture.reader->ReadParkedLanes("nobody")->empty());
}

TEST_CASE("reader: a parked row whose number no job can have hides nothing of its lane") {
  Fixture fixture(Lines(3));
  for (std::size_t index = 0; index < 3; ++index) fixture.Park(index, LaneKey{5});
  auto database = Database::Open(fixture.file, OpenMode::kReadWrite);
  REQUIRE(database);
  REQUIRE(
      database->Execute("UPDATE outbox SET seq = -1 WHERE seq = " + std::to_string(ToNumber(fixture.At(0)))));
  const auto lanes = fixture.reader->ReadParkedLanes("default");
  REQUIRE((lanes && lanes->size() == 1));
  CHECK(lanes->front().first == fixture.At(1));
}

TEST_CASE("reader: a lane key that is not an integer is none: its row is read like one that is not parked") {
  for (const char* key : {"'x'", "5.5", "2.5", "-1e300", "1e300", "x'00'"}) {
    CAPTURE(key);
    Fixture fixture(Lines(3));
    fixture.Park(0, LaneKey{3});
    fixture.Park(2, LaneKey{7});
    auto database = Database::Open(fixture.file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(database->Execute(std::string("UPDATE outbox SET parked = ") + key +
                              " WHERE seq = " + std::to_string(ToNumber(fixture.At(1)))));
    const auto lanes = fixture.reader->ReadParkedLanes("default");
    REQUIRE_MESSAGE(lanes, (lanes ? "" : lanes.error().message));
    REQUIRE(lanes->size() == 2);
    CHECK((*lanes)[0].first == fixture.At(0));
    CHECK((*lanes)[1].first == fixture.At(2));
    const auto page = fixture.Read(Sequence{});
    CHECK(SequencesOf(page.jobs) == std::vector{fixture.At(1)});
    CHECK_FALSE(page.jobs.front().parked);
    CHECK(fixture.reader->CountParked("default") == 2);
  }
}

TEST_CASE("reader: a damaged row comes back as unreadable, with its columns, and hides nothing behind it") {
  Fixture fixture(Lines(4));
  {
    auto database = Database::Open(fixture.file, OpenMode::kReadWrite);
    REQUIRE(database);
    const auto where = [&](std::size_t index) {
      return " WHERE seq = " + std::to_string(ToNumber(fixture.At(index)));
    };
    REQUIRE(database->Execute("UPDATE outbox SET line = 'x'" + where(0)));
    REQUIRE(database->Execute("UPDATE outbox SET job = 'x'" + where(1)));
    REQUIRE(database->Execute("UPDATE outbox SET line = x'ff00fe'" + where(2)));
  }
  const auto page = fixture.Read(Sequence{});
  REQUIRE(page.jobs.size() == 4);
  for (std::size_t index = 0; index < 3; ++index) {
    CHECK_FALSE(page.jobs[index].unreadable.empty());
    CHECK(page.jobs[index].job->sequence == fixture.At(index));
    CHECK(page.jobs[index].job->job.connection == "default");
  }
  CHECK(page.jobs[3].unreadable.empty());
}

TEST_CASE("reader: a stored job whose path would leave base_url comes back as unreadable, with the reason") {
  Fixture fixture({});
  test::Jobs jobs;
  WriteBatch batch;
  for (const char* line :
       {R"({"type":"destroy","id":".."})", R"({"type":"raw","method":"GET","path":"/v1/..%2fx"})",
        R"({"type":"raw","method":"TRACE","path":"/v1/x","headers":{"TE":"x"}})"}) {
    auto& queued = jobs.emplace_back(std::make_unique<QueuedJob>());
    queued->job = std::move(*ParseStoredLine(line));
    batch.accepted.push_back(queued.get());
  }
  REQUIRE(fixture.outbox->Write(batch, kNow));
  const auto page = fixture.Read(Sequence{});
  REQUIRE(page.jobs.size() == 3);
  CHECK(page.jobs[0].unreadable.find("base_url") != std::string::npos);
  CHECK(page.jobs[0].job->job.customer == "..");
  CHECK_FALSE(page.jobs[1].unreadable.empty());
  CHECK(page.jobs[2].unreadable.empty());
}

TEST_CASE("reader: a job that is gone is not an error") {
  Fixture fixture(Lines(1));
  REQUIRE(fixture.outbox->operator_work().Cancel(fixture.At(0), kNow));
  const auto gone = fixture.reader->ReadOne(fixture.At(0));
  REQUIRE(gone);
  CHECK_FALSE(*gone);
  CHECK(fixture.reader->CountDead(DeadFilter{}) == 1);
}

TEST_CASE("reader: the oldest waiting job tells its age") {
  Fixture fixture(Lines(2));
  CHECK(fixture.reader->Oldest("default").value() == kNow);
  CHECK_FALSE(fixture.reader->Oldest("other").value());
}

}  // namespace outboxd
