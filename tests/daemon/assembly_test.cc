#include "daemon/assembly.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <utility>

#include "tests/daemon/assembly_rig.h"
#include "tests/support/stderr_capture.h"

namespace outboxd {
namespace {

using test::AssemblyRig;
using test::Producer;
using test::StderrCapture;
using test::TrackLine;

TEST_CASE("assembly: jobs are accepted as soon as it is built, and sent once the dispatcher is started") {
  AssemblyRig rig;
  Producer producer;
  const auto all = rig.Build();
  producer.Submit(all->clerk, TrackLine("1"));
  CHECK(rig.requests() == 0);
  all->dispatcher.Start();
  rig.AwaitRequest();
  CHECK(rig.requests() == 1);
}

TEST_CASE("assembly: healthz and readyz answer while the dispatcher answers nobody") {
  AssemblyRig rig;
  const auto all = rig.Build();  // a dispatcher that was not started is as busy as one can be
  CHECK(rig.Ask(*all, "GET", "/healthz").status == 200);
  CHECK(rig.Ask(*all, "GET", "/readyz").body == "ok\n");
  all->operations.StopWork();
  CHECK(rig.Ask(*all, "GET", "/readyz").body == "outboxd is stopping\n");
}

TEST_CASE("assembly: after three crashes jobs are accepted and nothing is sent until an operator resumes") {
  AssemblyRig rig;
  rig.Crash();
  Producer producer;
  const auto all = rig.Build();
  all->dispatcher.Start();
  producer.Submit(all->clerk, TrackLine("1"));
  const auto status = all->operations.Status();
  REQUIRE(status);
  REQUIRE(status->connections.size() == 1);
  const ConnectionStatus& shown = status->connections[0];
  CHECK(shown.jobs == 1);
  CHECK(shown.gate.state == GateState::kPaused);
  CHECK(PauseReasonName(shown.gate.pause) == "crashes");
  CHECK(status->health.not_delivering->starts_with("outboxd crashed 3 times within 10 minutes"));
  CHECK(rig.Ask(*all, "GET", "/healthz").status == 503);
  CHECK(rig.Ask(*all, "GET", "/readyz").status == 200);
  CHECK(rig.Ask(*all, "POST", "/v1/connections/default/probe").status == 409);
  CHECK(rig.requests() == 0);

  const auto resumed = all->operations.Resume("default");
  REQUIRE(resumed);
  CHECK(resumed->gate.state == GateState::kOpen);
  rig.AwaitRequest();
  CHECK(rig.Ask(*all, "GET", "/healthz").status == 200);
}

TEST_CASE("assembly: a connection's gate on disk stays as it was while nothing is sent after crashes") {
  AssemblyRig rig;
  Producer producer;
  {
    const auto all = rig.Build();
    all->dispatcher.Start();
    REQUIRE(all->operations.Pause("default"));
  }
  rig.Crash();
  const auto all = rig.Build();
  all->dispatcher.Start();
  CHECK(all->operations.Status()->connections.at(0).gate.pause == PauseReason::kCrashes);
  auto reader = OutboxReader::Open(all->config.Get()->outbox.path);
  REQUIRE(reader);
  CHECK(reader->ReadGates()->at("default").pause == PauseReason::kOperator);
}

TEST_CASE("assembly: a reload takes effect for everyone whom it concerns, a bad config for nobody") {
  AssemblyRig rig;
  const auto all = rig.Build();
  all->dispatcher.Start();
  rig.SetConnection("rate_limit: 7");
  rig.Set("outbox", "{path: /elsewhere/outbox.db, max_jobs: 1}");
  rig.Set("workers", "3");
  for (int i = 0; i < 2; ++i) {
    const auto needs_restart = all->reloader.Reload();
    REQUIRE(needs_restart);
    CHECK(*needs_restart == "outbox.path, workers");  // until the restart, however often it is read
  }
  CHECK(all->config.Get()->connections.at("default").rate_limit == 7);
  CHECK(all->config.Get()->outbox.path == rig.OutboxFile());  // takes effect at the next start
  CHECK(all->operations.Status()->connections.at(0).rate_limit == 7);
  CHECK(all->operations.Status()->max_jobs == 1);
  const auto before = all->config.Get();
  rig.SetConnection("rate_limit: never");
  const StderrCapture log;
  CHECK(rig.Ask(*all, "POST", "/v1/reload").status == 400);
  CHECK(log.Count("config not reloaded") == 1);
  CHECK(all->config.Get() == before);
}

TEST_CASE("assembly: a socket that cannot be opened is an error, and nothing was sent") {
  AssemblyRig rig;
  Producer producer;
  {
    const auto all = rig.Build();
    producer.Submit(all->clerk, TrackLine("1"));
  }
  WriteFile(rig / "a.sock", "not a socket");
  auto config = LoadConfig(rig.ConfigFile());
  REQUIRE(config);
  CHECK_FALSE(Assembly::Build(std::move(*config)));
  CHECK(rig.requests() == 0);
}

TEST_CASE("assembly: an outbox without room for the record of crashes works as well") {
  AssemblyRig rig;
  std::filesystem::create_directory(rig / "outbox.db.crashes");
  const auto all = rig.Build();
  CHECK_FALSE(all->crashes);
  CHECK_FALSE(all->hold.Reason());
}

}  // namespace
}  // namespace outboxd
