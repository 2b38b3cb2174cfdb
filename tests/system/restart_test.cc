// Restarts that nobody notices: a service manager that holds the sockets and the producers' connections.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/service_rig.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

// A program that writes an event and reads its reply, again and again, over one connection.
class SteadyProducer {
 public:
  SteadyProducer(const DaemonUnderTest& daemon, std::string customer)
      : client_(daemon.ProducerSocket()), customer_(std::move(customer)), thread_([this] { Run(); }) {}
  ~SteadyProducer() { Stop(); }
  SteadyProducer(const SteadyProducer&) = delete;
  SteadyProducer& operator=(const SteadyProducer&) = delete;

  void Stop() {
    stops_ = true;
    if (thread_.joinable()) thread_.join();
  }
  std::int64_t accepted() const { return accepted_; }
  bool broke() const { return broke_; }
  const std::string& customer() const { return customer_; }

 private:
  void Run() {
    while (!stops_) {
      const bool sent = client_.SendLine(Event(customer_, accepted_ + 1));
      const auto reply = sent ? client_.ReadLine(kLongPatience) : std::nullopt;
      if (!reply || !reply->starts_with(R"({"ok":true)")) {
        broke_ = true;
        return;
      }
      ++accepted_;
    }
  }

  LineClient client_;
  const std::string customer_;
  std::atomic<bool> stops_{false}, broke_{false};
  std::atomic<std::int64_t> accepted_{0};
  std::thread thread_;
};

using Producers = std::vector<std::unique_ptr<SteadyProducer>>;

Producers ManyProducers(const DaemonUnderTest& daemon, std::size_t count) {
  Producers producers;
  for (std::size_t i = 0; i < count; ++i)
    producers.push_back(std::make_unique<SteadyProducer>(daemon, "p" + std::to_string(i)));
  return producers;
}

void AwaitProgress(const Producers& producers) {
  std::vector<std::int64_t> before;
  for (const auto& producer : producers) before.push_back(producer->accepted());
  const auto has_gone_on = [&] {
    for (std::size_t i = 0; i < producers.size(); ++i) {
      if (!producers[i]->broke() && producers[i]->accepted() < before[i] + 2) return false;
    }
    return true;
  };
  REQUIRE(Await(has_gone_on, kLongPatience));
}

TEST_CASE("restart: producers in the middle of their work notice nothing") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  ServiceRig rig(daemon);
  rig.Start();
  Producers producers = ManyProducers(daemon, 10);
  for (int restart = 0; restart < 5; ++restart) {
    AwaitProgress(producers);
    rig.Restart();
  }
  AwaitProgress(producers);
  for (const auto& producer : producers) {
    producer->Stop();
    CHECK_FALSE(producer->broke());
  }
  daemon.AwaitDrained(kLongPatience);
  for (const auto& producer : producers) CheckNumbered(sim, producer->customer(), producer->accepted());
  CheckFlawless(sim.Report());
}

TEST_CASE("restart: jobs are accepted while the API hangs and the daemon waits for it") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"drain_timeout", "2s"}}, Launch::kLater);
  ServiceRig rig(daemon);
  rig.Start();
  sim.Freeze();
  daemon.Accept(Event("hangs", 1));
  daemon.AwaitStatus([](const JsonValue& status) { return status["states"]["in_flight"].Int() == 1; });
  LineClient producer = daemon.Producer();
  daemon.Signal(SIGTERM);
  REQUIRE(Await([&] { return daemon.Log().find("stopping") != std::string::npos; }));
  std::int64_t accepted_meanwhile = 0;
  for (; accepted_meanwhile < 10; ++accepted_meanwhile) {
    REQUIRE(daemon.Running());
    CHECK(producer.Ask(Event("goes on", accepted_meanwhile + 1)).starts_with(R"({"ok":true)"));
  }
  REQUIRE(Await([&] { return !daemon.Running(); }));
  CHECK(daemon.Log().find("stopping with requests in flight") != std::string::npos);
  sim.Thaw();
  rig.Start();
  CHECK(producer.Ask(Event("goes on", accepted_meanwhile + 1)).starts_with(R"({"ok":true)"));
}

TEST_CASE("restart: after a SIGKILL who was owed nothing goes on, who was is told by the end") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  ServiceRig rig(daemon);
  rig.Start();
  LineClient idle = daemon.Producer(), owed = daemon.Producer();
  CHECK(idle.Ask(Event("idle", 1)).starts_with(R"({"ok":true)"));
  CHECK(owed.Ask(Event("owed", 1)).starts_with(R"({"ok":true)"));
  REQUIRE(owed.Send(R"({"type":"track",)"));
  // Both are older than a second then.
  REQUIRE(Await([&] { return rig.StoredCount() >= 3; }));
  rig.Crash();
  CHECK(idle.Ask(Event("idle", 2)).starts_with(R"({"ok":true)"));
  CHECK_FALSE(owed.ReadLine());
  CHECK(owed.Ended());
}

TEST_CASE("restart: a config that is wrong for a while costs the producers waiting, no connection") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  ServiceRig rig(daemon);
  rig.Start();
  LineClient old = daemon.Producer();
  CHECK(old.Ask(Event("old", 1)).starts_with(R"({"ok":true)"));
  daemon.Terminate();
  LineClient fresh = daemon.Producer();
  REQUIRE(fresh.SendLine(Event("fresh", 1)));
  REQUIRE(old.SendLine(Event("old", 2)));
  daemon.SetConfig("listen.producer.path", "/nowhere/p.sock");
  rig.Pass();
  const Finished refused = daemon.RunToEnd();
  CHECK(refused.status.code == 78);
  CHECK(refused.err.find("systemctl edit outboxd.socket") != std::string::npos);
  daemon.SetConfig("listen.producer.path", Quoted(daemon.ProducerSocket().string()));
  rig.Start();
  CHECK(old.ReadLine().value_or("").starts_with(R"({"ok":true)"));
  CHECK(fresh.ReadLine().value_or("").starts_with(R"({"ok":true)"));
}

TEST_CASE("restart: a stop that is no restart ends every connection") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  auto rig = std::make_unique<ServiceRig>(daemon);
  rig->Start();
  LineClient producer = daemon.Producer();
  CHECK(producer.Ask(Event("c", 1)).starts_with(R"({"ok":true)"));
  daemon.Terminate();
  rig.reset();  // as the service manager lets go of what it kept
  CHECK_FALSE(producer.ReadLine());
  CHECK(producer.Ended());
}

}  // namespace
}  // namespace outboxd
