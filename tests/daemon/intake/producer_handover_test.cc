// Producers' connections from one listener to the next, as over a restart of the daemon.
#include <doctest/doctest.h>
#include <fcntl.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/base/mailbox.h"
#include "daemon/intake/kept_connections.h"
#include "daemon/intake/producer_listener.h"
#include "tests/support/await.h"
#include "tests/support/line_client.h"
#include "tests/support/shelf.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using Submissions = std::vector<std::unique_ptr<Submission>>;

constexpr std::chrono::seconds kPatience(20);

// A daemon that can be replaced by its next process. Its listening socket stays.
class Fixture {
 public:
  Fixture() {
    config_.path = folder_ / "socket";
    socket_ = *UnixListener::Open(config_);
    Start();
  }
  ~Fixture() { Stop(); }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  void Start(const LimitsConfig& limits = {}) {
    auto passed = shelf_.Passed();
    kept_ = std::make_unique<KeptConnections>(shelf_.Store(), passed);
    OwnedFd copy(fcntl(socket_->descriptor(), F_DUPFD_CLOEXEC, 0));
    listener_ = *ProducerListener::Open(
        UnixListener(std::move(copy), config_), limits, {{"default", std::chrono::hours(720)}}, metrics_,
        [this](std::unique_ptr<Submission> submission) { Take(std::move(submission)); }, kept_.get());
  }
  void Stop(Milliseconds patience = kPatience) {
    listener_->Stop(patience);
    kept_->Finish();
    listener_.reset();
    kept_.reset();
  }
  void Restart(const LimitsConfig& limits = {}) {
    Stop();
    Start(limits);
  }
  LineClient Connect() const { return LineClient(folder_ / "socket"); }
  void Hold() { holds_ = true; }
  void AnswerHeld() {
    Submissions held;
    REQUIRE(held_.TakeAll(held, kPatience));
    Answer(std::move(held));
  }
  std::size_t read() const { return read_; }  // jobs

 private:
  void Take(std::unique_ptr<Submission> submission) {
    read_ += submission->jobs.size();
    if (holds_) return static_cast<void>(held_.Post(std::move(submission)));
    Submissions one;
    one.push_back(std::move(submission));
    Answer(std::move(one));
  }
  // By their own way back: the first may come before listener_ is set.
  static void Answer(Submissions submissions) {
    SubmissionOrigin& origin = submissions.front()->origin;
    for (const auto& submission : submissions) submission->ids.resize(submission->jobs.size());
    origin.OnAnswered(std::move(submissions));
  }

  TempDir folder_;
  Metrics metrics_;
  SocketConfig config_;
  test::Shelf shelf_;
  std::atomic<bool> holds_{false};
  std::atomic<std::size_t> read_{0};
  Mailbox<std::unique_ptr<Submission>> held_{1000};
  std::optional<UnixListener> socket_;
  std::unique_ptr<KeptConnections> kept_;
  std::unique_ptr<ProducerListener> listener_;
};

std::string Line(const std::string& ref) {
  return R"({"type":"destroy","id":1,"ref":")" + ref + "\"}";
}

bool IsOk(const std::optional<std::string>& reply, const std::string& ref) {
  return reply && reply->starts_with(R"({"ok":true,)") && reply->ends_with("\"ref\":\"" + ref + "\"}");
}

TEST_CASE("producer handover: a connection goes on where it was, in the middle of a line") {
  Fixture fixture;
  LineClient producer = fixture.Connect();
  REQUIRE(producer.SendLine(Line("1")));
  CHECK(IsOk(producer.ReadLine(), "1"));
  const std::string second = Line("2");
  REQUIRE(producer.Send(second.substr(0, 10)));
  fixture.Restart();
  REQUIRE(producer.Send(second.substr(10) + "\n"));
  CHECK(IsOk(producer.ReadLine(), "2"));
  fixture.Restart();
  REQUIRE(producer.SendLine(Line("3")));
  CHECK(IsOk(producer.ReadLine(), "3"));
}

TEST_CASE("producer handover: lines that were read before the stop are answered before it") {
  Fixture fixture;
  fixture.Hold();
  LineClient producer = fixture.Connect();
  REQUIRE(producer.SendLine(Line("1")));
  REQUIRE(Await([&] { return fixture.read() == 1; }));
  fixture.AnswerHeld();
  fixture.Restart();
  CHECK(IsOk(producer.ReadLine(), "1"));
}

TEST_CASE("producer handover: replies that nobody reads yet are sent by the next process, each once") {
  Fixture fixture;
  LineClient producer = fixture.Connect();
  constexpr int kCount = 20'000;
  std::string lines;
  for (int i = 0; i < kCount; ++i) lines += Line(std::to_string(i)) + "\n";
  // Until the socket takes no more: the daemon waits for its replies to be read.
  static_cast<void>(producer.Send(lines, std::chrono::milliseconds(200)));
  for (int restart = 0; restart < 3; ++restart) fixture.Restart();
  std::thread sender([&] { CHECK(producer.Send(std::string_view(lines).substr(producer.SentBytes()))); });
  int answered = 0;
  while (answered < kCount && IsOk(producer.ReadLine(), std::to_string(answered))) ++answered;
  CHECK(answered == kCount);
  sender.join();
}

TEST_CASE("producer handover: a producer that has sent all it had gets its replies, then the end") {
  Fixture fixture;
  LineClient producer = fixture.Connect();
  REQUIRE(producer.Send(Line("1") + "\n" + Line("2")));
  CHECK(IsOk(producer.ReadLine(), "1"));
  fixture.Restart();
  producer.CloseWriting();
  CHECK(IsOk(producer.ReadLine(), "2"));
  CHECK_FALSE(producer.ReadLine());
  CHECK(producer.Ended());
}

TEST_CASE("producer handover: who connects in between is served by the next process") {
  Fixture fixture;
  fixture.Stop();
  LineClient producer = fixture.Connect();
  REQUIRE(producer.SendLine(Line("1")));
  fixture.Start();
  CHECK(IsOk(producer.ReadLine(), "1"));
}

TEST_CASE("producer handover: a user has no more connections than before, also with those taken up") {
  Fixture fixture;
  LineClient first = fixture.Connect();
  CHECK(IsOk(first.Ask(Line("1")), "1"));
  LimitsConfig limits;
  limits.per_uid.connections = 1;
  fixture.Restart(limits);
  LineClient second = fixture.Connect();
  CHECK(second.ReadLine().value_or("").find("busy") != std::string::npos);
  CHECK(IsOk(first.Ask(Line("2")), "2"));
}

}  // namespace
}  // namespace outboxd
