// Deferred jobs beyond memory: they hold up nobody, keep their lanes, and come back when they are due.
#include "daemon/delivery/stowed_jobs.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/daemon/delivery/delivery_rig.h"

namespace outboxd {
namespace {

using test::AnswerOf;
using test::Ask;
using test::DeliveryRig;
using test::TrackLine;
using Sent = std::vector<std::string>;

// About no customer; refused, it asks to be tried again in a day.
std::string Stubborn(int number) {
  return R"({"type":"raw","method":"GET","path":"/v1/none/)" + std::to_string(number) +
         R"(","retry":{"max_retries":100,"delay_ms":86400000,"all_errors":true}})";
}

// So many of them, one after another.
void Refuse(DeliveryRig& rig, int count) {
  for (int number = 0; number < count; ++number) {
    rig.Accept({Stubborn(number)});
    rig.AnswerAll(404);
  }
}

std::string Merge(const std::string& primary, const std::string& secondary) {
  return R"({"type":"merge","primary":{"id":")" + primary + R"("},"secondary":{"id":")" + secondary +
         R"("}})";
}

std::int64_t Stowed(DeliveryRig& rig) {
  return Ask(rig.file, "SELECT count(*) FROM outbox WHERE stowed IS NOT NULL");
}

std::int64_t StowedLanes(DeliveryRig& rig) {
  return Ask(rig.file, "SELECT count(*) FROM stowed_lanes");
}

// With no room in memory for a deferred job. So many were delivered that one failure does not close the gate.
struct Tight : DeliveryRig {
  explicit Tight(std::uint32_t window_jobs = 4096) {
    limits.deferred_jobs = 0;
    limits.window_jobs = window_jobs;
    Start();
    for (int number = 0; number < 20; ++number) {
      Accept({TrackLine("before")});
      AnswerAll(200);
    }
  }
  // One job that fails, and waits for its next attempt on disk alone.
  void Stow(const std::string& line) {
    Accept({line});
    REQUIRE(out.size() == 1);
    AnswerAll(500);
    REQUIRE(Stowed(*this) == 1);
    head = clerk().outbox().LastSequence();
  }

  Sequence head{};
};

}  // namespace

TEST_CASE("stowed jobs: deferred jobs, however many, never stop fresh ones while the gate is open") {
  DeliveryRig rig;
  rig.limits.deferred_jobs = 20;
  rig.limits.window_jobs = 50;
  rig.Start();
  Refuse(rig, 300);
  CHECK(rig.Queue().Status().deferred == 300);
  CHECK(rig.Queue().held().window().entries().size() <= 20);
  CHECK(Stowed(rig) == 280);
  rig.Accept({TrackLine("7", "fresh")});
  CHECK(rig.OutNames() == Sent{"fresh"});
  rig.AnswerAll(200);
  CHECK(rig.Total().jobs == 300);
  SUBCASE("and each is tried again when it is due") {
    rig.DeliverRest();
    CHECK(rig.Total().jobs == 0);
    CHECK(rig.Total().dead == 0);
    CHECK(StowedLanes(rig) == 0);
  }
  SUBCASE("over a restart") {
    rig.Start();
    CHECK(rig.Queue().held().window().entries().size() <= 20);
    CHECK(rig.Queue().Status().deferred == 300);
    rig.Accept({TrackLine("7", "fresh too")});
    CHECK(rig.OutNames() == Sent{"fresh too"});
    rig.DeliverRest();
    CHECK(rig.Total().jobs == 0);
  }
}

TEST_CASE("stowed jobs: those that memory keeps take nothing from the window, however small it is") {
  DeliveryRig rig;
  rig.limits.deferred_jobs = 100;
  rig.limits.window_jobs = 20;
  rig.Start();
  Refuse(rig, 60);
  REQUIRE(rig.Queue().held().window().entries().size() == 60);
  rig.Accept({TrackLine("7", "fresh")});
  CHECK(rig.OutNames() == Sent{"fresh"});
  CHECK(rig.Queue().held().window().ahead().jobs == 0);
}

TEST_CASE("stowed jobs: many that are due leave half of the window to the others") {
  DeliveryRig rig;
  rig.limits.deferred_jobs = 20;
  rig.limits.window_jobs = 50;
  rig.connection.max_in_flight = 1;
  rig.Start();
  Refuse(rig, 200);
  rig.now += std::chrono::hours(1);
  rig.Run();
  CHECK(rig.Queue().held().window().woken(false).jobs == 25);
  std::vector<std::string> lines;
  for (int number = 0; number < 40; ++number)
    lines.push_back(TrackLine("f" + std::to_string(number), "fresh"));
  rig.Accept(lines);
  std::size_t fresh = 0;
  for (int request = 0; request < 80 && !rig.out.empty(); ++request) {
    const bool is_fresh = rig.OutNames() == Sent{"fresh"};
    fresh += is_fresh ? 1 : 0;
    rig.AnswerAll(is_fresh ? 200 : 404);
  }
  CHECK(fresh >= 38);
}

TEST_CASE(
    "stowed jobs: suspects, however many are due, leave room to retries that are due later, and to fresh "
    "jobs") {
  DeliveryRig rig;
  rig.limits.window_jobs = 16;
  rig.connection.max_in_flight = 1;
  rig.Start();
  rig.Tell([&](Dispatcher& dispatcher) {
    dispatcher.Find("default")->Pause(PauseReason::kOperator, "lunch", rig.now);
  });
  std::vector<std::string> lines;
  for (int number = 0; number < 210; ++number)
    lines.push_back(TrackLine(std::to_string(number), number < 200 ? "suspect" : "retry"));
  rig.Accept(lines);
  rig.Stop();
  {
    auto database = Database::Open(rig.file, OpenMode::kReadWrite);
    REQUIRE(database);
    const std::string due = std::to_string(ToUnixMs(rig.now) - 1000);
    REQUIRE(database->Execute(
        "UPDATE outbox SET failures = 1, attempts = 1, suspicion = 'trouble', due_ms = " + due +
        " + seq WHERE line LIKE '%suspect%'"));
    REQUIRE(database->Execute("UPDATE outbox SET failures = 1, attempts = 1, due_ms = " + due +
                              " + 500 WHERE line LIKE '%retry%'"));
  }
  SUBCASE("in memory") {}
  SUBCASE("on disk alone") {
    auto database = Database::Open(rig.file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(database->Execute("UPDATE outbox SET stowed = 0 WHERE line LIKE '%suspect%'"));
    rig.limits.deferred_jobs = 110;
  }
  rig.Start();
  rig.Tell([&](Dispatcher& dispatcher) { dispatcher.Find("default")->Resume(rig.now); });
  rig.Submit({TrackLine("f", "fresh")});
  rig.Run();
  CHECK(rig.Queue().held().window().woken(true).jobs <= 2);
  Sent sent;
  for (int request = 0; request < 30 && !rig.out.empty(); ++request) {
    const std::string name = rig.OutNames().front();
    sent.push_back(name);
    rig.AnswerAll(name == "suspect" ? 500 : 200);
  }
  CHECK(std::count(sent.begin(), sent.end(), "fresh") == 1);
  CHECK(std::count(sent.begin(), sent.end(), "retry") == 10);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("stowed jobs: a job of its customer waits on disk behind it, also after a restart") {
  Tight rig;
  rig.Stow(TrackLine("1", "head"));
  rig.Accept({TrackLine("1", "follower"), TrackLine("2", "other")});
  CHECK(rig.OutNames() == Sent{"other"});
  rig.AnswerAll(200);
  CHECK(Ask(rig.file, "SELECT count(*) FROM outbox WHERE parked IS NOT NULL") == 1);
  CHECK(rig.Queue().held().window().entries().empty());
  SUBCASE("in order") {
    CHECK(rig.RestInOrder() == Sent{"head", "follower"});
  }
  SUBCASE("after a restart") {
    rig.Start();
    CHECK(rig.out.empty());
    rig.Accept({TrackLine("1", "later")});
    CHECK(rig.out.empty());
    CHECK(rig.RestInOrder() == Sent{"head", "follower", "later"});
  }
  SUBCASE("after a restart with room for all, while it is under way") {
    rig.limits.deferred_jobs = 100;
    rig.Start();
    while (rig.out.empty()) rig.PassToWake();
    CHECK(rig.OutNames() == Sent{"head"});
    rig.Start();  // killed before the answer
    rig.Accept({TrackLine("1", "later")});
    CHECK(rig.OutNames() == Sent{"head"});
    CHECK(rig.RestInOrder() == Sent{"head", "follower", "later"});
  }
  SUBCASE("again and again") {
    for (int round = 0; round < 3; ++round) {
      while (rig.out.empty()) rig.PassToWake();
      CHECK(rig.OutNames() == Sent{"head"});
      rig.AnswerAll(500);
      CHECK(Stowed(rig) == 1);
    }
    CHECK(rig.RestInOrder() == Sent{"head", "follower"});
  }
  CHECK(rig.Total().jobs == 0);
  CHECK(StowedLanes(rig) == 0);
}

TEST_CASE("stowed jobs: a job of two customers goes behind it, and others behind that job") {
  Tight rig;
  rig.Stow(TrackLine("1", "head"));
  rig.Accept({Merge("1", "2")});
  rig.Accept({TrackLine("2", "behind the merge")});
  CHECK(rig.out.empty());
  SUBCASE("at once") {}
  SUBCASE("after a restart") {
    rig.Start();
    CHECK(rig.out.empty());
  }
  CHECK(rig.RestInOrder() == Sent{"head", "", "behind the merge"});
}

TEST_CASE("stowed jobs: one of two customers keeps both lanes") {
  Tight rig;
  rig.Stow(Merge("1", "2"));
  CHECK(StowedLanes(rig) == 2);
  rig.Accept({TrackLine("1", "one"), TrackLine("2", "two"), TrackLine("3", "three")});
  CHECK(rig.OutNames() == Sent{"three"});
  rig.AnswerAll(200);
  SUBCASE("at once") {}
  SUBCASE("after a restart") {
    rig.Start();
    CHECK(rig.out.empty());
  }
  Sent rest = rig.RestInOrder();
  REQUIRE(rest.size() == 3);
  CHECK(rest.front().empty());
  CHECK(StowedLanes(rig) == 0);
}

TEST_CASE("stowed jobs: when an operator takes one away, those behind it go on") {
  Tight rig;
  rig.Stow(TrackLine("1", "head"));
  rig.Accept({TrackLine("1", "follower")});
  SUBCASE("cancelled") {
    rig.Cancel(rig.head);
    rig.Run();
    CHECK(rig.OutNames() == Sent{"follower"});
  }
  SUBCASE("cancelled, with one accepted at the same time") {
    rig.Cancel(rig.head);
    rig.Submit({TrackLine("1", "later")});
    rig.Run();
    CHECK(rig.OutNames() == Sent{"follower"});
    CHECK(rig.RestInOrder() == Sent{"follower", "later"});
  }
  SUBCASE("cancelled and redriven") {
    rig.Cancel(rig.head);
    rig.Redrive();
    rig.Run();
    CHECK(rig.RestInOrder().size() == 2);
  }
  SUBCASE("forgotten, with its customer") {
    rig.Forget("1");
    rig.Run();
    CHECK(rig.out.empty());
    rig.Accept({TrackLine("1", "anew")});
    CHECK(rig.OutNames() == Sent{"anew"});
  }
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
  CHECK(StowedLanes(rig) == 0);
}

TEST_CASE("stowed jobs: an earlier job that is put back waits behind it, as behind any that failed") {
  Tight rig;
  rig.Accept({TrackLine("1", "dead")});
  rig.AnswerAll(400);
  rig.Stow(TrackLine("1", "head"));
  rig.Redrive();
  rig.Run();
  CHECK(rig.out.empty());
  CHECK(rig.RestInOrder() == Sent{"head", "dead"});
}

TEST_CASE("stowed jobs: a time that a clock set back has put out of reach is over") {
  Tight rig;
  rig.Stow(TrackLine("1", "head"));
  rig.now -= std::chrono::hours(24);
  rig.Run();
  rig.Pass(std::chrono::minutes(2));  // the gate's own wait is cut to its cap
  while (rig.out.empty()) rig.PassToWake();
  CHECK(rig.OutNames() == Sent{"head"});
}

TEST_CASE("stowed jobs: one whose line is damaged becomes a dead letter, and those behind it go on") {
  Tight rig;
  rig.Stow(TrackLine("1", "head"));
  rig.Accept({TrackLine("1", "follower")});
  {
    auto database = Database::Open(rig.file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(database->Execute("UPDATE outbox SET line = '{' WHERE parked IS NULL"));
  }
  CHECK(rig.RestInOrder() == Sent{"follower"});
  CHECK(rig.Total().dead == 1);
  CHECK(StowedLanes(rig) == 0);
}

TEST_CASE("stowed jobs: how few may share its next request is not forgotten") {
  Tight rig;
  rig.connection.batch.mode = BatchMode::kOn;
  rig.connection.batch.linger = Milliseconds(5);
  rig.Start();
  rig.Accept({TrackLine("1", "a"), TrackLine("2", "b"), TrackLine("3", "c"), TrackLine("4", "d")});
  rig.Pass(Milliseconds(100));
  REQUIRE(rig.out.size() == 1);
  REQUIRE(rig.out.front().transfer.batch.size() == 4);
  rig.AnswerAll(0);  // no answer: it may be one of them
  REQUIRE(Stowed(rig) == 4);
  CHECK(Ask(rig.file, "SELECT count(*) FROM outbox WHERE stowed = 2") == 4);
  while (rig.out.empty()) rig.PassToWake();
  CHECK(rig.out.front().transfer.Jobs().size() <= 2);
}

}  // namespace outboxd
