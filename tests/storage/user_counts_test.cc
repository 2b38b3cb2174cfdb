// What each user holds in the outbox, whatever happens to the rows.
#include "storage/user_counts.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/outbox.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::OutcomeOf;
using test::TrackLine;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

struct UserFixture {
  UserFixture() { Reopen(); }
  void Reopen() {
    outbox.reset();
    auto opened = Outbox::Open(file, 7);
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().message));
    outbox.emplace(std::move(*opened));
  }
  test::Jobs Accept(User user, int count) {
    test::Jobs jobs;
    WriteBatch batch;
    for (int number = 0; number < count; ++number) {
      jobs.push_back(test::NewJob(TrackLine("c" + std::to_string(number))));
      jobs.back()->uid = user;
      batch.accepted.push_back(jobs.back().get());
    }
    REQUIRE(outbox->Write(batch, kNow));
    return jobs;
  }
  void Settle(test::Jobs jobs, OutcomeKind kind) {
    std::vector<Outcome> outcomes;
    for (auto& job : jobs) outcomes.push_back(OutcomeOf(std::move(job), kind, 200, kNow));
    WriteBatch batch;
    for (const Outcome& outcome : outcomes) batch.outcomes.push_back(&outcome);
    REQUIRE(outbox->Write(batch, kNow));
  }
  // What the rows say, and what a start makes of it.
  void Check() {
    const auto row = [&](const std::string& what, const std::string& table, User user) {
      const std::string uid = user ? std::to_string(*user) : "-1";
      return static_cast<std::uint64_t>(
          test::Ask(file, "SELECT " + what + " FROM " + table + " WHERE ifnull(uid, -1) = " + uid));
    };
    const auto check = [&] {
      for (const User user : {User(), User(33), User(1000)}) {
        const auto found = outbox->HoldsByUser().find(user);
        const UserHolds holds = found == outbox->HoldsByUser().end() ? UserHolds{} : found->second;
        const std::string bytes = "ifnull(sum(length(line)), 0)";
        CHECK(holds == UserHolds{row("count(*)", "outbox", user), row(bytes, "outbox", user),
                                 row("count(*)", "dead_letters", user), row(bytes, "dead_letters", user)});
      }
    };
    check();
    Reopen();
    check();
  }

  TempDir folder;
  std::filesystem::path file = folder / "outbox.db";
  std::optional<Outbox> outbox;
};

}  // namespace

TEST_CASE("user counts: what is accepted, delivered, dead, redriven, cancelled and forgotten is counted") {
  UserFixture fixture;
  test::Jobs web = fixture.Accept(33, 5);
  test::Jobs shell = fixture.Accept(1000, 3);
  test::Jobs tcp = fixture.Accept(std::nullopt, 2);
  CHECK(fixture.outbox->HoldsByUser().at(33).jobs == 5);
  CHECK(fixture.outbox->HoldsByUser().at(std::nullopt).jobs == 2);
  fixture.Check();
  const Sequence kept = shell.front()->sequence;
  std::move(shell.begin() + 1, shell.end(), std::back_inserter(web));  // neighbours: they go at a stroke
  fixture.Settle(std::move(web), OutcomeKind::kDelivered);
  fixture.Check();
  fixture.Settle(std::move(tcp), OutcomeKind::kDead);
  fixture.Check();
  REQUIRE(fixture.outbox->operator_work().Cancel(kept, kNow));
  fixture.Check();
  DeadFilter of_shell;
  of_shell.uid = 1000;
  REQUIRE(test::Redrive(*fixture.outbox, of_shell, kNow));
  CHECK(fixture.outbox->HoldsByUser().at(1000).jobs == 1);
  fixture.Check();
  REQUIRE(test::Forget(*fixture.outbox, "c0"));
  fixture.Check();
  OperatorWork::Walk walk;
  REQUIRE(fixture.outbox->operator_work().Drop({}, walk, 100));
  fixture.Check();
}

TEST_CASE("user counts: a transaction that fails leaves them as they were") {
  UserFixture fixture;
  fixture.Accept(33, 2);
  const auto before = fixture.outbox->HoldsByUser();
  {
    auto database = Database::Open(fixture.file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(
        database->Execute("CREATE TRIGGER no BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END"));
  }
  auto job = test::NewJob(TrackLine("1"));
  job->uid = 1000;
  WriteBatch batch;
  batch.accepted.push_back(job.get());
  REQUIRE_FALSE(fixture.outbox->Write(batch, kNow));
  CHECK(fixture.outbox->HoldsByUser() == before);
}

TEST_CASE("user counts: where they do not come to the rows they are counted anew, and written down") {
  UserFixture fixture;
  fixture.Accept(33, 4);
  fixture.Accept(1000, 1);
  fixture.outbox.reset();
  {
    auto database = Database::Open(fixture.file, OpenMode::kReadWrite);
    REQUIRE(database);
    SUBCASE("all gone, as in a file of an earlier format") {
      REQUIRE(database->Execute("DELETE FROM counters WHERE uid IS NOT NULL"));
    }
    SUBCASE("wrong") {
      REQUIRE(database->Execute("UPDATE counters SET held_jobs = 900 WHERE uid = 33"));
    }
    SUBCASE("damaged") {
      REQUIRE(database->Execute("UPDATE counters SET held_jobs = -7, job_bytes = 'x'"));
    }
    SUBCASE("damaged in what the rows do not check") {
      REQUIRE(database->Execute("UPDATE counters SET job_bytes = 9223372036854775807 WHERE uid = 33"));
    }
    SUBCASE("two rows of one user") {
      REQUIRE(database->Execute("UPDATE counters SET uid = 33 WHERE uid = 1000"));
    }
    SUBCASE("no user's any more") {
      REQUIRE(database->Execute("UPDATE counters SET uid = NULL"));
    }
  }
  fixture.Reopen();
  CHECK(fixture.outbox->HoldsByUser().at(33).jobs == 4);
  CHECK(fixture.outbox->HoldsByUser().at(33).job_bytes < 4096);
  fixture.Accept(33, 1);
  CHECK(test::Ask(fixture.file, "SELECT jobs FROM users WHERE uid = 33") == 5);
  CHECK(test::Ask(fixture.file, "SELECT jobs FROM users WHERE uid = 1000") == 1);
}

TEST_CASE("user counts: what was stored is believed, and what was left to be stored is added") {
  UserFixture fixture;
  fixture.Accept(33, 2);
  REQUIRE(fixture.outbox->TryWriting());
  fixture.Accept(33, 1);
  fixture.Accept(1000, 1);
  const auto now = fixture.outbox->HoldsByUser();
  TempDir other;
  for (const char* suffix : {"", "-wal"})
    std::filesystem::copy_file(fixture.file.string() + suffix, (other / "outbox.db").string() + suffix);
  REQUIRE(Database::Open(other / "outbox.db", OpenMode::kReadWrite)
              ->Execute("UPDATE counters SET job_bytes = job_bytes + 7 WHERE uid = 33"));
  auto opened = Outbox::Open(other / "outbox.db", 8);
  REQUIRE(opened);
  CHECK(opened->HoldsByUser().at(33) == UserHolds{3, now.at(33).job_bytes + 7, 0, 0});
  CHECK(opened->HoldsByUser().at(1000) == now.at(1000));
}

}  // namespace outboxd
