// The clerk on its own thread: who gets which answer, and when.
#include "daemon/clerk/clerk_thread.h"

#include <doctest/doctest.h>

#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

struct Listener : SubmissionOrigin {
  void OnAnswered(std::vector<std::unique_ptr<Submission>> submissions) override {
    for (auto& submission : submissions) answered.push_back(std::move(submission));
  }
  std::vector<std::unique_ptr<Submission>> answered;
};

}  // namespace

TEST_CASE("clerk thread: each origin gets its own answers, in order, after the commit") {
  TempDir folder;
  auto outbox = Outbox::Open(folder / "outbox.db", 7);
  REQUIRE(outbox);
  Clerk clerk(std::move(*outbox), {}, [] { return std::uint64_t{1} << 40; });
  Listener first;
  Listener second;
  {
    std::vector<Committed> committed;
    ClerkThread::Ports ports;
    ports.committed = [&](Committed news) { committed.push_back(std::move(news)); };
    ports.dispatcher_is_behind = [] { return true; };
    ports.stored = [](double, const auto&) {};
    ports.fatal = [](const Error&) {};
    ClerkThread thread(std::move(clerk), 100, std::move(ports));
    for (int count = 0; count < 50; ++count) {
      auto submission = std::make_unique<Submission>(count % 2 == 0 ? first : second);
      submission->jobs.push_back(test::NewJob(test::TrackLine("1", std::to_string(count))));
      thread.Submit(std::move(submission));
    }
    thread.Stop();
    CHECK_FALSE(thread.Post([](OperatorWork&, Timestamp) { return false; }));
    for (const Committed& news : committed) {
      CHECK(news.accepted.empty());
      CHECK(news.left_out);
    }
  }
  for (const Listener* origin : {&first, &second}) {
    REQUIRE(origin->answered.size() == 25);
    Sequence last{};
    for (const auto& submission : origin->answered) {
      REQUIRE(submission->ids.size() == 1);
      CHECK(submission->ids[0].SequencePart() > last);
      last = submission->ids[0].SequencePart();
    }
  }
  CHECK(test::Ask(folder / "outbox.db", "SELECT count(*) FROM outbox") == 50);
}

}  // namespace outboxd
