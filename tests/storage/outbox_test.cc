// The durable queue on real SQLite files.
#include "storage/outbox.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "storage/outbox_reader.h"
#include "storage/schema.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::Accept;
using test::Ask;
using test::AskText;
using test::CheckCounts;
using test::Jobs;
using test::OutcomeOf;
using test::Settle;
using test::TrackLine;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

struct Fixture {
  TempDir folder;
  std::filesystem::path file = folder / "outbox.db";
  std::optional<Outbox> outbox;

  Fixture() { Reopen(); }

  void Reopen() {
    outbox.reset();
    auto opened = Outbox::Open(file, 7);
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().message));
    outbox.emplace(std::move(*opened));
  }

  std::unique_ptr<QueuedJob> AcceptOne(const std::string& line = TrackLine("42")) {
    auto jobs = Accept(*outbox, {line}, kNow);
    REQUIRE(jobs);
    return std::move(jobs->front());
  }

  std::unique_ptr<QueuedJob> BuryOne(const std::string& line = TrackLine("42")) {
    Outcome outcome = OutcomeOf(AcceptOne(line), OutcomeKind::kDead, 400);
    REQUIRE(Settle(*outbox, outcome, kNow));
    return std::move(outcome.job);
  }

  std::string Bytes() const { return ReadFile(file) + ReadFile(file.string() + "-wal"); }
};

Sequence SequenceNumber(std::uint64_t number) {
  return Sequence{number};
}

}  // namespace

TEST_CASE("outbox: a new file has our identity, a write-ahead log and the format's version") {
  Fixture fixture;
  CHECK(Ask(fixture.file, "PRAGMA application_id") == schema::kApplicationId);
  CHECK(Ask(fixture.file, "PRAGMA user_version") == std::int64_t{schema::kMigrations.size()});
  CHECK(Ask(fixture.file, "PRAGMA auto_vacuum") == 2);
  CHECK(AskText(fixture.file, "PRAGMA journal_mode") == "wal");
  CHECK(fixture.outbox->Total().jobs == 0);
}

TEST_CASE(
    "outbox: an accepted job is stored with its line and an id that carries its sequence, in the order "
    "given") {
  Fixture fixture;
  auto jobs =
      Accept(*fixture.outbox,
             {TrackLine("1"), TrackLine("2"), R"({"type":"raw","method":"GET","path":"/v1/x"})"}, kNow);
  REQUIRE(jobs);
  std::uint64_t last = 0;
  for (const auto& job : *jobs) {
    CHECK(ToNumber(job->sequence) > last);
    last = ToNumber(job->sequence);
    CHECK(job->stamp.id.SequencePart() == job->sequence);
    CHECK(job->stamp.id.Time() == kNow);
    CHECK(job->stamp.accepted == kNow);
    const std::string where = " FROM outbox WHERE seq = " + std::to_string(last);
    CHECK(AskText(fixture.file, "SELECT job" + where) == job->stamp.id.ToText());
    CHECK(AskText(fixture.file, "SELECT line" + where) == job->job.line);
    CHECK(Ask(fixture.file, "SELECT accepted_ms" + where) == ToUnixMs(kNow));
  }
  CHECK(fixture.outbox->LastSequence() == SequenceNumber(last));
  CHECK(Ask(fixture.file, "SELECT customer IS NULL FROM outbox WHERE seq = " + std::to_string(last)) == 1);
  CheckCounts(*fixture.outbox, fixture.file);
}

TEST_CASE(
    "outbox: sequences are never used twice, also not after the queue ran empty or the file was opened "
    "anew") {
  Fixture fixture;
  std::uint64_t last = 0;
  for (int round = 0; round < 4; ++round) {
    for (int count = 0; count < 3; ++count) {
      Outcome outcome = OutcomeOf(fixture.AcceptOne(), OutcomeKind::kDelivered, 200);
      CHECK(ToNumber(outcome.job->sequence) > last);
      last = ToNumber(outcome.job->sequence);
      REQUIRE(Settle(*fixture.outbox, outcome, kNow));
    }
    CHECK(fixture.outbox->Total().jobs == 0);
    CHECK(Ask(fixture.file, "SELECT count(*) FROM outbox") == 0);
    fixture.Reopen();
    CHECK(fixture.outbox->LastSequence() >= SequenceNumber(last));
  }
}

TEST_CASE("outbox: each kind of outcome leaves what it should") {
  Fixture fixture;
  const auto where = [](const QueuedJob& job) {
    return " WHERE seq = " + std::to_string(ToNumber(job.sequence));
  };

  SUBCASE("delivered: the row goes, the attempt stays") {
    Outcome outcome = OutcomeOf(fixture.AcceptOne(), OutcomeKind::kDelivered, 200);
    REQUIRE(Settle(*fixture.outbox, outcome, kNow));
    CHECK(Ask(fixture.file, "SELECT count(*) FROM outbox") == 0);
    CHECK(AskText(fixture.file, "SELECT result FROM attempts" + where(*outcome.job)) == "delivered");
    CHECK(Ask(fixture.file, "SELECT status FROM attempts" + where(*outcome.job)) == 200);
    CHECK(fixture.outbox->Total().attempts == 1);
  }
  SUBCASE("deferred: due time, attempts and reason are kept") {
    Outcome outcome = OutcomeOf(fixture.AcceptOne(), OutcomeKind::kDeferred, 503);
    outcome.job->charged = 1;
    REQUIRE(Settle(*fixture.outbox, outcome, kNow));
    CHECK(Ask(fixture.file, "SELECT due_ms FROM outbox" + where(*outcome.job)) ==
          ToUnixMs(*outcome.job->due));
    CHECK(Ask(fixture.file, "SELECT attempts * 10 + charged FROM outbox" + where(*outcome.job)) == 11);
    CHECK(AskText(fixture.file, "SELECT reason FROM outbox" + where(*outcome.job)) == outcome.reason);
    CHECK(fixture.outbox->Total().jobs == 1);
  }
  SUBCASE("returned: ready again, recorded, not charged") {
    Outcome outcome = OutcomeOf(fixture.AcceptOne(), OutcomeKind::kReturned, 401);
    REQUIRE(Settle(*fixture.outbox, outcome, kNow));
    CHECK(Ask(fixture.file, "SELECT due_ms IS NULL AND charged = 0 AND attempts = 1 FROM outbox" +
                                where(*outcome.job)) == 1);
    CHECK(fixture.outbox->Total().attempts == 1);
  }
  SUBCASE("dead: moved to the dead letters with everything") {
    Outcome outcome = OutcomeOf(fixture.AcceptOne(), OutcomeKind::kDead, 400);
    REQUIRE(Settle(*fixture.outbox, outcome, kNow));
    CHECK(Ask(fixture.file, "SELECT count(*) FROM outbox") == 0);
    CHECK(AskText(fixture.file, "SELECT death || ' ' || status || ' ' || attempts FROM dead_letters" +
                                    where(*outcome.job)) == "rejected 400 1");
    CHECK(AskText(fixture.file, "SELECT line FROM dead_letters" + where(*outcome.job)) ==
          outcome.job->job.line);
    CHECK(AskText(fixture.file, "SELECT cause FROM dead_letters" + where(*outcome.job)) == outcome.cause);
    CHECK(fixture.outbox->Total().dead == 1);
  }
  SUBCASE("expired without an attempt: dead, no attempt recorded") {
    Outcome outcome = OutcomeOf(fixture.AcceptOne(), OutcomeKind::kDead, 0);
    outcome.death = Death::kExpired;
    REQUIRE(Settle(*fixture.outbox, outcome, kNow));
    CHECK(AskText(fixture.file, "SELECT death FROM dead_letters" + where(*outcome.job)) == "expired");
    CHECK(Ask(fixture.file, "SELECT status IS NULL FROM dead_letters" + where(*outcome.job)) == 1);
    CHECK(fixture.outbox->Total().attempts == 0);
  }
  SUBCASE("of a job that is gone: only the attempt is added") {
    auto job = fixture.AcceptOne();
    REQUIRE(fixture.outbox->operator_work().Cancel(job->sequence, kNow));
    for (const OutcomeKind kind :
         {OutcomeKind::kDelivered, OutcomeKind::kDeferred, OutcomeKind::kReturned, OutcomeKind::kDead}) {
      Outcome outcome = OutcomeOf(std::move(job), kind, 500);
      REQUIRE(Settle(*fixture.outbox, outcome, kNow));
      job = std::move(outcome.job);
    }
    CHECK(fixture.outbox->Total().jobs == 0);
    CHECK(fixture.outbox->Total().dead == 1);
    CHECK(fixture.outbox->Total().attempts == 4);
    CHECK(AskText(fixture.file, "SELECT death || attempts FROM dead_letters") ==
          "cancelled4");  // a redrive counts on from there
  }
  CheckCounts(*fixture.outbox, fixture.file);
  fixture.Reopen();
  CheckCounts(*fixture.outbox, fixture.file);
}

TEST_CASE(
    "outbox: neighbours that were delivered leave together, and one that was cancelled meanwhile keeps its "
    "attempt") {
  Fixture fixture;
  auto jobs = Accept(*fixture.outbox,
                     {TrackLine("1"), TrackLine("2"), TrackLine("3"), TrackLine("4"), TrackLine("5")}, kNow);
  REQUIRE(jobs);
  const Sequence cancelled = (*jobs)[2]->sequence;
  REQUIRE(fixture.outbox->operator_work().Cancel(cancelled, kNow));
  std::vector<Outcome> outcomes;
  for (std::size_t index : {3U, 1U, 0U, 2U})
    outcomes.push_back(OutcomeOf(std::move((*jobs)[index]), OutcomeKind::kDelivered, 200));
  WriteBatch batch;
  for (const Outcome& outcome : outcomes) batch.outcomes.push_back(&outcome);
  REQUIRE(fixture.outbox->Write(batch, kNow));
  CHECK(fixture.outbox->Total().jobs == 1);
  CHECK(fixture.outbox->Total().attempts == 4);
  CHECK(Ask(fixture.file,
            "SELECT attempts FROM dead_letters WHERE seq = " + std::to_string(ToNumber(cancelled))) == 1);
  CheckCounts(*fixture.outbox, fixture.file);
}

TEST_CASE("outbox: counts are kept by connection") {
  Fixture fixture;
  REQUIRE(Accept(*fixture.outbox,
                 {TrackLine("1", "a", "one"), TrackLine("1", "a", "two"), TrackLine("2", "a", "two")}, kNow));
  CHECK(fixture.outbox->CountsByConnection().at("one").jobs == 1);
  CHECK(fixture.outbox->CountsByConnection().at("two").jobs == 2);
  CheckCounts(*fixture.outbox, fixture.file);
}

TEST_CASE("outbox: gates are stored and read back as they were") {
  Fixture fixture;
  GateSnapshot gate;
  gate.state = GateState::kThrottled;
  gate.detail = "503 Service Unavailable";
  gate.since = kNow;
  gate.reopen_at = kNow + Milliseconds(1'234);
  gate.failures = 3;
  WriteBatch batch;
  batch.gates.emplace_back("default", GateSnapshot{});
  batch.gates.emplace_back("default", gate);  // the newest of a batch counts
  REQUIRE(fixture.outbox->Write(batch, kNow));
  auto reader = OutboxReader::Open(fixture.file);
  REQUIRE(reader);
  const auto gates = reader->ReadGates();
  REQUIRE(gates);
  REQUIRE(gates->size() == 1);
  const GateSnapshot& read = gates->at("default");
  CHECK(read.state == gate.state);
  CHECK(read.detail == gate.detail);
  CHECK(read.since == gate.since);
  CHECK(read.reopen_at == gate.reopen_at);
  CHECK(read.failures == gate.failures);
}

TEST_CASE("outbox: a redriven job keeps its id, its time and its attempts, and is charged anew") {
  Fixture fixture;
  const auto dead = fixture.BuryOne();
  DeadFilter filter;
  filter.death = "rejected";
  const auto redriven = test::Redrive(*fixture.outbox, filter, kNow + Milliseconds(99));
  REQUIRE(redriven);
  CHECK(*redriven == std::vector{dead->sequence});
  auto reader = OutboxReader::Open(fixture.file);
  REQUIRE(reader);
  auto stored = reader->ReadOne(dead->sequence);
  REQUIRE(stored);
  REQUIRE(*stored);
  const QueuedJob& job = *(*stored)->job;
  CHECK(job.stamp.id == dead->stamp.id);
  CHECK(job.stamp.accepted == kNow);
  CHECK(job.redriven == kNow + Milliseconds(99));
  CHECK(job.attempts == 1);
  CHECK(job.charged == 0);
  CHECK_FALSE(job.due);
  CHECK(job.job.line == dead->job.line);
  CHECK(fixture.outbox->Total().dead == 0);
  CheckCounts(*fixture.outbox, fixture.file);

  Outcome again = OutcomeOf(std::move((*stored)->job), OutcomeKind::kDead, 400);
  REQUIRE(Settle(*fixture.outbox, again, kNow));
  CHECK(fixture.outbox->Total().attempts == 2);  // the second attempt does not replace the first
  CheckCounts(*fixture.outbox, fixture.file);
}

TEST_CASE("outbox: redrive and drop work in steps and only on what the filter means") {
  Fixture fixture;
  for (int count = 0; count < 5; ++count) fixture.BuryOne(TrackLine("1", "a", "one"));
  for (int count = 0; count < 3; ++count) fixture.BuryOne(TrackLine("1", "a", "two"));
  DeadFilter one;
  one.connection = "one";
  std::size_t redriven = 0;
  OperatorWork::Walk walk;
  for (bool more = true; more;) {
    const auto step = fixture.outbox->operator_work().Redrive(one, walk, kNow, 2);
    REQUIRE(step);
    CHECK(step->sequences.size() <= 2);
    redriven += step->sequences.size();
    more = step->more;
    CheckCounts(*fixture.outbox, fixture.file);
  }
  CHECK(redriven == 5);
  const auto dropped = fixture.outbox->operator_work().Drop(DeadFilter{}, walk = {}, 100);
  REQUIRE(dropped);
  CHECK(dropped->sequences.size() == 3);
  CHECK(fixture.outbox->Total().jobs == 5);
  CHECK(fixture.outbox->Total().dead == 0);
  CheckCounts(*fixture.outbox, fixture.file);
}

TEST_CASE("outbox: a redrive meets no dead letter twice, though it die again meanwhile") {
  Fixture fixture;
  for (int count = 0; count < 3; ++count) fixture.BuryOne();
  std::vector<Sequence> redriven;
  OperatorWork::Walk walk;
  for (bool more = true; more && redriven.size() < 10;) {
    const auto step = fixture.outbox->operator_work().Redrive(DeadFilter{}, walk, kNow, 1);
    REQUIRE(step);
    more = step->more;
    for (const Sequence sequence : step->sequences) {
      redriven.push_back(sequence);
      Outcome outcome = OutcomeOf(test::NewJob(TrackLine("42")), OutcomeKind::kDead, 400);
      outcome.job->sequence = sequence;
      REQUIRE(Settle(*fixture.outbox, outcome, kNow));
    }
  }
  CHECK(redriven.size() == 3);
  CHECK(fixture.outbox->Total().dead == 3);
}

TEST_CASE(
    "outbox: a step looks at a bounded number of rows, also where nothing matches; one job is found at "
    "once") {
  Fixture fixture;
  fixture.BuryOne();
  {
    auto database = Database::Open(fixture.file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(
        database->Execute("WITH RECURSIVE n(x) AS (SELECT 100 UNION ALL SELECT x + 1 FROM n WHERE x < 6000) "
                          "INSERT INTO dead_letters "
                          "SELECT x, job, connection, type, customer, accepted_ms, dead_ms, death, status, "
                          "reason, cause, answer, attempts, "
                          "line, uid, NULL, NULL, NULL FROM dead_letters, n"));
  }
  DeadFilter none;
  none.customer = "nobody";
  OperatorWork::Walk walk;
  const auto first = fixture.outbox->operator_work().Drop(none, walk, 100);
  REQUIRE(first);
  CHECK(first->more);
  const auto second = fixture.outbox->operator_work().Drop(none, walk, 100);
  REQUIRE(second);
  CHECK_FALSE(second->more);
  DeadFilter last;
  last.sequence = Sequence{6000};
  const auto found = fixture.outbox->operator_work().Drop(last, walk = {}, 100);
  REQUIRE(found);
  CHECK(found->sequences == std::vector{Sequence{6000}});
  CHECK_FALSE(found->more);
}

TEST_CASE("outbox: a cancelled job is a dead letter; one that is not waiting cannot be cancelled") {
  Fixture fixture;
  const auto job = fixture.AcceptOne();
  REQUIRE(fixture.outbox->operator_work().Cancel(job->sequence, kNow));
  CHECK(AskText(fixture.file, "SELECT death || ' ' || job FROM dead_letters") ==
        "cancelled " + job->stamp.id.ToText());
  CheckCounts(*fixture.outbox, fixture.file);
  const auto again = fixture.outbox->operator_work().Cancel(job->sequence, kNow);
  REQUIRE_FALSE(again);
  CHECK(again.error().kind == ErrorKind::kNotFound);
  CheckCounts(*fixture.outbox, fixture.file);
  REQUIRE(test::Redrive(*fixture.outbox, DeadFilter{}, kNow));
  CheckCounts(*fixture.outbox, fixture.file);
}

TEST_CASE("outbox: after forget no byte of the customer is left in the file or its log") {
  Fixture fixture;
  const std::string secret = "forget-me@example.com";
  const std::string long_name = secret + "-" + std::string(60, 'x');
  for (int count = 0; count < 20; ++count) {
    fixture.BuryOne(TrackLine(secret, long_name));
    Outcome deferred =
        OutcomeOf(fixture.AcceptOne(TrackLine(secret, long_name)), OutcomeKind::kDeferred, 503);
    deferred.attempt->answer = secret;
    REQUIRE(Settle(*fixture.outbox, deferred, kNow));
    fixture.AcceptOne(TrackLine("neighbour-of-" + std::to_string(count)));
    fixture.AcceptOne(R"({"type":"track","id":")" + secret + R"(","name":"big","data":{"x":")" +
                      std::string(20'000, 'y') + secret + R"("}})");
  }
  CHECK(fixture.Bytes().find(secret) != std::string::npos);

  Counts counts;
  std::size_t steps = 0;
  OperatorWork::Walk walk;
  for (bool more = true; more; ++steps) {
    const auto step = fixture.outbox->operator_work().Forget(secret, std::nullopt, walk, 7, counts);
    REQUIRE(step);
    more = step->more;
    CheckCounts(*fixture.outbox, fixture.file);
  }
  CHECK(steps > 10);
  CHECK_FALSE(fixture.outbox->maintenance().MustTruncateWal());
  CHECK(counts.jobs == 40);
  CHECK(counts.dead == 20);
  CHECK(counts.attempts == 40);
  CHECK(fixture.outbox->Total().jobs == 20);
  CHECK(fixture.Bytes().find(secret) == std::string::npos);
  CHECK(fixture.Bytes().find("neighbour-of-7") != std::string::npos);
}

TEST_CASE("outbox: what comes back of a job that was forgotten meanwhile leaves no trace") {
  Fixture fixture;
  for (const OutcomeKind kind :
       {OutcomeKind::kDelivered, OutcomeKind::kDeferred, OutcomeKind::kReturned, OutcomeKind::kDead}) {
    Outcome outcome = OutcomeOf(fixture.AcceptOne(TrackLine("forget-me@example.com")), kind, 400);
    REQUIRE(test::Forget(*fixture.outbox, "forget-me@example.com"));
    REQUIRE(Settle(*fixture.outbox, outcome, kNow));
    CheckCounts(*fixture.outbox, fixture.file);
    CHECK(fixture.outbox->Total().attempts == 0);
  }
  CHECK(fixture.Bytes().find("forget-me@example.com") == std::string::npos);
}

TEST_CASE(
    "outbox: while somebody reads the WAL a forget waits for nobody, and what it erased leaves the WAL "
    "afterwards") {
  Fixture fixture;
  fixture.AcceptOne(TrackLine("forget-me@example.com"));
  auto reader = Database::Open(fixture.file, OpenMode::kReadOnly);
  REQUIRE(reader);
  auto rows = reader->Prepare("SELECT seq FROM outbox");
  REQUIRE(rows);
  REQUIRE(rows->Step() == true);
  REQUIRE(test::Forget(*fixture.outbox, "forget-me@example.com"));
  CHECK(fixture.outbox->maintenance().MustTruncateWal());
  CHECK(fixture.Bytes().find("forget-me@example.com") != std::string::npos);
  rows->Reset();
  REQUIRE(fixture.outbox->maintenance().TruncateWal() == true);
  CHECK_FALSE(fixture.outbox->maintenance().MustTruncateWal());
  CHECK(fixture.Bytes().find("forget-me@example.com") == std::string::npos);
}

TEST_CASE("outbox: forget finds a job that was redriven behind its back") {
  Fixture fixture;
  fixture.BuryOne(TrackLine("7"));
  OperatorWork::Walk walk;
  Counts counts;
  bool more = true;
  for (int step = 0; more; ++step) {
    const auto done = fixture.outbox->operator_work().Forget("7", std::nullopt, walk, 100, counts);
    REQUIRE(done);
    more = done->more;
    if (step == 0) REQUIRE(test::Redrive(*fixture.outbox, DeadFilter{}, kNow));
  }
  CHECK(counts.jobs == 1);
  CHECK(fixture.outbox->Total().jobs == 0);
  CheckCounts(*fixture.outbox, fixture.file);
}

TEST_CASE("outbox: forget can be limited to one connection") {
  Fixture fixture;
  REQUIRE(Accept(*fixture.outbox, {TrackLine("7", "a", "one"), TrackLine("7", "a", "two")}, kNow));
  const auto counts = test::Forget(*fixture.outbox, "7", "one");
  REQUIRE(counts);
  CHECK(counts->jobs == 1);
  CHECK(fixture.outbox->CountsByConnection().at("one").jobs == 0);
  CHECK(fixture.outbox->CountsByConnection().at("two").jobs == 1);
}

TEST_CASE("outbox: history is pruned by age and by number of rows, in steps") {
  Fixture fixture;
  for (int count = 0; count < 50; ++count) {
    Outcome outcome = OutcomeOf(fixture.AcceptOne(), OutcomeKind::kDelivered, 200, FromUnixMs(count * 1'000));
    REQUIRE(Settle(*fixture.outbox, outcome, kNow));
  }
  const auto prune = [&](Timestamp before, std::uint64_t kept) {
    for (;;) {
      const auto more = fixture.outbox->maintenance().PruneHistory(before, kept, 8);
      REQUIRE(more);
      if (!*more) return;
    }
  };
  prune(FromUnixMs(0), 1'000);
  CHECK(fixture.outbox->Total().attempts == 50);
  prune(FromUnixMs(20'000), 1'000);
  CHECK(fixture.outbox->Total().attempts == 30);
  CHECK(Ask(fixture.file, "SELECT min(sent_ms) FROM attempts") == 20'000);
  prune(FromUnixMs(0), 10);
  CHECK(fixture.outbox->Total().attempts == 10);
  CHECK(Ask(fixture.file, "SELECT min(sent_ms) FROM attempts") == 40'000);
  CheckCounts(*fixture.outbox, fixture.file);
}

TEST_CASE("outbox: free pages go back to the file system, but for those to be kept") {
  Fixture fixture;
  const std::string big =
      R"({"type":"track","id":"1","name":"n","data":{"x":")" + std::string(50'000, 'x') + R"("}})";
  std::vector<Outcome> outcomes;
  for (int count = 0; count < 100; ++count)
    outcomes.push_back(OutcomeOf(fixture.AcceptOne(big), OutcomeKind::kDelivered, 200));
  REQUIRE(fixture.outbox->maintenance().TruncateWal() == true);
  const auto size_full = std::filesystem::file_size(fixture.file);
  const auto used_full = fixture.outbox->maintenance().UsedBytes();
  for (const Outcome& outcome : outcomes) REQUIRE(Settle(*fixture.outbox, outcome, kNow));
  const auto used_empty = fixture.outbox->maintenance().UsedBytes();
  REQUIRE(used_full);
  REQUIRE(used_empty);
  CHECK(*used_empty * 4 < *used_full);
  for (bool more = true; more;) {
    const auto shrunk = fixture.outbox->maintenance().Shrink(64, 16);
    REQUIRE(shrunk);
    more = *shrunk;
  }
  REQUIRE(fixture.outbox->maintenance().Checkpoint());
  CHECK(std::filesystem::file_size(fixture.file) * 4 < size_full);
  REQUIRE(fixture.outbox->maintenance().TruncateWal() == true);
  CHECK(std::filesystem::file_size(fixture.file) * 4 < size_full);
  CHECK(Ask(fixture.file, "PRAGMA freelist_count") == 16);
  CHECK(std::filesystem::file_size(fixture.file.string() + "-wal") == 0);
}

TEST_CASE("outbox: random work keeps counts and rows together") {
  const auto seed = std::random_device()();
  CAPTURE(seed);
  std::mt19937 random(seed);
  Fixture fixture;
  Jobs held;
  const auto customer = [&] { return std::to_string(random() % 4); };
  const auto connection = [&] { return random() % 2 == 0 ? std::string("one") : std::string("two"); };
  for (int round = 0; round < 300; ++round) {
    const auto action = random() % 12;
    if (action < 5) {
      auto jobs =
          Accept(*fixture.outbox,
                 {TrackLine(customer(), "a", connection()), TrackLine(customer(), "b", connection())}, kNow);
      REQUIRE(jobs);
      std::move(jobs->begin(), jobs->end(), std::back_inserter(held));
    } else if (action < 9 && !held.empty()) {
      std::swap(held.back(), held[random() % held.size()]);
      Outcome outcome = OutcomeOf(std::move(held.back()), static_cast<OutcomeKind>(random() % 4),
                                  random() % 3 == 0 ? 0 : 400);
      held.pop_back();
      REQUIRE(Settle(*fixture.outbox, outcome, kNow));
      if (random() % 2 == 0)
        held.push_back(std::move(outcome.job));  // an outcome of a job that may be gone comes later
    } else if (action == 9) {
      OperatorWork::Walk walk;
      REQUIRE(fixture.outbox->operator_work().Redrive(DeadFilter{}, walk, kNow, 1 + random() % 5));
    } else if (action == 10) {
      REQUIRE(test::Forget(*fixture.outbox, customer(), std::nullopt, 1 + random() % 20));
    } else {
      REQUIRE(fixture.outbox->maintenance().PruneHistory(FromUnixMs(0), random() % 50, 5));
      if (random() % 4 == 0) fixture.Reopen();
    }
    fixture.outbox->CheckInvariants();
    if (round % 10 == 0) CheckCounts(*fixture.outbox, fixture.file);
  }
  CheckCounts(*fixture.outbox, fixture.file);
}

// --- opening what is not ours
// ------------------------------------------------------------------------------------------------------------

TEST_CASE(
    "outbox: a file that is not an outbox of ours is refused with a word on what to do, and left as it is") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  const auto refuse = [&](const std::string& hint) {
    const std::string before = ReadFile(file);
    const auto opened = Outbox::Open(file, 7);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().kind == ErrorKind::kCorrupt);
    CHECK_MESSAGE(opened.error().message.find(hint) != std::string::npos, opened.error().message);
    CHECK_MESSAGE(opened.error().message.find(file.string()) != std::string::npos, opened.error().message);
    CHECK(ReadFile(file) == before);
  };
  SUBCASE("text") {
    WriteFile(file, std::string(5'000, 'x'));
    refuse("damaged");
  }
  SUBCASE("a SQLite database of someone else") {
    {
      auto database = Database::Open(file, OpenMode::kReadWrite);
      REQUIRE(database);
      REQUIRE(database->Execute("CREATE TABLE theirs (x)"));
    }
    refuse("not an outbox");
  }
  SUBCASE("of a later version") {
    REQUIRE(Outbox::Open(file, 7));
    {
      auto database = Database::Open(file, OpenMode::kReadWrite);
      REQUIRE(database);
      REQUIRE(database->Execute("PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE)"));
    }
    refuse("later outboxd");
  }
}

TEST_CASE("outbox: an outbox whose creation was interrupted is created again") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  {
    auto database = Database::Open(file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(database->Execute("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL"));
  }
  REQUIRE(Outbox::Open(file, 7));
  CHECK(Ask(file, "SELECT reserved FROM sequence") == 1);
}

TEST_CASE("outbox: a file whose schema lost a table is refused as damaged") {
  TempDir folder;
  const auto file = folder / "outbox.db";
  REQUIRE(Outbox::Open(file, 7));
  {
    auto database = Database::Open(file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(database->Execute("DROP TABLE dead_letters"));
  }
  const auto opened = Outbox::Open(file, 7);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().kind == ErrorKind::kCorrupt);
  CHECK(opened.error().message.find(file.string()) != std::string::npos);
}

TEST_CASE("outbox: a file that would use a sequence twice is refused as damaged") {
  Fixture fixture;
  const auto job = fixture.BuryOne();
  fixture.outbox.reset();
  const auto opens_with = [&](const std::string& change) {
    const auto file = fixture.folder / "changed.db";
    std::filesystem::copy_file(fixture.file, file, std::filesystem::copy_options::overwrite_existing);
    {
      auto database = Database::Open(file, OpenMode::kReadWrite);
      REQUIRE(database);
      REQUIRE(database->Execute(change));
    }
    const auto opened = Outbox::Open(file, 7);
    CHECK_MESSAGE((opened || opened.error().kind == ErrorKind::kCorrupt), change);
    return opened.has_value();
  };
  const std::string last = std::to_string(ToNumber(job->sequence));
  CHECK(opens_with("UPDATE sequence SET reserved = 1 + " + last));
  CHECK_FALSE(opens_with("UPDATE sequence SET reserved = " + last));
  CHECK_FALSE(opens_with("DELETE FROM dead_letters; UPDATE sequence SET reserved = " + last));
  CHECK_FALSE(opens_with("DELETE FROM sequence"));
  CHECK_FALSE(opens_with("UPDATE sequence SET reserved = 1 << 40"));
  CHECK_FALSE(opens_with("UPDATE sequence SET reserved = -1"));
}

TEST_CASE("outbox: a cut or overwritten file is refused, or read without harm; it never crashes us") {
  Fixture fixture;
  for (int count = 0; count < 60; ++count)
    fixture.BuryOne(TrackLine(std::to_string(count), std::string(90, 'n')));
  for (int count = 0; count < 60; ++count)
    fixture.AcceptOne(TrackLine(std::to_string(count), std::string(90, 'n')));
  REQUIRE(fixture.outbox->maintenance().TruncateWal() == true);
  fixture.outbox.reset();
  const std::string whole = ReadFile(fixture.file);
  const auto try_to_open = [&](const std::string& content) {
    std::filesystem::remove(fixture.file.string() + "-wal");
    std::filesystem::remove(fixture.file.string() + "-shm");
    WriteFile(fixture.file, content);
    auto opened = Outbox::Open(fixture.file, 7);
    if (!opened) {
      CHECK_MESSAGE(opened.error().kind == ErrorKind::kCorrupt, opened.error().message);
      CHECK_MESSAGE(opened.error().message.find(fixture.file.string()) != std::string::npos,
                    opened.error().message);
      return false;
    }
    static_cast<void>(Accept(*opened, {TrackLine("1")}, kNow));
    static_cast<void>(test::Redrive(*opened, DeadFilter{}, kNow));
    static_cast<void>(opened->maintenance().PruneHistory(kNow, 0, 100));
    return true;
  };

  REQUIRE(whole.size() > 5 * schema::kPageBytes);
  for (std::size_t pages = 1; pages < whole.size() / schema::kPageBytes; ++pages) {
    CAPTURE(pages);
    CHECK_FALSE(try_to_open(whole.substr(0, pages * schema::kPageBytes)));
  }
  for (std::size_t byte = 0; byte < 16; ++byte) {
    std::string damaged = whole;
    damaged[byte] = '\x55';
    CHECK_FALSE(try_to_open(damaged));
  }
  std::string no_tree = whole;
  no_tree[100] = '\x55';  // the kind of the first page
  CHECK_FALSE(try_to_open(no_tree));
  const auto seed = std::random_device()();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 150; ++round) {
    std::string damaged = whole;
    const std::size_t page = random() % (whole.size() / schema::kPageBytes);
    // The page's header and first cell pointers, where damage breaks the tree.
    const std::size_t offset = page * schema::kPageBytes + (page == 0 ? 100 : 0) + random() % 24;
    damaged[offset] = static_cast<char>(damaged[offset] ^ (1 << random() % 8));
    static_cast<void>(try_to_open(damaged));
  }
  CHECK(try_to_open(whole));
}

}  // namespace outboxd
