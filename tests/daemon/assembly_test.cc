// The object graph as the daemon has it, over a real outbox and real sockets; requests go to a stub of the
// Track API.
#include "daemon/assembly.h"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "daemon/base/wall_clock.h"
#include "tests/daemon/delivery/stub_server.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using testing::Peer;
using testing::SeenRequest;
using testing::StubServer;
using testing::Then;

// Hands one job to the clerk and waits until it is stored.
class Producer final : public SubmissionOrigin {
 public:
  void Submit(ClerkThread& clerk, const std::string& line) {
    auto submission = std::make_unique<Submission>(*this);
    submission->jobs.push_back(test::NewJob(line));
    clerk.Submit(std::move(submission));
    CHECK(stored_.get_future().get());
  }
  void OnAnswered(std::vector<std::unique_ptr<Submission>> submissions) override {
    stored_.set_value(submissions.at(0)->ids.size() == 1);
  }

 private:
  std::promise<bool> stored_;
};

class Bench {
 public:
  Bench() : server_([this](const SeenRequest&, const Peer& peer) { return Take(peer); }) {
    WriteFile(folder_ / "outboxd.yaml",
              "outbox: {path: \"" + Path("outbox.db") + "\"}\nlisten: {producer: {path: \"" + Path("p.sock") +
                  "\"}, admin: {path: \"" + Path("a.sock") + "\"}}\nconnections: {default: {base_url: \"" +
                  server_.Url() + "\", site_id: site, api_key: key}}\n");
  }

  std::unique_ptr<Assembly> Build() const {
    auto config = LoadConfig(folder_ / "outboxd.yaml");
    REQUIRE(config);
    auto built = Assembly::Build(std::move(*config));
    REQUIRE(built);
    return *std::move(built);
  }

  // As if outboxd had crashed three times a moment ago.
  void Crash() const {
    std::string text;
    for (int i = 0; i < 3; ++i) text += std::to_string(ToUnixMs(WallClockNow()) - i) + '\n';
    WriteFile(folder_ / "outbox.db.crashes", text);
  }

  HttpResponse Ask(Assembly& all, std::string_view method, std::string_view path) const {
    HttpRequestView request;
    request.method = method;
    request.path = path;
    return all.admin_api.Handle(request);
  }

  std::size_t requests() const { return requests_; }
  void AwaitRequest() const { requests_.wait(0); }

 private:
  std::string Path(std::string_view name) const { return (folder_ / name).string(); }
  Then Take(const Peer& peer) {
    peer.Answer(200);
    ++requests_;
    requests_.notify_all();
    return Then::kKeep;
  }

  TempDir folder_;
  std::atomic<std::size_t> requests_{0};
  StubServer server_;
};

TEST_CASE("assembly: jobs are accepted as soon as it is built, and sent once the dispatcher is started") {
  Bench bench;
  Producer producer;
  const auto all = bench.Build();
  producer.Submit(all->clerk, test::TrackLine("1"));
  CHECK(bench.requests() == 0);
  all->dispatcher.Start();
  bench.AwaitRequest();
  CHECK(bench.requests() == 1);
}

TEST_CASE("assembly: healthz and readyz answer while the dispatcher answers nobody") {
  Bench bench;
  const auto all = bench.Build();  // a dispatcher that was not started is as busy as one can be
  CHECK(bench.Ask(*all, "GET", "/healthz").status == 200);
  CHECK(bench.Ask(*all, "GET", "/readyz").body == "ok\n");
  all->operations.StopWork();
  CHECK(bench.Ask(*all, "GET", "/readyz").body == "outboxd is stopping\n");
}

TEST_CASE("assembly: after three crashes jobs are accepted and nothing is sent until an operator resumes") {
  Bench bench;
  bench.Crash();
  Producer producer;
  const auto all = bench.Build();
  all->dispatcher.Start();
  producer.Submit(all->clerk, test::TrackLine("1"));
  const auto status = all->operations.Status();
  REQUIRE(status);
  REQUIRE(status->connections.size() == 1);
  const ConnectionStatus& shown = status->connections[0];
  CHECK(shown.jobs == 1);
  CHECK(shown.gate.state == GateState::kPaused);
  CHECK(PauseReasonName(shown.gate.pause) == "crashes");
  CHECK(status->health.not_delivering->starts_with("outboxd crashed 3 times within 10 minutes"));
  CHECK(bench.Ask(*all, "GET", "/healthz").status == 503);
  CHECK(bench.Ask(*all, "GET", "/readyz").status == 200);
  CHECK(bench.Ask(*all, "POST", "/v1/connections/default/probe").status == 409);
  CHECK(bench.requests() == 0);

  const auto resumed = all->operations.Resume("default");
  REQUIRE(resumed);
  CHECK(resumed->gate.state == GateState::kOpen);
  bench.AwaitRequest();
  CHECK(bench.Ask(*all, "GET", "/healthz").status == 200);
}

TEST_CASE("assembly: a connection's gate on disk stays as it was while nothing is sent after crashes") {
  Bench bench;
  Producer producer;
  {
    const auto all = bench.Build();
    all->dispatcher.Start();
    REQUIRE(all->operations.Pause("default"));
  }
  bench.Crash();
  const auto all = bench.Build();
  all->dispatcher.Start();
  CHECK(all->operations.Status()->connections.at(0).gate.pause == PauseReason::kCrashes);
  auto reader = OutboxReader::Open(all->config.Get()->outbox.path);
  REQUIRE(reader);
  CHECK(reader->ReadGates()->at("default").pause == PauseReason::kOperator);
}

}  // namespace
}  // namespace outboxd
