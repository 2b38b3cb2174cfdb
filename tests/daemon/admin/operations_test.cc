#include "daemon/admin/operations.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <optional>
#include <string>

#include "daemon/base/stopping.h"
#include "tests/daemon/assembly_rig.h"

namespace outboxd {
namespace {

using test::AssemblyRig;
using test::Producer;
using test::TrackLine;

TEST_CASE("operations: pause and resume change one connection, and an unknown one is not found") {
  AssemblyRig rig;
  const auto all = rig.Build();
  all->dispatcher.Start();
  CHECK(all->operations.Pause("default")->gate.pause == PauseReason::kOperator);
  CHECK(all->operations.Resume("default")->gate.state != GateState::kPaused);
  const auto unknown = all->operations.Pause("other");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().kind == ErrorKind::kNotFound);
  CHECK(unknown.error().field == "connection");
}

TEST_CASE("operations: a connection that left the config is neither resumed nor probed") {
  AssemblyRig rig;
  rig.Set("connections", "{" + rig.Connection("gone") + ", " + rig.Connection("hidden") + "}");
  const auto all = rig.Build();
  Operations& operations = all->operations;
  all->dispatcher.Start();
  REQUIRE(operations.Pause("hidden"));  // an operator's pause outweighs the config's
  rig.Set("connections", "{" + rig.Connection("default") + "}");
  REQUIRE(operations.Reload());
  for (const char* name : {"gone", "hidden"}) {
    CAPTURE(name);
    const auto resumed = operations.Resume(name);
    REQUIRE_FALSE(resumed);
    CHECK(resumed.error().kind == ErrorKind::kConflict);
    CHECK(resumed.error().message.find("not in the config") != std::string::npos);
    const auto probed = operations.Probe(name);
    REQUIRE_FALSE(probed);
    CHECK(probed.error().kind == ErrorKind::kConflict);
  }
  CHECK(rig.requests() == 0);
  rig.Set("connections", "{" + rig.Connection("hidden") + "}");
  REQUIRE(operations.Reload());
  CHECK(operations.Resume("hidden"));
}

TEST_CASE("operations: a cancelled job is a dead letter that can be counted, redriven and dropped") {
  AssemblyRig rig;
  Producer producer;
  const auto all = rig.Build();
  Operations& operations = all->operations;
  all->dispatcher.Start();
  REQUIRE(operations.Pause("default"));
  producer.Submit(all->clerk, TrackLine("1"));
  const Sequence sequence = producer.last();
  REQUIRE(operations.Cancel(sequence));
  CHECK(operations.CountDead({}) == 1);
  CHECK(operations.Redrive({}) == 1);
  CHECK(operations.CountDead({}) == 0);
  REQUIRE(operations.Cancel(sequence));
  CHECK(operations.Drop({}) == 1);
  CHECK(operations.CountDead({}) == 0);
  CHECK_FALSE(operations.Cancel(sequence));
  CHECK(rig.requests() == 0);
}

TEST_CASE(
    "operations: an amended dead letter is sent with its corrected line, if that asks for no more than it "
    "may") {
  AssemblyRig rig;
  Producer producer;
  const auto all = rig.Build();
  Operations& operations = all->operations;
  all->dispatcher.Start();
  REQUIRE(operations.Pause("default"));
  producer.Submit(all->clerk, TrackLine("1", "wrong"));
  REQUIRE(operations.Cancel(producer.last()));
  const std::string id = test::AskText(rig.OutboxFile(), "SELECT job FROM dead_letters");
  OperatorWork::Amendment amendment{producer.last(), id, "default", TrackLine("2", "right"), "2"};
  const auto too_long = operations.Amend(amendment, std::chrono::hours(24 * 365));
  REQUIRE_FALSE(too_long);
  CHECK(too_long.error().field == "line.max_age");
  amendment.line = std::string(1'000'000, 'x');
  CHECK(operations.Amend(amendment, {}).error().field == "line");
  amendment.line = TrackLine("2", "right");
  REQUIRE(operations.Amend(amendment, std::chrono::seconds(60)));
  CHECK(operations.CountDead({}) == 0);
  CHECK_FALSE(operations.Amend(amendment, {}));
  CHECK(test::AskText(rig.OutboxFile(), "SELECT line FROM outbox") == TrackLine("2", "right"));
  REQUIRE(operations.Resume("default"));
  rig.AwaitRequest();
}

TEST_CASE("operations: a connection that is not in the config is shown with its jobs") {
  AssemblyRig rig;
  Producer producer;
  const auto all = rig.Build();
  all->dispatcher.Start();
  producer.Submit(all->clerk, TrackLine("1", "bought", "gone"));
  const auto status = all->operations.Status();
  REQUIRE(status);
  REQUIRE(status->connections.size() == 2);
  CHECK(status->connections[1].name == "gone");
  CHECK(status->connections[1].jobs == 1);
  CHECK(status->connections[1].gate.pause == PauseReason::kUnconfigured);
}

TEST_CASE("operations: once work has to stop nothing new begins, and everyone is told why") {
  AssemblyRig rig;
  const auto all = rig.Build();
  all->dispatcher.Start();
  all->operations.StopWork();
  CHECK(all->operations.CheckHealth().not_accepting == StoppingError().message);
  CHECK(all->operations.Redrive({}).error().message == StoppingError().message);
  CHECK(all->operations.Forget("1", std::nullopt).error().kind == ErrorKind::kBusy);
  CHECK(all->operations.Probe("default").error().message == StoppingError().message);
  CHECK(all->operations.Backup(rig / "backup.db").error().message == StoppingError().message);
  CHECK_FALSE(std::filesystem::exists(rig / "backup.db"));
  all->dispatcher.Stop();
  CHECK(all->operations.Status().error().message == StoppingError().message);
  all->clerk.Stop();
  CHECK(all->operations.Drop({}).error().message == StoppingError().message);
}

}  // namespace
}  // namespace outboxd
