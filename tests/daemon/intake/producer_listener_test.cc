// The listener with a clerk that does what the test says.
#include "daemon/intake/producer_listener.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/base/mailbox.h"
#include "daemon/intake/producer_submission.h"
#include "daemon/intake/read_size.h"
#include "tests/support/as_user.h"
#include "tests/support/await.h"
#include "tests/support/line_client.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using Submissions = std::vector<std::unique_ptr<Submission>>;

const std::string kLine = R"({"type":"destroy","id":1})";

std::string Lines(int count, const std::string& padding = {}) {
  std::string lines;
  for (int i = 0; i < count; ++i)
    lines += R"({"type":"destroy","id":1,"ref":")" + std::to_string(i) + padding + "\"}\n";
  return lines;
}

class Fixture {
 public:
  explicit Fixture(const LimitsConfig& limits = {}) : listener_(Open(limits)) {}
  ~Fixture() {
    listener_->Stop(Milliseconds(0));
    Submissions unanswered;  // they hold connections, which end before the listener
    handed_.TakeAll(unanswered, Milliseconds(0));
  }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  void Stop() { listener_->Stop(std::chrono::seconds(20)); }

  LineClient Connect() const { return LineClient(folder_ / "socket"); }
  // Whoever is root.
  LineClient ConnectAs(std::uint32_t user) const {
    std::filesystem::permissions(folder_.Path(), std::filesystem::perms(0711));
    std::optional<LineClient> client;
    AsUser(user, [&] { client.emplace(folder_ / "socket"); });
    return *std::move(client);
  }
  Metrics& metrics() { return metrics_; }

  // The next that were handed over; one at least, or the test fails.
  Submissions Handed() {
    Submissions handed;
    REQUIRE(handed_.TakeAll(handed, std::chrono::seconds(20)));
    return handed;
  }
  bool IsNothingHanded() {
    Submissions handed;
    handed_.TakeAll(handed, Milliseconds(0));
    return handed.empty();
  }
  void Answer(Submissions submissions) {
    for (const auto& submission : submissions) submission->ids.resize(submission->jobs.size());
    listener_->OnAnswered(std::move(submissions));
  }
  // From now on each submission is answered at once.
  void AnswerPromptly() { is_prompt_ = true; }
  std::size_t MostJobs() const { return most_jobs_; }  // of one submission that was answered at once

 private:
  std::unique_ptr<ProducerListener> Open(const LimitsConfig& limits) {
    SocketConfig config;
    config.path = folder_ / "socket";
    config.mode = 0666;
    return *ProducerListener::Open(
        *UnixListener::Open(config), limits, {{"default", std::chrono::hours(720)}}, metrics_,
        [this](std::unique_ptr<Submission> submission) { Take(std::move(submission)); });
  }

  void Take(std::unique_ptr<Submission> submission) {
    if (!is_prompt_) return static_cast<void>(handed_.Post(std::move(submission)));
    most_jobs_ = std::max<std::size_t>(most_jobs_, submission->jobs.size());
    Submissions one;
    one.push_back(std::move(submission));
    Answer(std::move(one));
  }

  TempDir folder_;
  Metrics metrics_;
  std::atomic<bool> is_prompt_{false};
  std::atomic<std::size_t> most_jobs_{0};
  Mailbox<std::unique_ptr<Submission>> handed_{1000};
  const std::unique_ptr<ProducerListener> listener_;
};

TEST_CASE("producer listener: lines that are read together are handed over together and answered in order") {
  Fixture fixture;
  LineClient producer = fixture.Connect();
  REQUIRE(producer.Send(kLine + "\nnonsense\n" + kLine + "\n"));
  Submissions handed = fixture.Handed();
  REQUIRE(handed.size() == 1);
  CHECK(handed[0]->jobs.size() == 2);
  fixture.Answer(std::move(handed));
  CHECK(producer.ReadLine().value_or("").starts_with(R"({"ok":true,)"));
  CHECK(producer.ReadLine().value_or("").find("invalid_json") != std::string::npos);
  CHECK(producer.ReadLine().value_or("").starts_with(R"({"ok":true,)"));
  CHECK(fixture.metrics().ReadTotals().refused == 1);
}

TEST_CASE(
    "producer listener: of one read a bounded number of lines is taken, the others later and in order") {
  Fixture fixture;
  fixture.AnswerPromptly();
  LineClient producer = fixture.Connect();
  constexpr int kCount = 20'000;
  REQUIRE(producer.Send(std::string(kCount, '\n') + Lines(10)));
  for (int i = 0; i < kCount; ++i) REQUIRE(producer.ReadLine().value_or("").starts_with(R"({"ok":false)"));
  for (int i = 0; i < 10; ++i)
    CHECK(producer.ReadLine().value_or("").ends_with("\"ref\":\"" + std::to_string(i) + "\"}"));
}

TEST_CASE("producer listener: a submission owes a bounded number of replies, however short the lines are") {
  Fixture fixture;
  LineClient producer = fixture.Connect();
  REQUIRE(producer.Send(kLine + "\n" + std::string(20'000, '\n')));
  const Submissions handed = fixture.Handed();
  CHECK(static_cast<const ProducerSubmission&>(*handed.front()).replies.size() == kLinesAtOnce);
}

TEST_CASE("producer listener: no submission has more jobs than are taken at once") {
  LimitsConfig limits;
  limits.intake_bytes = 1ULL << 30;
  Fixture fixture(limits);
  fixture.AnswerPromptly();
  LineClient producer = fixture.Connect();
  constexpr std::size_t kCount = 10'000;
  std::string text;
  for (std::size_t i = 0; i < kCount; ++i)
    text += R"({"type":"destroy","id":1})"
            "\n";
  std::thread sender([&] { producer.Send(text); });
  std::size_t replies = 0;
  while (replies < kCount && producer.ReadLine()) ++replies;
  sender.join();
  CHECK(replies == kCount);
  CHECK(fixture.MostJobs() > 1);
  CHECK(fixture.MostJobs() <= kLinesAtOnce);
}

TEST_CASE("producer listener: while the intake is full nothing is read, and all of it once there is room") {
  LimitsConfig limits;
  limits.intake_bytes = 1;
  Fixture fixture(limits);
  LineClient first = fixture.Connect();
  REQUIRE(first.SendLine(kLine));
  Submissions held = fixture.Handed();

  // What the kernel takes of a producer that nobody reads from.
  LineClient second = fixture.Connect();
  const std::string offered = Lines(40'000, std::string(100, 'x'));
  CHECK_FALSE(second.Send(offered, Milliseconds(200)));
  CHECK(second.SentBytes() < 1'000'000);
  CHECK(fixture.IsNothingHanded());

  fixture.AnswerPromptly();
  fixture.Answer(std::move(held));
  CHECK(first.ReadLine().value_or("").starts_with(R"({"ok":true,)"));
  const std::size_t whole_lines = static_cast<std::size_t>(
      std::count(offered.begin(), offered.begin() + static_cast<std::ptrdiff_t>(second.SentBytes()), '\n'));
  for (std::size_t i = 0; i < whole_lines; ++i) {
    const std::string ref = "\"ref\":\"" + std::to_string(i) + std::string(100, 'x') + "\"}";
    REQUIRE(second.ReadLine().value_or("").ends_with(ref));
  }
}

TEST_CASE("producer listener: a producer ahead of the disk is not read from, and others are") {
  LimitsConfig limits;
  limits.intake_bytes = 1ULL << 30;
  Fixture fixture(limits);
  LineClient greedy = fixture.Connect();
  const std::string offered = Lines(100'000, std::string(100, 'x'));
  CHECK_FALSE(greedy.Send(offered, Milliseconds(200)));
  CHECK(greedy.SentBytes() < 3'000'000);
  LineClient neighbour = fixture.Connect();
  REQUIRE(neighbour.SendLine(kLine));
  Submissions greedy_ones;
  bool is_neighbour_served = false;
  while (!is_neighbour_served) {
    for (std::unique_ptr<Submission>& handed : fixture.Handed()) {
      const bool is_neighbours = !handed->jobs.front()->job.has_ref;
      is_neighbour_served = is_neighbour_served || is_neighbours;
      Submissions one;
      if (!is_neighbours) greedy_ones.push_back(std::move(handed));
      if (is_neighbours) one.push_back(std::move(handed));
      fixture.Answer(std::move(one));
    }
  }
  CHECK(neighbour.ReadLine().value_or("").starts_with(R"({"ok":true,)"));
  CHECK(greedy.SentBytes() < 3'000'000);
  fixture.Answer(std::move(greedy_ones));
}

TEST_CASE("producer listener: a stop answers what was read, and takes no further line") {
  Fixture fixture;
  LineClient producer = fixture.Connect();
  REQUIRE(producer.SendLine(kLine));
  Submissions handed = fixture.Handed();
  std::thread stopping([&] { fixture.Stop(); });
  fixture.Answer(std::move(handed));
  CHECK(producer.ReadLine().value_or("").starts_with(R"({"ok":true,)"));
  CHECK_FALSE(producer.ReadLine());
  CHECK(producer.Ended());
  stopping.join();
}

TEST_CASE(
    "producer listener: at a stop, lines that were received and had no turn yet are answered busy and not "
    "handed over") {
  LimitsConfig limits;
  limits.intake_bytes = 1;  // full with the first submission
  Fixture fixture(limits);
  LineClient producer = fixture.Connect();
  REQUIRE(producer.Send(kLine + std::string(kLinesAtOnce, '\n') + kLine + "\n"));
  Submissions handed = fixture.Handed();
  LineClient idle = fixture.Connect();
  std::thread stopping([&] { fixture.Stop(); });
  CHECK_FALSE(idle.ReadLine());  // closed by the stop, which the answer comes after
  fixture.Answer(std::move(handed));
  CHECK(producer.ReadLine().value_or("").starts_with(R"({"ok":true,)"));
  for (std::size_t i = 1; i < kLinesAtOnce; ++i) CHECK(producer.ReadLine());
  CHECK(producer.ReadLine().value_or("").find(R"("busy","message":"outboxd is stopping")") !=
        std::string::npos);
  CHECK_FALSE(producer.ReadLine());
  CHECK(producer.Ended());
  CHECK_FALSE(producer.WasReset());
  CHECK(fixture.IsNothingHanded());
  stopping.join();
}

// Of the lowest descriptors so many are free, for its lifetime.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t free) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const int lowest = dup(STDERR_FILENO);
    close(lowest);
    const rlimit few{static_cast<rlim_t>(lowest) + free, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_{};
};

TEST_CASE("producer listener: however many connections a user has, another one gets in") {
  if (!CanBeOthers()) return;
  LimitsConfig limits;
  limits.clients = 20;
  Fixture fixture(limits);
  fixture.AnswerPromptly();
  std::vector<LineClient> crowd;
  for (int i = 0; i < 40; ++i) crowd.push_back(fixture.Connect());
  CHECK(crowd.back().ReadLine().value_or("").find("busy") != std::string::npos);
  LineClient other = fixture.ConnectAs(kOtherUser);
  CHECK(other.Ask(kLine).starts_with(R"({"ok":true,)"));
  LineClient second = fixture.ConnectAs(kOtherUser);
  CHECK(second.Ask(kLine).starts_with(R"({"ok":true,)"));
  CHECK(crowd.front().Ask(kLine).starts_with(R"({"ok":true,)"));
}

TEST_CASE(
    "producer listener: while the intake is full, users are read in turn, however many connections each "
    "has") {
  if (!CanBeOthers()) return;
  LimitsConfig limits;
  limits.intake_bytes = 1;  // one submission at a time
  Fixture fixture(limits);
  LineClient first = fixture.Connect();
  REQUIRE(first.SendLine(kLine));
  Submissions held = fixture.Handed();
  std::vector<LineClient> crowd;
  for (int i = 0; i < 40; ++i) {
    crowd.push_back(fixture.Connect());
    REQUIRE(crowd.back().SendLine(kLine));
  }
  LineClient other = fixture.ConnectAs(kOtherUser);
  REQUIRE(other.SendLine(kLine));
  int of_crowd = 0;
  for (bool is_served = false; !is_served; ++of_crowd) {
    fixture.Answer(std::move(held));
    held = fixture.Handed();
    REQUIRE(held.size() == 1);
    is_served = held[0]->jobs.at(0)->uid == kOtherUser;
  }
  fixture.Answer(std::move(held));
  CHECK(of_crowd < 30);  // some are read before the other one is accepted
  CHECK(other.ReadLine().value_or("").starts_with(R"({"ok":true,)"));
}

TEST_CASE("producer listener: a user's own bound of connections is told, and counts those alone") {
  LimitsConfig limits;
  limits.per_uid.connections = 2;
  Fixture fixture(limits);
  fixture.AnswerPromptly();
  LineClient first = fixture.Connect();
  CHECK(first.Ask(kLine).starts_with(R"({"ok":true,)"));
  {
    LineClient second = fixture.Connect();
    CHECK(second.Ask(kLine).starts_with(R"({"ok":true,)"));
    CHECK(fixture.Connect().ReadLine().value_or("").find("busy") != std::string::npos);
  }
  CHECK(Await([&] {
    LineClient next = fixture.Connect();
    return next.SendLine(kLine) && next.ReadLine().value_or("").starts_with(R"({"ok":true,)");
  }));
}

TEST_CASE("producer listener: memory is taken back from the user who holds most, not from the largest line") {
  if (!CanBeOthers()) return;
  LimitsConfig limits;
  limits.producer_bytes = 500'000;
  limits.line_bytes = 200'000;
  Fixture fixture(limits);
  fixture.AnswerPromptly();
  std::vector<LineClient> crowd;
  for (int i = 0; i < 45; ++i) {
    crowd.push_back(fixture.Connect());
    REQUIRE(crowd.back().Send(kLine + "\n" + std::string(10'000, ' ')));
    REQUIRE(crowd.back().ReadLine().value_or("").starts_with(R"({"ok":true,)"));
  }
  LineClient other = fixture.ConnectAs(kOtherUser);
  REQUIRE(other.Send(std::string(150'000, ' ')));
  const auto is_dropped = [](LineClient& client) {
    return client.ReadToEnd(Milliseconds(0)), client.Ended();
  };
  CHECK(Await([&] { return std::any_of(crowd.begin(), crowd.end(), is_dropped); }));
  CHECK(other.Ask(kLine).starts_with(R"({"ok":true,)"));
}

TEST_CASE("producer listener: it is an error when the system has too few descriptors for it") {
  const TempDir folder;
  SocketConfig config;
  config.path = folder / "socket";
  Metrics metrics;
  for (rlim_t free = 0;; ++free) {
    CAPTURE(free);
    REQUIRE(free < 20);
    UnixListener socket = *UnixListener::Open(config);
    const FewDescriptors few(free);
    const auto listener = ProducerListener::Open(std::move(socket), {}, {}, metrics, {});
    if (listener) break;
    CHECK(listener.error().kind == ErrorKind::kIo);
    CHECK(listener.error().message == "the producer socket cannot be served: Too many open files");
  }
}

}  // namespace
}  // namespace outboxd
