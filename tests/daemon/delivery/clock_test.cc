// What the wall clock of the host may do while jobs wait, and what becomes of their age and their time.
#include <doctest/doctest.h>

#include "tests/daemon/delivery/delivery_rig.h"

namespace outboxd::test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Timestamp kBuilt = FromUnixMs(1'790'000'000'000);
constexpr Timestamp kTrue = kBuilt + hours(24 * 100);
constexpr Timestamp kNever = FromUnixMs(100'000);  // 1970
constexpr hours kYear{24 * 365};

// A host whose clock is not synchronised.
struct Host {
  explicit Host(Timestamp wall = kTrue) {
    rig.now = wall;
    Tell();
    rig.Start();
  }
  void Tell() { rig.SetClock({rig.now, boot, boot_id, is_synchronised, kBuilt}); }
  void Run() {
    Tell();
    rig.Run();
  }
  void Pass(Milliseconds time) {
    rig.now += time;
    boot += time;
    Run();
  }
  void Step(Milliseconds by) {
    rig.now += by;
    Run();
  }
  void Set(Timestamp wall) {
    rig.now = wall;
    Run();
  }
  void Restart() {
    rig.Stop();
    Tell();
    rig.Start();
    Run();
  }
  void Reboot(Timestamp wall) {
    rig.Stop();
    boot_id = boot_id == "first" ? "second" : "third";
    boot = seconds(10);
    rig.now = wall;
    Restart();
  }
  void Accept(const std::string& name) {
    Tell();
    rig.Accept({TrackLine("42", name)});
  }
  // Until Open(): nothing leaves, however long.
  void Close() { rig.Queue().Pause(PauseReason::kOperator, "test", rig.now); }
  void Open() {
    rig.Queue().Resume(rig.now);
    Run();
  }
  // The time of the first job that is out.
  Timestamp SentTime() {
    REQUIRE_FALSE(rig.out.empty());
    return rig.out[0].transfer.Jobs()[0]->stamp.accepted;
  }
  std::uint64_t Dead() { return rig.Total().dead; }

  DeliveryRig rig;
  std::string boot_id = "first";
  Milliseconds boot{seconds(100)};
  bool is_synchronised = false;
};

}  // namespace

TEST_CASE("clock: jobs accepted in 1970 wait until it is set, and leave with their true time") {
  Host host(kNever);
  host.Accept("early");
  CHECK(host.rig.Queue().gate().pause == PauseReason::kClock);
  CHECK(host.rig.Queue().gate().detail == "the clock of this host says 1970-01-01T00:01:40.000Z: set it");
  host.Pass(hours(70));
  CHECK(host.rig.out.empty());
  CHECK(host.Dead() == 0);
  host.Set(kTrue);
  REQUIRE(host.rig.OutNames() == std::vector<std::string>{"early"});
  CHECK(host.SentTime() == kTrue - hours(70));
}

TEST_CASE("clock: the age of jobs accepted in 1970 is their true one: too old is too old") {
  Host host(kNever);
  host.Accept("early");
  host.Pass(hours(73));
  host.Accept("late");
  CHECK(host.Dead() == 0);
  host.Set(kTrue);
  CHECK(host.Dead() == 1);
  CHECK(host.rig.OutNames() == std::vector<std::string>{"late"});
  CHECK(host.SentTime() == kTrue);
}

TEST_CASE("clock: a restart before it is set changes nothing, nor one after it") {
  Host host(kNever);
  host.Accept("early");
  host.Pass(hours(1));
  host.Restart();
  CHECK(host.rig.Queue().gate().pause == PauseReason::kClock);
  CHECK(host.rig.out.empty());
  host.rig.Stop();
  host.rig.now = kTrue;
  host.Restart();
  CHECK(host.SentTime() == kTrue - hours(1));
  host.Restart();
  CHECK(host.SentTime() == kTrue - hours(1));
}

TEST_CASE("clock: after a reboot jobs of a boot in which it was never set count from when it was") {
  Host host(kNever);
  host.Accept("early");
  host.Pass(hours(100));
  SUBCASE("it is set at the next boot") {
    host.Reboot(kTrue);
  }
  SUBCASE("it is set some time after the next boot") {
    host.Reboot(kNever);
    host.Pass(hours(1));
    CHECK(host.rig.out.empty());
    host.Set(kTrue);
  }
  SUBCASE("it is set at the boot after the next") {
    host.Reboot(kNever);
    host.Pass(hours(1));
    host.Reboot(kTrue);
  }
  CHECK(host.SentTime() == kTrue);
  host.Pass(hours(1));
  host.Restart();
  CHECK(host.SentTime() == kTrue);
  CHECK(host.Dead() == 0);
  host.Reboot(kTrue + hours(80));
  CHECK(host.Dead() == 1);
}

TEST_CASE("clock: the dispatcher may see that it is set before the clerk does") {
  Host host(kNever);
  host.Accept("before");
  host.Reboot(kNever);
  host.Accept("after");
  host.Pass(hours(100));
  host.rig.now = kTrue;
  host.Tell();
  host.rig.Dispatch();
  host.rig.Dispatch();
  REQUIRE(host.rig.out.size() == 1);
  CHECK(host.SentTime() == kTrue);
  host.rig.AnswerAll(200);
  CHECK(host.rig.out.empty());
  CHECK(host.Dead() == 1);  // it waited for longer than three days, and that is known
}

TEST_CASE("clock: jobs of an earlier boot in which it was right keep their time while it is not set") {
  Host host;
  host.Accept("before");
  host.Pass(hours(1));
  host.Reboot(kNever);
  host.Pass(hours(100));
  CHECK(host.Dead() == 0);
  CHECK(host.rig.out.empty());
  host.Set(kTrue + hours(2));
  CHECK(host.SentTime() == kTrue);
}

TEST_CASE("clock: a year ahead, then corrected while jobs wait: they are as old as they are") {
  Host host(kTrue + kYear);
  host.Close();
  host.Accept("one");
  host.Pass(hours(1));
  host.Step(-kYear);
  host.Pass(hours(70));
  CHECK(host.Dead() == 0);
  SUBCASE("in time") {
    host.Open();
    CHECK(host.SentTime() == kTrue);
  }
  SUBCASE("too late") {
    host.Pass(hours(2));
    CHECK(host.Dead() == 1);
  }
}

TEST_CASE("clock: steps of an hour in both directions age nobody, and make nobody younger") {
  for (const hours step : {hours(1), hours(-1)}) {
    CAPTURE(step.count());
    Host host;
    host.rig.connection.retry.max_age = minutes(30);
    host.Restart();
    host.Close();
    host.Accept("one");
    host.Pass(minutes(10));
    host.Step(step);
    host.Pass(minutes(19));
    CHECK(host.Dead() == 0);
    SUBCASE("it leaves with its time moved along") {
      host.Open();
      CHECK(host.SentTime() == kTrue + step);
    }
    SUBCASE("it ends in time") {
      host.Pass(minutes(2));
      CHECK(host.Dead() == 1);
    }
  }
}

TEST_CASE("clock: a job accepted by a synchronised clock keeps its time") {
  Host host;
  host.is_synchronised = true;
  host.Close();
  host.Accept("one");
  host.is_synchronised = false;
  host.Step(hours(1));
  host.Open();
  CHECK(host.SentTime() == kTrue);
  host.Restart();
  CHECK(host.SentTime() == kTrue);
}

TEST_CASE("clock: small steps and slews move nothing") {
  Host host;
  host.Close();
  host.Accept("one");
  host.Step(seconds(4));
  host.Step(-seconds(4));
  host.Step(seconds(5));
  host.Open();
  CHECK(host.SentTime() == kTrue);
}

TEST_CASE("clock: a job whose request is out when it is set goes again as old as it is") {
  Host host;
  host.rig.connection.retry.max_age = minutes(30);
  host.Restart();
  host.Accept("one");
  REQUIRE(host.rig.out.size() == 1);
  host.Pass(minutes(1));
  host.Step(hours(1));
  SUBCASE("it comes back unjudged") {
    host.rig.Abort(0);
    host.Run();
  }
  SUBCASE("it is deferred") {
    host.rig.Finish(0, AnswerOf(0));
    host.Run();
    CHECK(host.Dead() == 0);
    host.Pass(minutes(10));
  }
  CHECK(host.Dead() == 0);
  CHECK(host.SentTime() == kTrue + hours(1));
}

TEST_CASE("clock: a deferred job wakes in time when it is set forward, and back") {
  for (const Milliseconds step : {Milliseconds(kYear), Milliseconds(-kYear)}) {
    CAPTURE(step.count());
    Host host(kTrue + kYear);
    host.Accept("one");
    host.rig.Finish(0, AnswerOf(0));
    host.Run();
    host.Step(step);
    host.Pass(minutes(30));
    CHECK(host.Dead() == 0);
    CHECK(host.SentTime() == kTrue + kYear + step);
  }
}

TEST_CASE("clock: a redrive in 1970 counts from its true time too") {
  Host host;
  host.Accept("one");
  host.rig.AnswerAll(400);
  REQUIRE(host.Dead() == 1);
  SUBCASE("the clock is set in the same boot") {
    host.Reboot(kNever);
    host.rig.Redrive();
    host.Run();
    host.Pass(hours(1));
    host.Set(kTrue + hours(1));
  }
  SUBCASE("the clock is set in the next boot") {
    host.Reboot(kNever);
    host.rig.Redrive();
    host.Run();
    host.Reboot(kTrue + hours(100));
  }
  SUBCASE("it steps after the redrive") {
    host.Close();
    host.rig.Redrive();
    host.Run();
    host.Step(hours(100));
    host.Open();
  }
  CHECK(host.Dead() == 0);
  CHECK(host.rig.OutNames() == std::vector<std::string>{"one"});
}

TEST_CASE("clock: a dead letter moves with it, and is redriven with the moved time") {
  Host host(kTrue + kYear);
  host.Accept("one");
  host.rig.AnswerAll(400);
  host.Step(-kYear);
  host.rig.Redrive();
  host.Run();
  CHECK(host.SentTime() == kTrue);
}

TEST_CASE("clock: what an operator resumes is not sent before it is set") {
  Host host(kNever);
  host.Accept("one");
  host.Open();
  CHECK(host.rig.out.empty());
  CHECK(host.rig.Queue().gate().pause == PauseReason::kClock);
  host.Close();
  host.Run();
  CHECK(host.rig.Queue().gate().pause == PauseReason::kOperator);
  host.Set(kTrue);
  CHECK(host.rig.out.empty());
  CHECK(host.rig.Queue().gate().pause == PauseReason::kOperator);
  host.Open();
  CHECK(host.rig.out.size() == 1);
}

TEST_CASE("clock: one that falls back to 1970 while jobs wait moves none of them") {
  Host host;
  host.Close();
  host.Accept("before");
  host.Open();
  host.rig.Abort(0);
  host.Step(kNever - kTrue);
  CHECK(host.rig.Queue().gate().pause == PauseReason::kClock);
  host.Accept("during");
  host.Pass(hours(1));
  CHECK(host.rig.out.empty());
  host.Set(kTrue + hours(1));
  CHECK(host.SentTime() == kTrue);
  host.rig.AnswerAll(200);
  CHECK(host.rig.OutNames() == std::vector<std::string>{"during"});
  CHECK(host.SentTime() == kTrue);
}

}  // namespace outboxd::test
