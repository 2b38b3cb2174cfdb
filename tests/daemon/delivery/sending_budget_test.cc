#include "daemon/delivery/sending_budget.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "core/job_cost.h"
#include "core/job_line.h"
#include "tests/core/worst_lines.h"
#include "tests/daemon/delivery/delivery_rig.h"

namespace outboxd {
namespace {

using test::Ask;
using test::DeliveryRig;
using test::TrackLine;

constexpr std::size_t kMiB = 1UL << 20;

// Of the unit.
std::size_t MemoryHigh() {
  std::ifstream unit(OUTBOXD_SOURCE_DIR "/systemd/outboxd.service.in");
  const std::string name = "MemoryHigh=";
  for (std::string line; std::getline(unit, line);) {
    if (line.starts_with(name)) return std::strtoull(line.c_str() + name.size(), nullptr, 10) * kMiB;
  }
  return 0;
}

// Ten million bytes and more of query members in few bytes of its line, as was accepted once.
std::string HeavyLine(const std::string& name) {
  std::string line = R"({"type":"raw","method":"GET","path":"/v1/)" + name + R"(","query":{)";
  for (int number = 0; number < 45'000; ++number)
    line.append(number > 0 ? ",\"" : "\"").append(std::to_string(number)).append("\":\"\"");
  return line + "}}";
}

std::size_t HeavyOut(const DeliveryRig& rig) {
  return static_cast<std::size_t>(std::count_if(rig.out.begin(), rig.out.end(),
                                                [](const auto& flight) { return flight.transfer.is_heavy; }));
}

}  // namespace

TEST_CASE("sending budget: the first half is for whoever comes, of the other each connection has its part") {
  const auto budget = std::make_shared<SendingBudget>(1000);
  SendingShare busy(budget), calm(budget);
  while (busy.HasRoom()) busy.Take(100);
  CHECK(busy.bytes() == 800);
  CHECK(calm.HasRoom());
  while (calm.HasRoom()) calm.Take(100);
  CHECK(calm.bytes() == 300);
  busy.Give(400);
  CHECK(busy.HasRoom());
  while (busy.HasRoom()) busy.Take(100);
  CHECK(budget->total() <= 1000 + 2 * 100);
}

TEST_CASE("sending budget: however much the others have out, a connection may send one") {
  const auto budget = std::make_shared<SendingBudget>(1000);
  std::vector<std::unique_ptr<SendingShare>> shares;
  for (int number = 0; number < 5'000; ++number) shares.push_back(std::make_unique<SendingShare>(budget));
  for (auto& share : shares) {
    CHECK(share->HasRoom());
    share->Take(1000);
    CHECK_FALSE(share->HasRoom());
  }
}

TEST_CASE("sending budget: the order in which connections are asked gives none of them more than its part") {
  const auto budget = std::make_shared<SendingBudget>(10'000);
  std::vector<std::unique_ptr<SendingShare>> shares;
  for (int number = 0; number < 5; ++number) shares.push_back(std::make_unique<SendingShare>(budget));
  for (auto& share : shares) {
    while (share->HasRoom()) share->Take(100);
  }
  for (int round = 0; round < 100; ++round) {
    for (auto& share : shares) {  // one comes back, and the first in the order are asked first
      share->Give(100);
      for (auto& other : shares) {
        while (other->HasRoom()) other->Take(100);
      }
    }
    CHECK(budget->total() <= 10'000 + 5 * 100);
    for (const auto& share : shares) CHECK(share->bytes() >= 900);
  }
}

TEST_CASE("sending budget: connections with heavy jobs take turns, and one is under way") {
  const auto budget = std::make_shared<SendingBudget>();
  std::vector<std::unique_ptr<SendingShare>> shares;
  for (int number = 0; number < 3; ++number) shares.push_back(std::make_unique<SendingShare>(budget));
  std::vector<std::size_t> turns;
  const auto ask_all = [&] {
    budget->BeginRound();
    for (std::size_t index = 0; index < shares.size(); ++index) {
      if (!shares[index]->AskForHeavy()) continue;
      shares[index]->TakeHeavy();
      turns.push_back(index);
    }
  };
  for (int turn = 0; turn < 9; ++turn) {
    for (int round = 0; round < 3; ++round) ask_all();  // the request lasts for a while
    REQUIRE(turns.size() == static_cast<std::size_t>(turn) + 1);
    shares[turns.back()]->GiveHeavy();
  }
  CHECK(turns == std::vector<std::size_t>{0, 1, 2, 0, 1, 2, 0, 1, 2});
  // One that asks no more holds nobody up.
  for (int turn = 0; turn < 3; ++turn) {
    budget->BeginRound();
    budget->BeginRound();
    REQUIRE(shares[1]->AskForHeavy());
    shares[1]->TakeHeavy();
    shares[1]->GiveHeavy();
  }
}

TEST_CASE("sending budget: large jobs leave as far as it goes, and the others when one of them came back") {
  DeliveryRig rig;
  rig.limits.window_bytes = 100 * kMiB;
  rig.Start();
  std::vector<std::string> before;
  for (int number = 0; number < 500; ++number) before.push_back(TrackLine(std::to_string(number)));
  rig.Accept(before);
  while (!rig.out.empty()) rig.AnswerAll(200);  // the gate's own limit grows
  const std::string head = R"({"type":"raw","method":"POST","path":"/v1/x","body":")";
  const std::string line = head + std::string(testing::kLineBytes - head.size() - 2, 'x') + "\"}";
  const std::size_t cost = SendCost(testing::Read(line));
  const std::size_t most = limits::kSendingBytes / cost + 1;
  rig.Accept(std::vector<std::string>(most + 10, line));
  CHECK(rig.out.size() == most);
  rig.Finish(0, test::AnswerOf(200));
  rig.Finish(0, test::AnswerOf(500));
  rig.Run();
  CHECK(rig.out.size() >= most - 1);
  CHECK(rig.out.size() <= most);
  rig.DeliverRest();
  CHECK(rig.Total().jobs == 0);
}

TEST_CASE("sending budget: stored jobs that cost more than any accepted one go one at a time, among others") {
  DeliveryRig rig;
  rig.connection.max_in_flight = 3;
  rig.limits.window_bytes = 100 * kMiB;
  rig.Start();
  rig.Tell([&](Dispatcher& dispatcher) {
    dispatcher.Find("default")->Pause(PauseReason::kOperator, "lunch", rig.now);
  });
  std::vector<std::string> lines;
  for (int number = 0; number < 40; ++number) lines.push_back(TrackLine(std::to_string(number), "light"));
  for (int number = 0; number < 4; ++number)
    lines.push_back(R"({"type":"raw","method":"GET","path":"/v1/x"})");
  rig.Accept(lines);
  rig.Stop();
  {
    auto database = Database::Open(rig.file, OpenMode::kReadWrite);
    REQUIRE(database);
    const std::string heavy = HeavyLine("old");
    REQUIRE(SendCost(*ParseStoredLine(heavy)) > kHeavyCost);
    REQUIRE(database->Execute("UPDATE outbox SET line = '" + heavy + "' WHERE line LIKE '%\"raw\"%'"));
  }
  rig.Start();
  rig.Tell([&](Dispatcher& dispatcher) { dispatcher.Find("default")->Resume(rig.now); });
  rig.Run();
  std::size_t heavy = 0, light = 0, light_with_heavy = 0;
  for (int round = 0; round < 200 && rig.Total().jobs > 0; ++round) {
    REQUIRE(HeavyOut(rig) <= 1);
    if (rig.out.empty()) {
      rig.PassToWake();
      continue;
    }
    if (HeavyOut(rig) == 1) light_with_heavy += rig.out.size() - 1;
    // Those that are light come back sooner.
    const auto first_light = std::find_if(rig.out.begin(), rig.out.end(),
                                          [](const auto& flight) { return !flight.transfer.is_heavy; });
    const bool is_light = first_light != rig.out.end() && round % 5 != 0;
    const auto index = is_light ? first_light - rig.out.begin() : 0;
    (rig.out[static_cast<std::size_t>(index)].transfer.is_heavy ? heavy : light) += 1;
    rig.Finish(static_cast<std::size_t>(index), test::AnswerOf(200));
    rig.Run();
  }
  CHECK(heavy == 4);
  CHECK(light == 40);
  CHECK(light_with_heavy > 0);
}

TEST_CASE("sending budget: a connection that may send one request only sends others between heavy ones") {
  DeliveryRig rig;
  rig.connection.max_in_flight = 1;
  rig.limits.window_bytes = 100 * kMiB;
  rig.Start();
  std::vector<std::string> lines;
  for (int number = 0; number < 5; ++number)
    lines.push_back(R"({"type":"raw","method":"GET","path":"/v1/x"})");
  for (int number = 0; number < 5; ++number) lines.push_back(TrackLine(std::to_string(number), "light"));
  rig.Tell([&](Dispatcher& dispatcher) {
    dispatcher.Find("default")->Pause(PauseReason::kOperator, "lunch", rig.now);
  });
  rig.Accept(lines);
  rig.Stop();
  {
    auto database = Database::Open(rig.file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(
        database->Execute("UPDATE outbox SET line = '" + HeavyLine("old") + "' WHERE line LIKE '%\"raw\"%'"));
  }
  rig.Start();
  rig.Tell([&](Dispatcher& dispatcher) { dispatcher.Find("default")->Resume(rig.now); });
  rig.Run();
  std::vector<bool> sent;
  for (int round = 0; round < 50 && rig.Total().jobs > 0; ++round) {
    if (!rig.out.empty()) sent.push_back(rig.out.front().transfer.is_heavy);
    rig.AnswerAll(200);
    if (rig.out.empty()) rig.PassToWake();
  }
  REQUIRE(sent.size() == 10);
  for (std::size_t index = 1; index < sent.size(); ++index) CHECK(sent[index] != sent[index - 1]);
}

TEST_CASE("sending budget: the worst accepted lines, as many as memory takes, stay under MemoryHigh") {
  // What the daemon has besides: itself, SQLite's cache, the answers' first bytes, sockets and TLS.
  const std::size_t memory_high = MemoryHigh();
  REQUIRE(memory_high > 0);
  const LimitsConfig limits;
  const std::size_t in_flight = ConnectionConfig().max_in_flight;
  const std::size_t besides = 64 * kMiB + in_flight * limits::kAnswerBytes;
  for (const std::string& line : testing::WorstLines()) {
    const std::string start = line.substr(0, 100);
    CAPTURE(start);
    const Job job = testing::Read(line);
    const std::size_t cost = SendCost(job);
    REQUIRE(cost <= kHeavyCost);
    // Retries and refills go a quarter beyond, and the last one is whole.
    const std::size_t jobs = std::min<std::size_t>(
        limits.window_jobs + 256,
        (limits.window_bytes + limits.window_bytes / 4 + limits.line_bytes) / WindowCost(job) + 1);
    const std::size_t under_way =
        std::min(in_flight * cost, std::max(limits::kSendingBytes, cost) + cost) + kSendCostMax;
    CHECK(jobs * HeldCost(job) + under_way + besides < memory_high);
  }
}

}  // namespace outboxd
