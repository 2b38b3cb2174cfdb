#include "daemon/intake/intake.h"

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "daemon/base/mailbox.h"
#include "daemon/base/wall_clock.h"
#include "tests/support/line_client.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

constexpr Milliseconds kPatience = std::chrono::seconds(20);

TEST_CASE("intake: what was handed over is answered although the Track endpoint cannot be served") {
  const TempDir folder;
  Config config;
  config.connections["default"] = {};
  config.producer.path = folder / "producer.sock";
  config.track.emplace_back().socket.path = folder / "track.sock";
  WriteFile(folder / "track.sock", "not a socket");

  Metrics metrics;
  const Environments environments;
  ListenerStates states;
  Mailbox<std::unique_ptr<Submission>> handed(10);
  Inherited inherited;
  const auto intake =
      Intake::Open(config, inherited, {}, environments, metrics,
                   [&](std::unique_ptr<Submission> submission) { handed.Post(std::move(submission)); });
  REQUIRE(intake);
  LineClient producer(config.producer.path);
  REQUIRE(producer.SendLine(R"({"type":"destroy","id":1})"));
  std::vector<std::unique_ptr<Submission>> submissions;
  REQUIRE(handed.TakeAll(submissions, kPatience));
  CHECK_FALSE((*intake)->ServeTrack(config, inherited.sockets, states, WallClockNow()));

  SubmissionOrigin& origin = submissions.front()->origin;
  submissions.front()->ids.resize(1);
  origin.OnAnswered(std::move(submissions));
  CHECK(producer.ReadLine().value_or("").starts_with(R"({"ok":true,)"));
  (*intake)->Stop(kPatience);
  CHECK_FALSE(producer.ReadLine());
}

}  // namespace
}  // namespace outboxd
