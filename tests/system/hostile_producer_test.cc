// Producers that are slow, broken, many, or do not listen.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "tests/system/scene.h"

namespace outboxd {
namespace {

std::string CodeOf(const JsonValue& reply) {
  return reply["error"]["code"].String();
}

TEST_CASE("producer: binary garbage is refused line by line and harms nobody") {
  const std::uint64_t seed = std::random_device()();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  LineClient neighbour = daemon.Producer();
  for (int round = 0; round < 20; ++round) {
    std::string garbage(5000, '\0');
    for (char& byte : garbage) byte = static_cast<char>(random());
    LineClient producer = daemon.Producer();
    producer.Send(garbage + "\n" + Event("g", round + 1) + "\n");
    producer.CloseWriting();
    const std::vector<JsonValue> replies = ParsedLines(producer.ReadToEnd());
    REQUIRE(replies.size() == static_cast<std::size_t>(std::count(garbage.begin(), garbage.end(), '\n')) + 2);
    for (std::size_t i = 0; i + 1 < replies.size(); ++i) CHECK_FALSE(replies[i]["ok"].Bool(true));
    CHECK(replies.back()["ok"].Bool());
    CHECK(Parsed(neighbour.Ask(Event("n", round + 1)))["ok"].Bool());
  }
  daemon.AwaitDrained();
  CheckNumbered(sim, "g", 20);
  CheckNumbered(sim, "n", 20);
}

TEST_CASE("producer: a line that comes byte by byte is a line, and others do not wait for it") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  LineClient slow = daemon.Producer();
  LineClient neighbour = daemon.Producer();
  std::int64_t n = 0;
  for (const char byte : Event("slow", 1) + "\n") {
    REQUIRE(slow.Send(std::string_view(&byte, 1)));
    REQUIRE(Parsed(neighbour.Ask(Event("quick", ++n)))["ok"].Bool());
  }
  CHECK(Parsed(slow.ReadLine().value())["ok"].Bool());
  daemon.AwaitDrained();
  CheckNumbered(sim, "slow", 1);
  CheckNumbered(sim, "quick", n);
}

TEST_CASE(
    "producer: one that never reads its replies is no longer read from, then dropped, and others are "
    "served") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim,
                         {{"limits.unread_reply_bytes", "64kB"}, {"limits.unread_reply_timeout", "500ms"}});
  LineClient deaf = daemon.Producer();
  LineClient neighbour = daemon.Producer();
  const std::string lines(64 * 1024, '\n');  // each byte asks for a reply of a hundred bytes
  constexpr std::size_t kOffered = 64U << 20;
  bool is_taken = true;
  while (is_taken && deaf.SentBytes() < kOffered) is_taken = deaf.Send(lines, std::chrono::seconds(20));
  CHECK_FALSE(is_taken);
  CHECK(deaf.SentBytes() < (8U << 20));
  CHECK(Parsed(neighbour.Ask(Event("n", 1)))["ok"].Bool());
  CHECK(Await([&] { return daemon.Log().find("does not read its replies") != std::string::npos; }));
  deaf.ReadToEnd();
  CHECK(deaf.Ended());
  if (!kSanitized) {
    const std::string metrics = daemon.Admin().Get("/metrics").body;
    const std::size_t at = metrics.find("\nprocess_resident_memory_bytes ");
    REQUIRE(at != std::string::npos);
    CHECK(std::stod(metrics.substr(metrics.find(' ', at + 1))) < 100e6);
  }
}

TEST_CASE("producer: two hundred of them at once are all served") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  std::vector<LineClient> producers;
  for (int i = 0; i < 200; ++i) producers.push_back(daemon.Producer());
  for (std::int64_t n = 1; n <= 5; ++n) {
    for (std::size_t i = 0; i < producers.size(); ++i)
      REQUIRE(producers[i].SendLine(Event("p" + std::to_string(i), n)));
    for (LineClient& producer : producers) REQUIRE(Parsed(producer.ReadLine().value())["ok"].Bool());
  }
  daemon.AwaitDrained(kLongPatience);
  CHECK(sim.Report().effects == 1000);
  CHECK(sim.Report().customers == 200);
  CheckFlawless(sim.Report());
}

TEST_CASE("producer: one beyond the limit of clients is told busy and closed, until another leaves") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"limits.clients", "3"}});
  std::vector<LineClient> served;
  // The knock at the start may still take a place.
  const auto is_full_house = [&] {
    LineClient producer = daemon.Producer();
    producer.SendLine(Event("1", static_cast<std::int64_t>(served.size()) + 1));
    const std::optional<std::string> reply = producer.ReadLine();
    if (reply && Parsed(*reply)["ok"].Bool()) served.push_back(std::move(producer));
    return served.size() == 3;
  };
  REQUIRE(Await(is_full_house));
  {
    LineClient refused = daemon.Producer();
    CHECK(CodeOf(Parsed(refused.ReadLine().value())) == "busy");
    CHECK(refused.ReadToEnd().empty());
    CHECK(refused.Ended());
  }
  served.pop_back();
  CHECK(Await([&] {
    LineClient producer = daemon.Producer();
    producer.SendLine(Event("2", 1));
    const std::optional<std::string> reply = producer.ReadLine();
    return reply && Parsed(*reply)["ok"].Bool();
  }));
}

TEST_CASE("producer: clients that come and go with unfinished lines leave no descriptor behind") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  daemon.Accept(Event("1", 1));
  const auto count = [&daemon] {
    const std::string metrics = daemon.Admin().Get("/metrics").body;
    const std::size_t at = metrics.find("\nprocess_open_fds ");
    return at == std::string::npos ? 0.0 : std::stod(metrics.substr(metrics.find(' ', at + 1)));
  };
  daemon.AwaitDrained();
  const double before = count();
  REQUIRE(before > 0);
  for (int i = 0; i < 300; ++i) daemon.Producer().Send(R"({"type":"tr)");
  CHECK(Await([&] { return count() <= before + 3; }));
}

}  // namespace
}  // namespace outboxd
