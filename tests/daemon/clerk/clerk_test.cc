// The one owner of the database: group commit, limits, what happens when the disk refuses.
#include "daemon/clerk/clerk.h"

#include <doctest/doctest.h>

#include "storage/schema.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::Ask;
using test::FaultKind;
using test::FaultSpan;
using test::FaultVfs;
using test::OutcomeOf;
using test::TrackLine;

struct Listener : SubmissionOrigin {
  void OnAnswered(std::vector<std::unique_ptr<Submission>> submissions) override {
    for (auto& submission : submissions) answered.push_back(std::move(submission));
  }
  std::vector<std::unique_ptr<Submission>> answered;
};

struct Fixture {
  TempDir folder;
  FaultVfs vfs;
  std::filesystem::path file = folder / "outbox.db";
  Timestamp now = FromUnixMs(1'700'000'000'000);
  Listener origin;
  Result<std::uint64_t> disk_free = 1ULL << 40;
  Clerk::Limits limits;
  std::optional<Clerk> clerk;

  void Start() {
    auto outbox = Outbox::Open(file, 7);
    REQUIRE(outbox);
    clerk.emplace(std::move(*outbox), limits, [this] { return disk_free; });
  }

  void Submit(const std::vector<std::string>& lines) {
    auto submission = std::make_unique<Submission>(origin);
    for (const std::string& line : lines) submission->jobs.push_back(test::NewJob(line));
    clerk->Add(std::move(submission));
  }

  void SubmitOf(User user, int count, std::size_t bytes = 0) {
    auto submission = std::make_unique<Submission>(origin);
    for (int number = 0; number < count; ++number) {
      submission->jobs.push_back(test::NewJob(R"({"type":"track","id":"1","name":"n","data":{"x":")" +
                                              std::string(bytes, 'x') + R"("}})"));
      submission->jobs.back()->uid = user;
    }
    clerk->Add(std::move(submission));
  }

  Clerk::Done Work() {
    now += std::chrono::seconds(1);
    Clerk::Done done = clerk->Work(now);
    clerk->CheckInvariants();
    return done;
  }

  std::unique_ptr<QueuedJob> AcceptOne() {
    Submit({TrackLine("1")});
    Clerk::Done done = Work();
    REQUIRE(done.committed.accepted.size() == 1);
    return std::move(done.committed.accepted.front());
  }

  std::vector<std::unique_ptr<QueuedJob>> AcceptedOf(User user, int count, std::size_t bytes) {
    SubmitOf(user, count, bytes);
    return Work().committed.accepted;
  }

  // All that one user may have of max_bytes.
  std::vector<std::unique_ptr<QueuedJob>> FillBytes() {
    std::vector<std::unique_ptr<QueuedJob>> all;
    for (;;) {
      auto jobs = AcceptedOf(33, 1, 90'000);
      if (jobs.empty()) return all;
      all.push_back(std::move(jobs.front()));
    }
  }

  // Each was tried and waits again; the answer is as long as one that is kept.
  std::vector<std::unique_ptr<QueuedJob>> ReportAttempts(std::vector<std::unique_ptr<QueuedJob>> jobs) {
    Report report;
    for (auto& job : jobs) {
      report.outcomes.push_back(OutcomeOf(std::move(job), OutcomeKind::kReturned, 404, now));
      report.outcomes.back().attempt->answer = std::string(1'024, 'a');
    }
    report.ticket = 1;
    clerk->Add(std::move(report));
    jobs.clear();
    for (Outcome& outcome : Work().committed.outcomes) jobs.push_back(std::move(outcome.job));
    return jobs;
  }

  // They die of answers as long as they are kept.
  void ReportDeaths(std::span<std::unique_ptr<QueuedJob>> jobs) {
    Report report;
    for (auto& job : jobs) {
      report.outcomes.push_back(OutcomeOf(std::move(job), OutcomeKind::kDead, 400, now));
      Outcome& outcome = report.outcomes.back();
      outcome.attempt->answer = std::string(1'024, 'a');
      outcome.reason = std::string(300, 'r');
      outcome.cause = std::string(200, 'c');
    }
    report.ticket = 1;
    clerk->Add(std::move(report));
    Work();
  }

  void ReportDelivered(std::unique_ptr<QueuedJob> job, std::uint64_t ticket) {
    Report report;
    report.outcomes.push_back(OutcomeOf(std::move(job), OutcomeKind::kDelivered, 200, now));
    report.ticket = ticket;
    clerk->Add(std::move(report));
  }
};

}  // namespace

TEST_CASE(
    "clerk: everything that waits is stored in one commit and answered in order, with the ids of its jobs") {
  Fixture fixture;
  fixture.Start();
  fixture.Submit({TrackLine("1", "a"), TrackLine("2", "b")});
  fixture.Submit({});
  fixture.Submit({TrackLine("3", "c")});
  const Clerk::Done done = fixture.Work();
  REQUIRE(done.submissions.size() == 3);
  CHECK(done.submissions[0]->ids.size() == 2);
  CHECK(done.submissions[1]->ids.empty());
  CHECK_FALSE(done.submissions[1]->refused);
  CHECK(done.submissions[2]->ids.size() == 1);
  REQUIRE(done.committed.accepted.size() == 3);
  CHECK(done.committed.accepted[2]->job.name == "c");
  CHECK(done.committed.accepted[2]->stamp.id == done.submissions[2]->ids[0]);
  CHECK(done.committed.last == done.committed.accepted[2]->sequence);
  CHECK(Ask(fixture.file, "SELECT count(*) FROM outbox") == 3);
  CHECK_FALSE(fixture.clerk->MustRetry());
}

TEST_CASE("clerk: outcomes and new jobs share a commit, and the newest ticket comes back") {
  Fixture fixture;
  fixture.Start();
  fixture.ReportDelivered(fixture.AcceptOne(), 4);
  fixture.Submit({TrackLine("2")});
  const Clerk::Done done = fixture.Work();
  CHECK(done.committed.outcomes.size() == 1);
  CHECK(done.committed.accepted.size() == 1);
  CHECK(done.committed.ticket == 4);
  CHECK(Ask(fixture.file, "SELECT count(*) FROM outbox") == 1);
}

TEST_CASE(
    "clerk: past max_jobs the jobs that find no room are refused as busy, and none behind them overtakes") {
  Fixture fixture;
  fixture.limits.outbox.max_jobs = 3;
  fixture.Start();
  fixture.Submit({TrackLine("1"), TrackLine("2")});
  fixture.Submit({TrackLine("3"), TrackLine("4")});
  fixture.Submit({TrackLine("5")});
  const Clerk::Done done = fixture.Work();
  CHECK_FALSE(done.submissions[0]->refused);
  REQUIRE(done.submissions[1]->refused);
  CHECK(done.submissions[1]->refused->kind == ErrorKind::kBusy);
  CHECK(done.submissions[1]->ids.size() == 1);
  CHECK(done.submissions[2]->refused);
  CHECK(done.submissions[2]->ids.empty());
  CHECK(Ask(fixture.file, "SELECT count(*) FROM outbox") == 3);
  CHECK(fixture.clerk->State().not_accepting.find("max_jobs") != std::string::npos);
}

TEST_CASE("clerk: one user has nearly all of max_jobs, and the last tenth is kept for the others") {
  Fixture fixture;
  fixture.limits.outbox.max_jobs = 100;
  fixture.Start();
  fixture.SubmitOf(33, 95);
  fixture.SubmitOf(1000, 4);
  fixture.SubmitOf(33, 1);
  fixture.SubmitOf(std::nullopt, 6);
  Clerk::Done done = fixture.Work();
  CHECK(done.submissions[0]->ids.size() == 90);
  REQUIRE(done.submissions[0]->refused);
  CHECK(done.submissions[0]->refused->kind == ErrorKind::kBusy);
  CHECK(done.submissions[0]->refused->message.find("user 33") == 0);
  CHECK(done.submissions[1]->ids.size() == 4);
  CHECK_FALSE(done.submissions[1]->refused);
  CHECK(done.submissions[2]->refused);
  CHECK(done.submissions[3]->ids.size() == 6);
  CHECK_FALSE(done.submissions[3]->refused);
  CHECK(fixture.clerk->State().not_accepting.find("max_jobs") != std::string::npos);
}

TEST_CASE("clerk: it accepts as long as one of its users may hand over more") {
  Fixture fixture;
  fixture.limits.outbox.max_jobs = 100;
  fixture.Start();
  fixture.SubmitOf(33, 91);
  Clerk::Done done = fixture.Work();
  REQUIRE(done.submissions[0]->refused);
  CHECK(fixture.clerk->State().not_accepting == done.submissions[0]->refused->message);
  SUBCASE("another comes") {
    fixture.SubmitOf(1000, 1);
    CHECK_FALSE(fixture.Work().submissions[0]->refused);
  }
  SUBCASE("one of his jobs ends") {
    Report report;
    report.outcomes.push_back(
        OutcomeOf(std::move(done.committed.accepted.front()), OutcomeKind::kDelivered, 200, fixture.now));
    fixture.clerk->Add(std::move(report));
    fixture.Work();
  }
  CHECK(fixture.clerk->State().not_accepting.empty());
}

TEST_CASE("clerk: the share of a user counts what an earlier process stored") {
  Fixture fixture;
  fixture.limits.outbox.max_jobs = 100;
  fixture.Start();
  fixture.SubmitOf(33, 90);
  CHECK_FALSE(fixture.Work().submissions[0]->refused);
  fixture.clerk.reset();
  fixture.Start();
  fixture.SubmitOf(33, 1);
  fixture.SubmitOf(1000, 1);
  const Clerk::Done done = fixture.Work();
  CHECK(done.submissions[0]->refused);
  CHECK_FALSE(done.submissions[1]->refused);
}

TEST_CASE("clerk: limits.per_uid gives a user less") {
  Fixture fixture;
  fixture.limits.outbox.max_jobs = 100;
  fixture.Start();
  SUBCASE("jobs") {
    fixture.limits.per_uid.jobs = 5;
    fixture.clerk->Configure(fixture.limits);
    fixture.SubmitOf(33, 8);
    CHECK(fixture.Work().submissions[0]->ids.size() == 5);
  }
  SUBCASE("bytes") {
    fixture.limits.per_uid.bytes = 1'000;
    fixture.clerk->Configure(fixture.limits);
    fixture.SubmitOf(33, 8, 200);
    const Clerk::Done done = fixture.Work();
    CHECK(done.submissions[0]->ids.size() < 8);
    CHECK(done.submissions[0]->refused->kind == ErrorKind::kFull);
  }
  SUBCASE("and all or none gets none") {
    fixture.limits.per_uid.jobs = 5;
    fixture.clerk->Configure(fixture.limits);
    fixture.SubmitOf(33, 8);
    auto whole = std::make_unique<Submission>(fixture.origin);
    for (int number = 0; number < 6; ++number) whole->jobs.push_back(test::NewJob(TrackLine("2")));
    whole->all_or_none = true;
    fixture.clerk->Add(std::move(whole));
    const Clerk::Done done = fixture.Work();
    CHECK(done.submissions[1]->ids.empty());
    CHECK(done.submissions[1]->refused);
  }
  fixture.SubmitOf(1000, 1);
  CHECK_FALSE(fixture.Work().submissions[0]->refused);
}

TEST_CASE("clerk: dead letters count in their user's share when he hands over new jobs, and only then") {
  Fixture fixture;
  fixture.limits.outbox.max_jobs = 100;
  fixture.limits.per_uid.jobs = 3;
  fixture.Start();
  fixture.SubmitOf(33, 3);
  Clerk::Done done = fixture.Work();
  Report report;
  for (auto& job : done.committed.accepted)
    report.outcomes.push_back(OutcomeOf(std::move(job), OutcomeKind::kDead, 400, fixture.now));
  report.ticket = 1;
  fixture.clerk->Add(std::move(report));
  fixture.Work();
  CHECK(Ask(fixture.file, "SELECT count(*) FROM dead_letters") == 3);
  fixture.SubmitOf(33, 1);
  fixture.SubmitOf(1000, 3);
  done = fixture.Work();
  REQUIRE(done.submissions[0]->refused);
  CHECK(done.submissions[0]->refused->message.find("3 dead letters") != std::string::npos);
  CHECK(done.submissions[1]->ids.size() == 3);
}

TEST_CASE("clerk: one user's lines do not use up max_bytes for the others") {
  Fixture fixture;
  fixture.limits.outbox.max_bytes = 3'000'000;
  fixture.Start();
  for (int round = 0; round < 40; ++round) {
    fixture.SubmitOf(33, 1, 90'000);
    fixture.Work();
  }
  fixture.SubmitOf(33, 1, 90'000);
  fixture.SubmitOf(1000, 1, 90'000);
  const Clerk::Done done = fixture.Work();
  REQUIRE(done.submissions[0]->refused);
  CHECK(done.submissions[0]->refused->kind == ErrorKind::kFull);
  CHECK_FALSE(done.submissions[1]->refused);
}

TEST_CASE("clerk: what the deaths of one user's jobs add does not use up max_bytes for the others") {
  for (const std::size_t bytes : {0UL, 500UL, 5000UL}) {
    CAPTURE(bytes);
    Fixture fixture;
    fixture.limits.outbox.max_bytes = 3'000'000;
    fixture.Start();
    std::vector<std::unique_ptr<QueuedJob>> jobs;
    for (auto more = fixture.AcceptedOf(33, 100, bytes); !more.empty();
         more = fixture.AcceptedOf(33, 100, bytes))
      std::move(more.begin(), more.end(), std::back_inserter(jobs));
    CHECK(jobs.size() >= 300);
    for (std::span left(jobs); !left.empty(); left = left.subspan(std::min<std::size_t>(left.size(), 20)))
      fixture.ReportDeaths(left.first(std::min<std::size_t>(left.size(), 20)));
    CHECK(fixture.clerk->State().used_bytes < 2'900'000);
    CHECK(Ask(fixture.file, "SELECT max(length(answer)) FROM dead_letters") == 1'024);
    CHECK(Ask(fixture.file, "SELECT min(length(reason)) FROM dead_letters") > 50);
    fixture.SubmitOf(1000, 1, 90'000);
    CHECK_FALSE(fixture.Work().submissions[0]->refused);
  }
}

TEST_CASE("clerk: attempts of one user do not use up max_bytes for the others: history gives way") {
  Fixture fixture;
  fixture.limits.outbox.max_bytes = 3'000'000;
  fixture.Start();
  auto jobs = fixture.FillBytes();
  for (int round = 0; round < 40; ++round) jobs = fixture.ReportAttempts(std::move(jobs));
  CHECK(fixture.clerk->State().used_bytes < fixture.limits.outbox.max_bytes - 90'000);
  fixture.SubmitOf(1000, 1, 90'000);
  CHECK_FALSE(fixture.Work().submissions[0]->refused);
  CHECK(Ask(fixture.file, "SELECT count(*) FROM attempts WHERE attempt = 40 GROUP BY attempt") > 0);
}

TEST_CASE("clerk: history gives way to jobs that it keeps out, the oldest first") {
  Fixture fixture;
  fixture.Start();
  auto jobs = fixture.AcceptedOf(33, 100, 0);
  for (int round = 0; round < 20; ++round) jobs = fixture.ReportAttempts(std::move(jobs));
  fixture.limits.outbox.max_bytes = 4'000'000;
  fixture.clerk->Configure(fixture.limits);
  for (int round = 0; round < 20; ++round) fixture.Work();
  CHECK(Ask(fixture.file, "SELECT count(*) FROM attempts") == 2'000);
  int accepted = 0;
  for (int round = 0; round < 40 && Ask(fixture.file, "SELECT count(*) FROM attempts") > 1'000; ++round) {
    fixture.SubmitOf(1000, 1, 90'000);
    if (!fixture.Work().submissions[0]->refused) ++accepted;
  }
  CHECK(accepted > 12);
  CHECK(Ask(fixture.file, "SELECT count(*) FROM attempts") == 1'000);
  CHECK(Ask(fixture.file, "SELECT count(*) FROM attempts WHERE attempt <= 10") == 0);
}

TEST_CASE(
    "clerk: while a reader holds the WAL no history is pruned for room, which would make the WAL grow") {
  Fixture fixture;
  fixture.Start();
  auto jobs = fixture.AcceptedOf(33, 100, 0);
  jobs = fixture.ReportAttempts(std::move(jobs));
  auto reader = Database::Open(fixture.file, OpenMode::kReadOnly);
  REQUIRE(reader);
  REQUIRE(reader->Execute("BEGIN; SELECT * FROM outbox"));
  for (int round = 0; round < 100; ++round) jobs = fixture.ReportAttempts(std::move(jobs));
  fixture.Work();
  const OutboxState state = fixture.clerk->State();
  REQUIRE(state.wal_held_bytes > state.used_bytes / 2);
  fixture.limits.outbox.max_bytes = state.used_bytes;
  fixture.clerk->Configure(fixture.limits);
  for (int round = 0; round < 5; ++round) fixture.Work();
  CHECK(Ask(fixture.file, "SELECT count(*) FROM attempts") == 10'100);
}

TEST_CASE("clerk: a submission that wants all or none gets none when some would find no room, and says so") {
  Fixture fixture;
  fixture.limits.outbox.max_jobs = 3;
  fixture.Start();
  fixture.Submit({TrackLine("1")});
  auto whole = std::make_unique<Submission>(fixture.origin);
  for (const char* customer : {"2", "3", "4"}) whole->jobs.push_back(test::NewJob(TrackLine(customer)));
  whole->all_or_none = true;
  fixture.clerk->Add(std::move(whole));
  fixture.Submit({TrackLine("5"), TrackLine("6")});
  const Clerk::Done done = fixture.Work();
  REQUIRE(done.submissions.size() == 3);
  CHECK(done.submissions[1]->ids.empty());
  REQUIRE(done.submissions[1]->refused.has_value());
  CHECK(done.submissions[1]->refused->kind == ErrorKind::kBusy);
  CHECK(done.submissions[2]->ids.size() == 2);
  CHECK_FALSE(done.submissions[2]->refused.has_value());
}

TEST_CASE(
    "clerk: without free room new jobs are refused as full, outcomes are still written, and room reopens the "
    "door") {
  Fixture fixture;
  fixture.limits.outbox.min_free_bytes = 1'000;
  fixture.Start();
  auto job = fixture.AcceptOne();
  fixture.disk_free = 999;
  fixture.ReportDelivered(std::move(job), 1);
  fixture.Submit({TrackLine("2")});
  Clerk::Done done = fixture.Work();
  REQUIRE(done.submissions[0]->refused);
  CHECK(done.submissions[0]->refused->kind == ErrorKind::kFull);
  CHECK(done.committed.outcomes.size() == 1);
  CHECK(fixture.clerk->State().not_accepting.find("min_free_bytes") != std::string::npos);
  CHECK(fixture.clerk->State().not_healthy.empty());
  fixture.disk_free = 1'000;
  fixture.Submit({TrackLine("2")});
  CHECK_FALSE(fixture.Work().submissions[0]->refused);
  CHECK(fixture.clerk->State().not_accepting.empty());
}

TEST_CASE("clerk: at max_bytes new jobs are refused as full") {
  Fixture fixture;
  fixture.limits.outbox.max_bytes = 10;
  fixture.Start();
  fixture.Submit({TrackLine("1")});
  const Clerk::Done done = fixture.Work();
  REQUIRE(done.submissions[0]->refused);
  CHECK(done.submissions[0]->refused->kind == ErrorKind::kFull);
  CHECK(done.submissions[0]->refused->message.find("max_bytes") != std::string::npos);
}

TEST_CASE("clerk: it knows its room before its first work") {
  Fixture fixture;
  fixture.Start();
  CHECK(fixture.clerk->State().not_accepting.empty());
  CHECK(fixture.clerk->State().disk_free_bytes == *fixture.disk_free);
}

TEST_CASE(
    "clerk: free space that the system does not tell is not endless: the last known room counts, and without "
    "any no job is taken") {
  Fixture fixture;
  fixture.limits.outbox.min_free_bytes = 1'000;
  fixture.disk_free = Fail(ErrorKind::kIo, "/outbox: no such device");
  fixture.Start();
  fixture.Submit({TrackLine("1")});
  const Clerk::Done done = fixture.Work();
  REQUIRE(done.submissions[0]->refused);
  CHECK(done.submissions[0]->refused->kind == ErrorKind::kFull);
  CHECK(done.submissions[0]->refused->message.find("no such device") != std::string::npos);
  fixture.disk_free = 1'000;
  fixture.Submit({TrackLine("1")});
  CHECK_FALSE(fixture.Work().submissions[0]->refused);
  fixture.disk_free = Fail(ErrorKind::kIo, "/outbox: no such device");
  fixture.Submit({TrackLine("1")});
  CHECK_FALSE(fixture.Work().submissions[0]->refused);
  CHECK(fixture.clerk->State().disk_free_bytes == 1'000);
  fixture.disk_free = 999;
  fixture.Work();
  fixture.disk_free = Fail(ErrorKind::kIo, "/outbox: no such device");
  fixture.Submit({TrackLine("1")});
  CHECK(fixture.Work().submissions[0]->refused);
}

TEST_CASE(
    "clerk: outcomes that cannot be written are kept and written when the disk is well again; producers are "
    "told at once") {
  Fixture fixture;
  fixture.Start();
  fixture.ReportDelivered(fixture.AcceptOne(), 9);
  fixture.Submit({TrackLine("2")});
  FaultKind kind = FaultKind::kIo;
  SUBCASE("I/O errors") {}
  SUBCASE("a full disk") {
    kind = FaultKind::kFull;
  }
  fixture.vfs.Arm(1, kind, FaultSpan::kFromThenOn);
  Clerk::Done done = fixture.Work();
  REQUIRE(done.submissions[0]->refused);
  CHECK(done.submissions[0]->refused->kind == (kind == FaultKind::kFull ? ErrorKind::kFull : ErrorKind::kIo));
  CHECK(done.committed.accepted.empty());
  CHECK(done.committed.outcomes.empty());
  CHECK_FALSE(done.committed.ticket);
  CHECK_FALSE(done.fatal);
  CHECK(fixture.clerk->MustRetry());
  CHECK_FALSE(fixture.clerk->State().not_healthy.empty());
  CHECK_FALSE(fixture.clerk->State().not_accepting.empty());
  CHECK(fixture.Work().committed.outcomes.empty());

  fixture.vfs.Heal();
  done = fixture.Work();
  CHECK(done.committed.outcomes.size() == 1);
  CHECK(done.committed.ticket == 9);
  CHECK_FALSE(fixture.clerk->MustRetry());
  CHECK(fixture.clerk->State().not_healthy.empty());
  CHECK(Ask(fixture.file, "SELECT count(*) FROM outbox") == 0);
  CHECK(Ask(fixture.file, "SELECT count(*) FROM attempts") == 1);
}

TEST_CASE(
    "clerk: when only one write fails, outcomes and new jobs are tried apart and nothing is written twice") {
  for (std::uint64_t call = 1; call <= 6; ++call) {
    CAPTURE(call);
    Fixture fixture;
    fixture.Start();
    fixture.ReportDelivered(fixture.AcceptOne(), 9);
    fixture.Submit({TrackLine("2")});
    fixture.vfs.Arm(call, FaultKind::kIo, FaultSpan::kOnce);
    const Clerk::Done done = fixture.Work();
    fixture.vfs.Heal();
    CHECK_FALSE(done.submissions[0]->refused);
    CHECK(done.committed.outcomes.size() == 1);
    CHECK(done.committed.accepted.size() == 1);
    CHECK(done.submissions[0]->ids.size() == 1);
    CHECK(done.submissions[0]->ids[0] == done.committed.accepted[0]->stamp.id);
    CHECK(Ask(fixture.file, "SELECT count(*) FROM outbox") == 1);
    CHECK(Ask(fixture.file, "SELECT count(*) FROM attempts") == 1);
    test::CheckCounts(fixture.clerk->outbox(), fixture.file);
  }
}

TEST_CASE("clerk: as long as outcomes cannot be written it is not healthy, though new jobs can be stored") {
  Fixture fixture;
  fixture.Start();
  auto job = fixture.AcceptOne();
  const auto change = [&](const char* sql) {
    auto database = Database::Open(fixture.file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(database->Execute(sql));
  };
  change("CREATE TRIGGER no BEFORE DELETE ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END");
  fixture.ReportDelivered(std::move(job), 9);
  fixture.Submit({TrackLine("2")});
  CHECK_FALSE(fixture.Work().submissions[0]->refused);
  CHECK_FALSE(fixture.clerk->State().not_healthy.empty());
  CHECK(fixture.clerk->MustRetry());
  change("DROP TRIGGER no");
  CHECK(fixture.Work().committed.outcomes.size() == 1);
  CHECK(fixture.clerk->State().not_healthy.empty());
}

TEST_CASE("clerk: it becomes healthy again by itself when nobody offers work") {
  Fixture fixture;
  fixture.Start();
  fixture.Submit({TrackLine("1")});
  fixture.vfs.Arm(1, FaultKind::kIo, FaultSpan::kFromThenOn);
  CHECK(fixture.Work().submissions[0]->refused);
  CHECK(fixture.clerk->MustRetry());
  CHECK_FALSE(fixture.Work().fatal);
  CHECK(fixture.clerk->MustRetry());
  fixture.vfs.Heal();
  fixture.Work();
  CHECK_FALSE(fixture.clerk->MustRetry());
  CHECK(fixture.clerk->State().not_accepting.empty());
}

TEST_CASE("clerk: an operator's work goes step by step, one a round, in the order given") {
  Fixture fixture;
  fixture.Start();
  std::string done;
  int left = 2;
  fixture.clerk->Add(ClerkTask([&](OperatorWork&, Timestamp) {
    done += 'a';
    return --left > 0;
  }));
  fixture.clerk->Add(ClerkTask([&](OperatorWork&, Timestamp) {
    done += 'b';
    return false;
  }));
  CHECK(fixture.clerk->HasTasks());
  fixture.Submit({TrackLine("1")});
  CHECK(fixture.Work().committed.accepted.size() == 1);
  CHECK(done == "a");
  fixture.Work();
  CHECK(done == "aa");
  fixture.Work();
  CHECK(done == "aab");
  CHECK_FALSE(fixture.clerk->HasTasks());
}

TEST_CASE("clerk: history is pruned on the side") {
  Fixture fixture;
  fixture.limits.history.max_rows = 2;
  fixture.Start();
  for (std::uint64_t count = 0; count < 5; ++count) {
    fixture.ReportDelivered(fixture.AcceptOne(), count + 1);
    fixture.Work();
  }
  for (int round = 0; round < 10; ++round) fixture.Work();
  CHECK(Ask(fixture.file, "SELECT count(*) FROM attempts") == 2);
}

TEST_CASE("clerk: a damaged file is fatal, and says what to do") {
  Fixture fixture;
  fixture.Start();
  fixture.AcceptOne();
  REQUIRE(fixture.clerk->outbox().maintenance().TruncateWal());
  {
    auto database = Database::Open(fixture.file, OpenMode::kReadWrite);
    REQUIRE(database);
    const std::int64_t page = *database->Scalar("SELECT rootpage FROM sqlite_schema WHERE name = 'outbox'");
    std::string bytes = ReadFile(fixture.file);
    bytes[static_cast<std::size_t>(page - 1) * schema::kPageBytes] = '\x55';
    std::FILE* out = std::fopen(fixture.file.c_str(), "r+b");
    REQUIRE(out != nullptr);
    REQUIRE(std::fwrite(bytes.data(), 1, bytes.size(), out) == bytes.size());
    std::fclose(out);
    // Another writer's commit makes the clerk's connection read the pages anew.
    REQUIRE(database->Execute("CREATE TABLE unrelated (x); DROP TABLE unrelated"));
  }
  fixture.Submit({TrackLine("1")});
  const Clerk::Done done = fixture.Work();
  REQUIRE(done.fatal);
  CHECK(done.fatal->kind == ErrorKind::kCorrupt);
  CHECK(done.fatal->message.find("backup") != std::string::npos);
  CHECK(done.submissions[0]->refused);
}

TEST_CASE("clerk: the WAL that a reader holds counts towards max_bytes, until the reader has gone") {
  Fixture fixture;
  fixture.limits.outbox.max_bytes = 16 << 20;
  fixture.Start();
  fixture.AcceptOne();
  auto reader = Database::Open(fixture.file, OpenMode::kReadOnly);
  REQUIRE(reader);
  REQUIRE(reader->Execute("BEGIN; SELECT * FROM outbox"));
  const Timestamp since = fixture.now;
  // Each job goes at once: but for the WAL the file stays small.
  for (int i = 0; i < 200 && fixture.clerk->State().not_accepting.empty(); ++i) {
    fixture.SubmitOf(std::nullopt, 4, 90'000);
    Clerk::Done done = fixture.Work();
    for (auto& job : done.committed.accepted) fixture.ReportDelivered(std::move(job), 1);
  }
  const OutboxState held = fixture.clerk->State();
  CHECK(held.not_accepting.find("WAL that a reader holds since") != std::string::npos);
  CHECK(held.wal_held_bytes > 8 << 20);
  CHECK(held.used_bytes >= held.wal_held_bytes);
  REQUIRE(held.wal_held_since);
  CHECK(*held.wal_held_since >= since);
  REQUIRE(reader->Execute("ROLLBACK"));
  fixture.Work();
  fixture.Work();
  const OutboxState after = fixture.clerk->State();
  CHECK(after.not_accepting.empty());
  CHECK(after.wal_held_bytes == 0);
  CHECK_FALSE(after.wal_held_since);
}

}  // namespace outboxd
