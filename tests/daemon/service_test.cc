#include "daemon/service.h"

#include <doctest/doctest.h>

#include <csignal>
#include <utility>

#include "daemon/base/wall_clock.h"
#include "tests/daemon/assembly_rig.h"
#include "tests/support/credentials_directory.h"

namespace outboxd {
namespace {

TEST_CASE("service: sends from its start on, says what it does in a line, and stops once") {
  test::AssemblyRig rig;
  test::Producer producer;
  producer.Submit(rig.Build()->clerk, test::TrackLine("1"));
  auto config = LoadConfig(rig.ConfigFile());
  REQUIRE(config);
  auto service = Service::Start(std::move(*config));
  REQUIRE(service);
  rig.AwaitRequest();
  service->Tick(WallClockNow());
  CHECK(service->Summary().starts_with("accepting jobs; "));
  CHECK_FALSE(service->FatalReason());
  service->Reload();
  service->Stop();
  service->Stop();
  CHECK(OutboxReader::Open(rig.OutboxFile())->ReadOne(producer.last())->has_value() == false);
}

TEST_CASE("service: while credentials are missing its line says which, and where they go") {
  const test::CredentialsDirectory handed;
  handed.WriteBlank("site_id");
  handed.WriteBlank("api_key");
  test::AssemblyRig rig;
  rig.Set("connections", "{" + rig.Connection("default", "rate_limit: 0", handed.Members()) + "}");
  auto config = LoadConfig(rig.ConfigFile());
  REQUIRE(config);
  const auto service = Service::Start(std::move(*config));
  REQUIRE(service);
  CHECK(service->Summary() ==
        "accepting jobs, not delivering: nothing is sent on default: its credentials are not there yet: "
        "write " +
            (rig / "credentials/site_id").string() + " and " + (rig / "credentials/api_key").string() +
            ", then it delivers by itself; 0 wait, 0 dead letters");
}

TEST_CASE("fatal error: the first reason stays, and the main thread is woken") {
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigset_t before;
  REQUIRE(pthread_sigmask(SIG_BLOCK, &term, &before) == 0);
  FatalError fatal;
  CHECK_FALSE(fatal.Reason());
  fatal.Raise({ErrorKind::kCorrupt, "damaged", {}});
  fatal.Raise({ErrorKind::kCorrupt, "damaged again", {}});
  CHECK(fatal.Reason() == "damaged");
  const timespec patience{10, 0};
  CHECK(sigtimedwait(&term, nullptr, &patience) == SIGTERM);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace
}  // namespace outboxd
