// Deliveries that nobody waits for are written together: after how many, after how long, and for whom at
// once.
#include <doctest/doctest.h>

#include "daemon/clerk/clerk.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

struct Office : SubmissionOrigin {
  void OnAnswered(std::vector<std::unique_ptr<Submission>>) override {}

  Office() {
    auto outbox = Outbox::Open(folder / "outbox.db", 7);
    REQUIRE(outbox);
    limits.outbox.max_jobs = 200;
    clerk.emplace(std::move(*outbox), limits, [] { return std::uint64_t{1} << 40; });
  }

  void Submit(std::size_t count) {
    auto submission = std::make_unique<Submission>(*this);
    while (submission->jobs.size() < count) submission->jobs.push_back(test::NewJob(test::TrackLine("1")));
    clerk->Add(std::move(submission));
  }

  std::vector<std::unique_ptr<QueuedJob>> Accept(std::size_t count) {
    Submit(count);
    auto accepted = clerk->Work(now).committed.accepted;
    REQUIRE(accepted.size() == count);
    return accepted;
  }

  // Each in a report of its own.
  void Report(std::vector<std::unique_ptr<QueuedJob>> jobs, Haste haste = Haste::kWhenever) {
    for (auto& job : jobs) {
      outboxd::Report report;
      report.outcomes.push_back(test::OutcomeOf(std::move(job), OutcomeKind::kDelivered, 200, now));
      report.ticket = ++ticket;
      report.haste = haste;
      clerk->Add(std::move(report));
    }
  }

  std::size_t Written() { return clerk->Work(now).committed.outcomes.size(); }
  std::int64_t Rows() const { return test::Ask(folder / "outbox.db", "SELECT count(*) FROM outbox"); }

  TempDir folder;
  Timestamp now = FromUnixMs(1'700'000'000'000);
  std::uint64_t ticket = 0;
  Clerk::Limits limits;
  std::optional<Clerk> clerk;
};

}  // namespace

TEST_CASE("gathered outcomes: they wait over commits of new jobs until their time has come") {
  Office office;
  office.Report(office.Accept(2));
  CHECK(office.Written() == 0);
  CHECK_FALSE(office.clerk->MustRetry());
  CHECK(office.clerk->OutcomesDue() == office.now + Clerk::kOutcomePatience);
  office.Submit(1);
  const Clerk::Done done = office.clerk->Work(office.now);
  CHECK(done.committed.accepted.size() == 1);
  CHECK(done.committed.outcomes.empty());
  CHECK_FALSE(done.committed.ticket);
  CHECK(office.Rows() == 3);
  office.now += Clerk::kOutcomePatience - Milliseconds(1);
  CHECK(office.Written() == 0);
  office.now += Milliseconds(1);
  CHECK(office.Written() == 2);
  CHECK(office.Rows() == 1);
  CHECK_FALSE(office.clerk->OutcomesDue());
}

TEST_CASE("gathered outcomes: a clock that is set back makes none wait longer") {
  Office office;
  office.Report(office.Accept(1));
  CHECK(office.Written() == 0);
  office.now -= Milliseconds(1);
  CHECK(office.Written() == 1);
}

TEST_CASE("gathered outcomes: enough of them are written at once, and so is what meets a large commit") {
  Office office;
  SUBCASE("enough") {
    office.Report(office.Accept(Clerk::kOutcomesGathered - 1));
    CHECK(office.Written() == 0);
    office.Report(office.Accept(1));
    CHECK(office.Written() == Clerk::kOutcomesGathered);
  }
  SUBCASE("a large commit") {
    office.Report(office.Accept(1));
    CHECK(office.Written() == 0);
    office.Submit(Clerk::kOutcomesGathered);
    CHECK(office.Written() == 1);
  }
}

TEST_CASE("gathered outcomes: whoever does not wait takes those before him along") {
  Office office;
  office.Report(office.Accept(1));
  CHECK(office.Written() == 0);
  SUBCASE("another report") {
    office.Report(office.Accept(1), Haste::kSoon);
    CHECK(office.Written() == 2);
  }
  SUBCASE("somebody who waits for one of them") {
    Report waits;
    waits.haste = Haste::kAtOnce;
    waits.hurries = true;
    waits.ticket = 9;
    office.clerk->Add(std::move(waits));
    CHECK(office.clerk->MustRetry());
    CHECK(office.Written() == 1);
  }
  SUBCASE("a stop") {
    office.clerk->Hurry();
    CHECK(office.Written() == 1);
  }
  // And the next ones wait again.
  office.Report(office.Accept(1));
  CHECK(office.Written() == 0);
}

TEST_CASE("gathered outcomes: an operator finds what was delivered gone, and whoever is refused finds room") {
  Office office;
  office.Report(office.Accept(1));
  CHECK(office.Written() == 0);
  SUBCASE("an operator") {
    std::int64_t found = -1;
    office.clerk->Add(ClerkTask([&](OperatorWork&, Timestamp) {
      found = office.Rows();
      return false;
    }));
    CHECK(office.Written() == 1);
    CHECK(found == -1);
    CHECK(office.clerk->HasTasks());
    office.clerk->Work(office.now);
    CHECK(found == 0);
  }
  SUBCASE("no room") {
    office.Submit(office.limits.outbox.max_jobs);
    const Clerk::Done done = office.clerk->Work(office.now);
    REQUIRE(done.submissions.size() == 1);
    CHECK(done.submissions[0]->refused);
    CHECK(done.committed.outcomes.size() == 1);
  }
}

}  // namespace outboxd
