// What the queue of one connection may hold, and what it counts, when nothing leaves for long, the disk
// refuses, or an operator interferes.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "daemon/delivery/connection_queue.h"
#include "tests/daemon/delivery/delivery_rig.h"

namespace outboxd {
namespace {

using std::chrono::seconds;
using test::AnswerOf;
using test::DeliveryRig;
using test::TrackLine;

std::vector<std::string> Lines(const std::string& customer, int count, std::size_t bytes = 0,
                               const std::string& more = "") {
  return std::vector<std::string>(static_cast<std::size_t>(count),
                                  R"({"type":"track","id":")" + customer + R"(","name":"n")" + more +
                                      R"(,"data":{"x":")" + std::string(bytes, 'x') + R"("}})");
}

// Lines of `bytes` each, of customers of their own.
std::vector<std::string> LinesOfMany(int count, std::size_t bytes) {
  std::vector<std::string> lines;
  for (int number = 0; number < count; ++number)
    lines.push_back(Lines("m" + std::to_string(number), 1, bytes).front());
  return lines;
}

// Of the jobs in memory, all of which have lines of this length.
std::size_t BytesInMemory(DeliveryRig& rig, std::uint64_t first, std::uint64_t last, std::size_t bytes) {
  std::size_t jobs = 0;
  for (std::uint64_t number = first; number <= last; ++number) {
    const auto place = rig.Queue().held().Place(Sequence{number});
    jobs += place && place->state != JobState::kDeferred;
  }
  return jobs * bytes;
}

void Pause(DeliveryRig& rig) {
  rig.Tell([&](Dispatcher& dispatcher) {
    dispatcher.Find("default")->Pause(PauseReason::kOperator, "", rig.now);
  });
}

}  // namespace

TEST_CASE("queue bounds: jobs that expired behind a pause are no longer held as ready") {
  DeliveryRig rig;
  rig.Start();
  rig.Accept({TrackLine("1", "out"), TrackLine("1", "behind it")});
  Pause(rig);
  rig.Accept(Lines("2", 1, 0, R"(,"max_age":1)"));
  CHECK(rig.Queue().HasteNow() != Haste::kAtOnce);
  rig.Pass(seconds(3));
  CHECK(rig.Total().dead == 1);
  rig.Pass(seconds(1));
  CHECK(rig.Queue().HasteNow() == Haste::kAtOnce);
}

TEST_CASE("queue bounds: deferred jobs that are due come back into half of window_bytes") {
  constexpr std::size_t kBytes = 20'000;
  DeliveryRig rig;
  rig.limits.line_bytes = 2 * kBytes;
  rig.limits.window_bytes = 10 * kBytes;
  rig.Start();
  Pause(rig);
  rig.Accept(LinesOfMany(50, kBytes));
  rig.Stop();
  {
    auto database = Database::Open(rig.file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(database->Execute("UPDATE outbox SET attempts = 1, charged = 1, due_ms = accepted_ms + 1000"));
  }
  rig.Start();
  CHECK(rig.Queue().Status().deferred == 50);
  rig.Pass(std::chrono::minutes(1));
  const std::size_t held = BytesInMemory(rig, 1, 50, kBytes);
  CHECK(held >= rig.limits.window_bytes / 2);
  CHECK(held <= rig.limits.window_bytes / 2 + 2 * kBytes);
  rig.Tell([&](Dispatcher& dispatcher) { dispatcher.Find("default")->Resume(rig.now); });
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("queue bounds: rows of an earlier version that cost far more than their line go one at a time") {
  const auto bomb = [](int fields) {
    std::string line = R"({"type":"raw","method":"POST","path":"/v1/x","form":{)";
    for (int field = 0; field < fields; ++field)
      line += (field > 0 ? ",\"" : "\"") + std::to_string(field) + R"(":"")";
    return line + "}}";
  };
  DeliveryRig rig;
  rig.Start();
  const auto becomes = [&](const std::string& line, const std::string& rows) {
    auto database = Database::Open(rig.file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(database->Execute("UPDATE outbox SET type = 'raw', line = '" + line + "' WHERE " + rows));
  };
  SUBCASE("those of 500 kB") {
    rig.Submit(std::vector<std::string>(14, TrackLine("1")));
    rig.WorkClerk();
    becomes(bomb(50'436), "1");
    rig.Start();  // with the outbox full of them
    int sent = 0;
    for (; rig.Total().jobs > 0 && sent < 20; ++sent) {
      CHECK(rig.out.size() == 1);
      CHECK(rig.Queue().held().window().jobs() == 1);
      rig.AnswerAll(200);
    }
    CHECK(sent == 14);
    CHECK(rig.Total().dead == 0);
  }
  SUBCASE("what would even alone cost too much is a dead letter that says so") {
    rig.Submit({TrackLine("1"), TrackLine("1", "after it")});
    rig.WorkClerk();
    becomes(bomb(300'000), "seq = 1");
    rig.Start();
    rig.Run();
    CHECK(rig.Total().dead == 1);
    CHECK(rig.OutNames() == std::vector<std::string>{"after it"});
    CHECK(test::Ask(rig.file,
                    "SELECT death = 'rejected' AND reason LIKE 'sending it would take % MiB of "
                    "memory, more than 64:%' FROM dead_letters") == 1);
  }
}

TEST_CASE("queue bounds: a parked lane comes back into memory as far as window_bytes allows") {
  constexpr std::size_t kBytes = 20'000;
  DeliveryRig rig;
  rig.limits.line_bytes = 2 * kBytes;
  rig.limits.window_bytes = 5 * kBytes;
  rig.Start();
  rig.Accept({TrackLine("1", "head")});
  rig.AnswerAll(500);
  rig.Accept(Lines("1", 40, kBytes));
  CHECK(rig.Queue().Status().blocked == 40);
  std::size_t most = 0;
  while (rig.Total().jobs > 0) {
    if (rig.out.empty()) rig.PassToWake();
    rig.AnswerAll(200);
    most = std::max(most, BytesInMemory(rig, 2, 41, kBytes));
  }
  CHECK(most <= rig.limits.window_bytes * 5 / 4 + rig.limits.line_bytes + kBytes);
}

TEST_CASE("queue bounds: while the disk takes no marks, no more rows are read to be marked") {
  DeliveryRig rig;
  rig.limits.window_jobs = 100;
  rig.limits.lane_jobs = 4;
  rig.Start();
  rig.leave_out = true;
  for (int count = 0; count < 20; ++count) rig.Submit(Lines("1", 1000));
  rig.WorkClerk();
  for (int round = 0; round < 100; ++round) rig.Dispatch();  // the clerk writes nothing
  CHECK(rig.Queue().Status().blocked > 4096);
  CHECK(rig.Queue().Status().blocked < 4096 + 1500);
  rig.Run();
  CHECK(rig.Queue().Status().blocked > 19'000);
}

TEST_CASE("queue bounds: parked jobs that an operator takes away are counted no longer, while others wait") {
  DeliveryRig rig;
  rig.limits.lane_jobs = 3;
  rig.Start();
  rig.Accept(Lines("1", 20));
  rig.Accept({TrackLine("2", "other")});
  rig.Finish(1, AnswerOf(500));
  rig.Run();
  CHECK(rig.Queue().Status().blocked == 19);
  rig.Forget("1");
  rig.Pass(seconds(1));
  CHECK(rig.Queue().Status().blocked == 0);
  CHECK(rig.Total().jobs == 1);
}

TEST_CASE("queue bounds: the oldest job is known, whatever waits before it on other connections") {
  DeliveryRig rig;
  rig.Start();
  CHECK_FALSE(rig.Queue().Status().oldest_known);
  rig.Accept({TrackLine("1"), TrackLine("2")});
  CHECK(rig.Queue().Status().oldest_known == Sequence{1});
  rig.Finish(0, AnswerOf(200));
  rig.Run();
  CHECK(rig.Queue().Status().oldest_known == Sequence{2});
}

TEST_CASE(
    "queue bounds: a follower cancelled and redriven while it is out is not forgotten when its batch fails") {
  DeliveryRig rig;
  rig.connection.batch.mode = BatchMode::kOn;
  rig.connection.batch.same_lane = true;
  rig.connection.batch.linger = Milliseconds(0);
  rig.Start();
  rig.Accept(Lines("1", 3));
  REQUIRE(rig.out.size() == 1);
  rig.AnswerAll(503);
  while (rig.out.empty()) rig.PassToWake();
  rig.Finish(0, AnswerOf(200));
  rig.Run();
  REQUIRE(rig.out.size() == 1);
  REQUIRE(rig.out[0].transfer.Jobs().size() == 2);
  rig.Cancel(Sequence{3});
  rig.Run();
  rig.Redrive();
  rig.Run();
  rig.AnswerAll(503);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
  CHECK(rig.Total().dead == 0);
}

TEST_CASE("queue bounds: a job cancelled and redriven while it is out is charged anew") {
  DeliveryRig rig;
  rig.connection.retry.max_attempts = 3;
  rig.Start();
  rig.Accept({TrackLine("1")});
  for (int attempt = 0; attempt < 2; ++attempt) {
    rig.AnswerAll(500);
    while (rig.out.empty()) rig.PassToWake();
  }
  rig.Cancel(Sequence{1});
  rig.Run();
  rig.Redrive();
  rig.Run();
  rig.AnswerAll(500);
  CHECK(rig.Total().dead == 0);
  CHECK(test::Ask(rig.file, "SELECT charged FROM outbox") == 0);
}

TEST_CASE("queue bounds: a reload changes how many jobs of a lane are held") {
  DeliveryRig rig;
  rig.Start();
  rig.limits.lane_jobs = 4;
  rig.Tell(
      [&](Dispatcher& dispatcher) { CHECK(dispatcher.Configure(rig.MakeEndpoints(), rig.limits, rig.now)); });
  rig.Accept(Lines("1", 10));
  CHECK(test::Ask(rig.file, "SELECT count(*) FROM outbox WHERE parked IS NOT NULL") == 6);
}

TEST_CASE("queue bounds: a Retry-After that comes during the drain is obeyed after the restart") {
  DeliveryRig rig;
  rig.connection.max_in_flight = 1;
  rig.Start();
  rig.Accept({TrackLine("1"), TrackLine("2")});
  rig.dispatcher().StopSending();
  Answer answer = AnswerOf(429);
  answer.retry_after = "600";
  rig.Finish(0, std::move(answer));
  rig.Run();
  rig.Start();
  rig.Pass(seconds(599));
  CHECK(rig.out.empty());
  rig.Pass(seconds(1));
  CHECK(rig.out.size() == 1);
}

}  // namespace outboxd
