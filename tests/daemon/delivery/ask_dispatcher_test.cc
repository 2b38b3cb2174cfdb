#include "daemon/delivery/ask_dispatcher.h"

#include <doctest/doctest.h>

#include <latch>
#include <optional>
#include <thread>

#include "storage/outbox.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

// A dispatcher without connections on its own thread.
class Bench {
 public:
  Bench() {
    REQUIRE(Outbox::Open(folder_ / "outbox.db", 7));
    auto reader = OutboxReader::Open(folder_ / "outbox.db");
    REQUIRE(reader);
    dispatcher_.emplace(Dispatcher(std::move(*reader), metrics_, 7),
                        DispatcherThread::Ports{.send = [](const std::vector<Transfer>&) {},
                                                .report = [](const Report&) {},
                                                .probed = [](const std::string&, const ProbeReport&) {},
                                                .failed = [](const Error&) {}});
    dispatcher_->Start();
  }

  DispatcherThread& dispatcher() { return *dispatcher_; }

 private:
  TempDir folder_;
  Metrics metrics_;
  std::optional<DispatcherThread> dispatcher_;
};

TEST_CASE("ask dispatcher: the answer is what the question returned, a value or a Result") {
  Bench bench;
  CHECK(AskDispatcher<int>(bench.dispatcher(), [](Dispatcher&, Timestamp) { return 7; }) == 7);
  const auto failed = AskDispatcher<Result<void>>(
      bench.dispatcher(), [](Dispatcher&, Timestamp) -> Result<void> { return Fail(ErrorKind::kIo, "no"); });
  REQUIRE(failed);
  REQUIRE_FALSE(*failed);
  CHECK(failed->error().kind == ErrorKind::kIo);
}

TEST_CASE("ask dispatcher: while it is busy the answer is busy, and the question takes no effect later") {
  Bench bench;
  std::latch busy(1);
  std::latch go_on(1);
  bench.dispatcher().Post([&](Dispatcher&, Timestamp) {
    busy.count_down();
    go_on.wait();
  });
  busy.wait();
  bool done = false;
  const auto change = [&](Dispatcher&, Timestamp) { return done = true; };
  const Result<bool> answer = AskDispatcher<bool>(bench.dispatcher(), change, Milliseconds(1));
  go_on.count_down();
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == ErrorKind::kBusy);
  CHECK(answer.error().message == "outboxd is busy: nothing was done within 1 ms; try again later");
  // It is behind the question that was given up.
  CHECK(AskDispatcher<bool>(bench.dispatcher(), [&](Dispatcher&, Timestamp) { return done; }) == false);
}

TEST_CASE("ask dispatcher: what has begun is awaited, however impatient the asker is") {
  Bench bench;
  const auto slow = [](Dispatcher&, Timestamp) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(5);
    while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return 7;
  };
  // On a loaded machine the dispatcher may begin too late: then nothing was done, and the asker tries again.
  Result<int> answer = Fail(ErrorKind::kBusy, "");
  while (!answer) answer = AskDispatcher<int>(bench.dispatcher(), slow, Milliseconds(1));
  CHECK(answer == 7);
}

TEST_CASE("ask dispatcher: after its end the answer is that outboxd is stopping") {
  Bench bench;
  bench.dispatcher().Stop();
  const Result<int> answer = AskDispatcher<int>(bench.dispatcher(), [](Dispatcher&, Timestamp) { return 7; });
  REQUIRE_FALSE(answer);
  CHECK(answer.error().message == StoppingError().message);
}

}  // namespace
}  // namespace outboxd
