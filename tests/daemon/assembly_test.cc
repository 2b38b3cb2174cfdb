#include "daemon/assembly.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <utility>

#include "tests/daemon/assembly_rig.h"
#include "tests/support/credentials_directory.h"
#include "tests/support/stderr_capture.h"

namespace outboxd {
namespace {

using test::AssemblyRig;
using test::CredentialsDirectory;
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

TEST_CASE(
    "assembly: without its credentials a connection takes jobs and delivers none, everyone who asks is told, "
    "and a reload with them delivers") {
  const CredentialsDirectory handed;
  handed.WriteBlank("site_id");
  handed.Write("api_key", "key");
  AssemblyRig rig;
  rig.Set("connections", "{" + rig.Connection("default", "rate_limit: 0", handed.Members()) + ", " +
                             rig.Connection("eu") + "}");
  const StderrCapture log;
  Producer producer;
  const auto all = rig.Build();
  all->dispatcher.Start();
  CHECK(log.Count("accepting without delivering") == 1);
  producer.Submit(all->clerk, TrackLine("1"));
  const std::string missing = (rig / "credentials/site_id").string();
  const auto status = all->operations.Status();
  REQUIRE(status);
  const ConnectionStatus& shown = status->connections.at(0);
  CHECK(shown.jobs == 1);
  CHECK(shown.gate.state == GateState::kPaused);
  CHECK(shown.gate.pause == PauseReason::kAuth);
  CHECK(shown.gate.detail.find(missing) != std::string::npos);
  CHECK(shown.awaits_credentials);
  CHECK(status->connections.at(1).gate.state == GateState::kOpen);
  CHECK(status->health.not_delivering->starts_with("nothing is sent on default: "));
  CHECK(rig.Ask(*all, "GET", "/healthz").status == 503);
  CHECK(rig.Ask(*all, "GET", "/readyz").status == 200);
  const HttpResponse metrics = rig.Ask(*all, "GET", "/metrics");
  CHECK(metrics.body.find(R"(outboxd_connection_state{connection="default",state="paused"} 1)") !=
        std::string::npos);
  for (const char* verb : {"probe", "resume"}) {
    CAPTURE(verb);
    const HttpResponse refused = rig.Ask(*all, "POST", std::string("/v1/connections/default/") + verb);
    CHECK(refused.status == 409);
    CHECK(refused.body.find(missing) != std::string::npos);
  }
  CHECK(all->operations.Pause("default")->gate.pause == PauseReason::kOperator);
  CHECK(all->operations.Resume("default")->gate.pause == PauseReason::kAuth);
  CHECK(rig.requests() == 0);

  handed.Write("site_id", "site");
  REQUIRE(all->reloader.Reload());
  rig.AwaitRequest();
  CHECK_FALSE(all->operations.CheckHealth().not_delivering);
  CHECK_FALSE(all->operations.Status()->connections.at(0).awaits_credentials);
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
