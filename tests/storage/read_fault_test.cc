// Every read from the disk fails once, at its turn. Who asked is told so, nothing has changed, and the same
// question is then answered.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "storage/inspection.h"
#include "storage/outbox_reader.h"
#include "tests/storage/outbox_script.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::CheckCounts;
using test::Expected;
using test::FaultVfs;
using test::ReadTables;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);
constexpr std::size_t kEach = 12;  // dead, deferred, parked and ready jobs; their lines fill several pages
constexpr std::uint64_t kReadsMax = 500;

// An outbox with rows in every table. It is closed, so that nothing of it is in memory.
struct Fixture {
  TempDir folder;
  FaultVfs vfs;
  std::filesystem::path file = folder / "outbox.db";
  test::Jobs jobs;

  Fixture() {
    auto outbox = Outbox::Open(file, 7);
    REQUIRE(outbox);
    std::vector<std::string> lines;
    for (std::size_t index = 0; index < 4 * kEach; ++index) {
      lines.push_back(R"({"type":"track","id":")" + std::to_string(index % 2) + R"(","name":"n)" +
                      std::to_string(index) + R"(","data":{"x":")" + std::string(3'000, 'x') + R"("}})");
    }
    auto accepted = test::Accept(*outbox, lines, kNow);
    REQUIRE(accepted);
    jobs = std::move(*accepted);
    for (std::size_t index = 0; index < kEach; ++index) {
      REQUIRE(test::Settle(*outbox, OutcomeOf(index, OutcomeKind::kDead), kNow));
      REQUIRE(test::Settle(*outbox, OutcomeOf(kEach + index, OutcomeKind::kDeferred), kNow));
      WriteBatch batch;
      batch.parks.push_back({jobs[2 * kEach + index]->sequence, LaneKey{index / 6 + 1}, {}});
      batch.gates.emplace_back("default", GateSnapshot{});
      REQUIRE(outbox->Write(batch, kNow));
    }
    REQUIRE(outbox->maintenance().TruncateWal());
  }

  Outcome OutcomeOf(std::size_t index, OutcomeKind kind) const {
    auto copy = test::NewJob(jobs[index]->job.line);
    copy->sequence = jobs[index]->sequence;
    copy->stamp = jobs[index]->stamp;
    Outcome outcome = test::OutcomeOf(std::move(copy), kind, 400);
    outcome.attempt->answer = std::string(1'000, 'a');
    return outcome;
  }
};

template <typename T>
void CheckTold(const Result<T>& result) {
  if (result) return;
  CHECK_MESSAGE(result.error().kind == ErrorKind::kIo, result.error().message);
}

template <typename Reader>
void OpenWithFaults(const std::filesystem::path& file, FaultVfs& vfs,
                    const std::function<Result<Reader>()>& open) {
  CAPTURE(file);
  for (std::uint64_t read = 1;; ++read) {
    CAPTURE(read);
    REQUIRE(read < kReadsMax);
    vfs.FailReadAt(read);
    CheckTold(open());
    vfs.Heal();
    if (!vfs.HasFired()) {
      CHECK(read > 1);
      return;
    }
    const auto again = open();
    REQUIRE_MESSAGE(again, (again ? "" : again.error().message));
  }
}

template <typename Reader>
struct Question {
  std::string name;
  std::function<Result<std::string>(Reader&)> ask;
};

template <typename Reader>
void AskWithFaults(const Fixture& fixture, FaultVfs& vfs, const Question<Reader>& question) {
  CAPTURE(question.name);
  auto undisturbed = Reader::Open(fixture.file);
  REQUIRE_MESSAGE(undisturbed, (undisturbed ? "" : undisturbed.error().message));
  const Result<std::string> expected = question.ask(*undisturbed);
  REQUIRE(expected);
  CHECK_FALSE(expected->empty());
  for (std::uint64_t read = 1;; ++read) {
    CAPTURE(read);
    REQUIRE(read < kReadsMax);
    auto reader = Reader::Open(fixture.file);
    REQUIRE(reader);
    vfs.FailReadAt(read);
    const Result<std::string> answer = question.ask(*reader);
    CheckTold(answer);
    if (answer) CHECK(*answer == *expected);
    vfs.Heal();
    if (!vfs.HasFired()) {
      CHECK(read > 1);
      return;
    }
    const Result<std::string> again = question.ask(*reader);
    REQUIRE_MESSAGE(again, (again ? "" : again.error().message));
    CHECK(*again == *expected);
  }
}

std::string Say(const StoredJob& stored) {
  return std::to_string(ToNumber(stored.job->sequence)) + stored.unreadable + ' ';
}
template <typename Row>
std::string Say(const Row& row) {
  return std::to_string(ToNumber(row.sequence)) + ' ' + row.job + ' ';
}
std::string Say(const DeadGroup& group) {
  return group.cause + std::to_string(group.count) + ' ';
}
std::string Say(const OutboxReader::ParkedLane& lane) {
  return std::to_string(ToNumber(lane.first)) + ' ';
}

template <typename Row>
Result<std::string> SayAll(const Result<std::vector<Row>>& rows) {
  if (!rows) return Failure(rows.error());
  std::string text;
  for (const Row& row : *rows) text += Say(row);
  return text;
}

template <typename Row>
Result<std::string> SayAll(const Result<Page<Row>>& page) {
  if (!page) return Failure(page.error());
  return SayAll(Result<std::vector<Row>>(page->rows));
}

Result<std::string> SayParked(const Result<OutboxReader::Parked>& parked) {
  if (!parked) return Failure(parked.error());
  std::string text;
  for (const StoredJob& stored : parked->jobs) text += Say(stored);
  return text;
}

template <typename Row>
Result<std::string> SayOne(const Result<std::optional<Row>>& row) {
  if (!row) return Failure(row.error());
  return *row ? Say(**row) : std::string();
}

Result<std::string> SayCount(const Result<std::uint64_t>& count) {
  if (!count) return Failure(count.error());
  return std::to_string(*count);
}

// What an operator or the dispatcher does to an outbox.
struct Deed {
  std::string name;
  std::function<Result<void>(Outbox&)> work;
};

template <typename T>
Result<void> Plain(const Result<T>& result) {
  if (!result) return Failure(result.error());
  return {};
}

// One table's step.
Result<void> ForgetIn(Outbox& outbox, std::size_t table, const Counts& expected) {
  OperatorWork::Walk walk{.table = table, .after = Sequence{}, .redrives = 0};
  Counts counts;
  const auto step = outbox.operator_work().Forget("1", std::nullopt, walk, 100, counts);
  CHECK(counts.jobs == (step ? expected.jobs : 0));
  CHECK(counts.dead == (step ? expected.dead : 0));
  CHECK(counts.attempts == (step ? expected.attempts : 0));
  return Plain(step);
}

void DoWithFaults(Fixture& fixture, const Deed& deed) {
  CAPTURE(deed.name);
  const Expected before = ReadTables(fixture.file);
  Expected after;
  const auto file = fixture.folder / "trial.db";
  for (std::uint64_t read = 0;; ++read) {  // the first time undisturbed
    CAPTURE(read);
    REQUIRE(read < kReadsMax);
    std::filesystem::copy_file(fixture.file, file, std::filesystem::copy_options::overwrite_existing);
    auto outbox = Outbox::Open(file, 7);
    REQUIRE(outbox);
    fixture.vfs.FailReadAt(read);
    Result<void> done = deed.work(*outbox);
    const bool fired = fixture.vfs.HasFired();
    fixture.vfs.Heal();
    CheckTold(done);
    CheckCounts(*outbox, file);
    if (!done) {
      CHECK(fired);
      CHECK((ReadTables(file) == before));
      done = deed.work(*outbox);
      REQUIRE_MESSAGE(done, (done ? "" : done.error().message));
      CheckCounts(*outbox, file);
    }
    if (read == 0) after = ReadTables(file);
    CHECK((ReadTables(file) == after));
    if (read > 0 && !fired) {
      CHECK(read > 1);
      return;
    }
  }
}

}  // namespace

TEST_CASE(
    "read faults: an outbox is opened or not, and a disk that fails to read is not called a damaged file") {
  Fixture fixture;
  OpenWithFaults<Outbox>(fixture.file, fixture.vfs, [&] { return Outbox::Open(fixture.file, 7); });
  OpenWithFaults<OutboxReader>(fixture.file, fixture.vfs, [&] { return OutboxReader::Open(fixture.file); });
}

TEST_CASE(
    "read faults: the dispatcher's questions fail as a whole, and the same reader answers the next time") {
  Fixture fixture;
  const std::vector<Question<OutboxReader>> questions = {
      {"after",
       [](OutboxReader& reader) -> Result<std::string> {
         ASSIGN_OR_RETURN(const auto page, reader.ReadAfter("default", Sequence{0}, 100, 1 << 20, 1'000));
         std::string text;
         for (const StoredJob& stored : page.jobs) text += Say(stored);
         return text + std::to_string(ToNumber(page.through));
       }},
      {"one", [&](OutboxReader& reader) { return SayOne(reader.ReadOne(fixture.jobs.back()->sequence)); }},
      {"parked",
       [](OutboxReader& reader) {
         return SayParked(reader.ReadParked("default", LaneKey{1}, Sequence{0}, 100, 1 << 20));
       }},
      {"deferred", [](OutboxReader& reader) { return SayAll(test::ReadDeferred(reader, "default")); }},
      {"parked lanes", [](OutboxReader& reader) { return SayAll(reader.ReadParkedLanes("default")); }},
      {"count of parked", [](OutboxReader& reader) { return SayCount(reader.CountParked("default")); }},
      {"count of dead", [](OutboxReader& reader) { return SayCount(reader.CountDead(DeadFilter{})); }},
      {"gates",
       [](OutboxReader& reader) -> Result<std::string> {
         ASSIGN_OR_RETURN(const auto gates, reader.ReadGates());
         return std::to_string(gates.size());
       }},
      {"oldest",
       [](OutboxReader& reader) -> Result<std::string> {
         ASSIGN_OR_RETURN(const auto oldest, reader.Oldest("default"));
         return std::to_string(ToUnixMs(oldest.value()));
       }},
  };
  for (const auto& question : questions) AskWithFaults(fixture, fixture.vfs, question);
}

TEST_CASE(
    "read faults: an operator's questions fail as a whole, and the same inspection answers the next time") {
  Fixture fixture;
  const auto at = [&](std::size_t index) { return fixture.jobs[index]->sequence; };
  const std::vector<Question<Inspection>> questions = {
      {"jobs", [](Inspection& inspection) { return SayAll(inspection.Jobs({}, {})); }},
      {"job", [&](Inspection& inspection) { return SayOne(inspection.Job(at(kEach))); }},
      {"deferred before",
       [&](Inspection& inspection) {
         return SayOne(inspection.DeferredBefore("default", "0", at(3 * kEach)));
       }},
      {"parked before",
       [&](Inspection& inspection) { return SayOne(inspection.ParkedBefore(1, at(3 * kEach))); }},
      {"dead", [](Inspection& inspection) { return SayAll(inspection.DeadRows({}, {}, Detail::kFull)); }},
      {"one dead", [&](Inspection& inspection) { return SayOne(inspection.Dead(at(0))); }},
      {"dead groups", [](Inspection& inspection) { return SayAll(inspection.DeadGroups()); }},
      {"attempts of a job",
       [&](Inspection& inspection) { return SayAll(inspection.Attempts(fixture.jobs[0]->stamp.id)); }},
      {"attempts", [](Inspection& inspection) { return SayAll(inspection.Attempts(AttemptFilter{}, {})); }},
  };
  for (const auto& question : questions) AskWithFaults(fixture, fixture.vfs, question);
}

TEST_CASE("read faults: a deed is done or not, and done the next time it is asked for") {
  Fixture fixture;
  const std::vector<Deed> deeds = {
      {"write",
       [&](Outbox& outbox) {
         const auto accepted = test::NewJob(test::TrackLine("1"));
         const Outcome dead = fixture.OutcomeOf(kEach, OutcomeKind::kDead);
         const Outcome deferred = fixture.OutcomeOf(2 * kEach, OutcomeKind::kDeferred);
         const Outcome delivered = fixture.OutcomeOf(3 * kEach, OutcomeKind::kDelivered);
         const Outcome neighbour = fixture.OutcomeOf(3 * kEach + 1, OutcomeKind::kDelivered);
         const Outcome late = fixture.OutcomeOf(0, OutcomeKind::kDelivered);
         WriteBatch batch;
         batch.accepted.push_back(accepted.get());
         batch.outcomes = {&dead, &deferred, &delivered, &neighbour, &late};
         batch.parks.push_back({fixture.jobs.back()->sequence, LaneKey{9}, {}});
         batch.gates.emplace_back("other", GateSnapshot{});
         return outbox.Write(batch, kNow);
       }},
      {"redrive", [](Outbox& outbox) { return Plain(test::Redrive(outbox, DeadFilter{}, kNow)); }},
      {"drop",
       [](Outbox& outbox) {
         OperatorWork::Walk walk;
         return Plain(outbox.operator_work().Drop(DeadFilter{}, walk, 100));
       }},
      {"cancel",
       [&](Outbox& outbox) {
         return Plain(outbox.operator_work().Cancel(fixture.jobs[kEach]->sequence, kNow));
       }},
      {"forget waiting jobs",
       [](Outbox& outbox) { return ForgetIn(outbox, 0, Counts{.jobs = 3 * kEach / 2}); }},
      {"forget dead letters", [](Outbox& outbox) { return ForgetIn(outbox, 1, Counts{.dead = kEach / 2}); }},
      {"forget history", [](Outbox& outbox) { return ForgetIn(outbox, 2, Counts{.attempts = kEach}); }},
      {"prune",
       [](Outbox& outbox) { return Plain(outbox.maintenance().PruneHistory(FromUnixMs(0), 2, 100)); }},
  };
  for (const Deed& deed : deeds) DoWithFaults(fixture, deed);
}

}  // namespace outboxd
