// SIGKILL at random moments under load, with an API that fails in every way it can and an operator who
// redrives: what was acknowledged arrives, in order, once.
#include <doctest/doctest.h>
#include <sqlite3.h>

#include <array>
#include <atomic>
#include <iostream>
#include <limits>
#include <memory>
#include <random>
#include <thread>

#include "tests/crash/crash_options.h"
#include "tests/crash/numbered_producer.h"
#include "tests/support/daemon_under_test.h"
#include "tests/support/sim_under_test.h"

namespace outboxd {
namespace {

constexpr std::size_t kProducers = 4;
// Another producer's events are rejected half of the time; a redriven one keeps no place, so each has a
// customer of its own.
const Numbering kDoomed{"doomed", std::numeric_limits<std::size_t>::max()};
constexpr std::uint64_t kBacklog = 4000;  // events accepted and not yet arrived; then the producers wait
constexpr std::chrono::milliseconds kPatience = std::chrono::minutes(5);

// In turn: one job a request, batches, batches when they help, batches that hold several jobs of a customer.
constexpr std::array<const char*, 4> kBatch = {"{mode: off}", "{mode: on, max_items: 50, linger: 2ms}",
                                               "{mode: auto, max_items: 50}",
                                               "{mode: on, max_items: 50, linger: 2ms, same_lane: true}"};

constexpr std::string_view kFlaky = R"([
  {"match":{"event":"doomed","probability":0.5},"action":{"status":400}},
  {"match":{"probability":0.02},"action":{"status":503}},
  {"match":{"probability":0.01},"action":{"status":429,"retry_after":"0"}},
  {"match":{"probability":0.01},"action":{"status":500,"effect":true}},
  {"match":{"probability":0.02},"action":{"reset":true}},
  {"match":{"probability":0.02},"action":{"reset_after_effect":true}},
  {"match":{"probability":0.01},"action":{"half_answer":true}},
  {"match":{"probability":0.005},"action":{"never_answer":true,"effect":true}},
  {"match":{"probability":0.3},"action":{"delay_ms":1,"jitter_ms":40}}])";

std::uint64_t Seed() {
  const std::uint64_t given = TheCrashOptions().seed;
  return given != 0 ? given : std::random_device()();
}

// What SQLite itself finds wrong with the file; "ok" when nothing.
std::string IntegrityOf(const std::filesystem::path& file) {
  sqlite3* database = nullptr;
  std::string verdict = "cannot be opened";
  if (sqlite3_open_v2(file.c_str(), &database, SQLITE_OPEN_READONLY, nullptr) == SQLITE_OK) {
    const auto take = [](void* out, int, char** values, char**) {
      *static_cast<std::string*>(out) = values[0];
      return 0;
    };
    sqlite3_exec(database, "PRAGMA integrity_check", take, &verdict, nullptr);
  }
  sqlite3_close(database);
  return verdict;
}

// An operator who redrives whatever died, again and again.
class Redriver {
 public:
  explicit Redriver(std::filesystem::path admin_socket) : admin_socket_(std::move(admin_socket)) {
    thread_ = std::thread([this] {
      for (HttpClient admin(admin_socket_); !stop_; std::this_thread::sleep_for(kPause)) Redrive(admin);
    });
  }
  ~Redriver() {
    stop_ = true;
    thread_.join();
  }

  std::uint64_t redriven() const { return redriven_; }

 private:
  static constexpr std::chrono::milliseconds kPause{20};

  // While the daemon is dead there is no answer.
  void Redrive(HttpClient& admin) {
    const HttpAnswer answer = admin.Post("/v1/dead/redrive", R"({"filter":{"death":"rejected"}})");
    if (answer.status == 200) redriven_ += static_cast<std::uint64_t>(answer.Json()["redriven"].Int());
  }

  const std::filesystem::path admin_socket_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> redriven_{0};
  std::thread thread_;
};

class Battle {
 public:
  explicit Battle(std::uint64_t seed)
      : random_(seed), sim_({.seed = seed}), daemon_(sim_, Config()), redriver_(daemon_.AdminSocket()) {
    sim_.Script(kFlaky);
    const auto may_send = [this] { return acknowledged_ < arrived_ + kBacklog; };
    for (std::size_t i = 0; i < kProducers; ++i) {
      producers_.push_back(
          std::make_unique<NumberedProducer>(daemon_.ProducerSocket(), i, seed, acknowledged_, may_send));
    }
    producers_.push_back(std::make_unique<NumberedProducer>(daemon_.ProducerSocket(), kProducers, seed,
                                                            acknowledged_, may_send, kDoomed));
  }

  // Lets them work for a while, then kills. Every moment counts: start-up, full load, recovery.
  void KillOnce() {
    const std::chrono::milliseconds life(std::uniform_int_distribution<int>(0, 400)(random_));
    const std::uint64_t wanted = Acknowledged() + 1;
    Await([&] { return Acknowledged() >= wanted; });  // each life gets something done
    std::this_thread::sleep_for(life);
    daemon_.Kill9();
    daemon_.SetConfig("connections.default.batch", kBatch[++lives_ % kBatch.size()]);
    daemon_.Start();
    arrived_ = sim_.Report().effects;
  }

  void Finish() {
    sim_.ClearScript();
    for (const auto& producer : producers_) {
      CHECK(producer->Finish());
      for (const std::string& problem : producer->problems()) FAIL_CHECK("refused: ", problem);
    }
    const auto nothing_left = [](const JsonValue& status) {
      return status["outbox"]["jobs"].Int(-1) == 0 && status["states"]["dead"].Int(-1) == 0;
    };
    daemon_.AwaitStatus(nothing_left, kPatience);
  }

  void CheckEverythingArrived() {
    const SimReport report = sim_.Report();
    INFO("the simulated API saw ", report.text);
    CHECK(report.effects == Acknowledged());
    CHECK(report.doubled == 0);
    CHECK(report.order_violations == 0);
    CHECK(report.overlaps == 0);
    CHECK(report.events_without_id == 0);
    CHECK(report.invalid.empty());
    CHECK(daemon_.Status()["states"]["dead"].Int() == 0);
    for (const auto& producer : producers_) {
      for (const auto& [customer, last] : producer->LastNumbers()) CheckCustomer(customer, last);
    }
    CHECK(daemon_.Terminate().code == 0);
    CHECK(IntegrityOf(daemon_.OutboxFile()) == "ok");
  }

  std::uint64_t Acknowledged() const { return acknowledged_; }
  std::uint64_t Redriven() const { return redriver_.redriven(); }
  std::uint64_t SentAgain() const {
    std::uint64_t sum = 0;
    for (const auto& producer : producers_) sum += producer->sent_again();
    return sum;
  }
  SimReport Report() { return sim_.Report(); }

 private:
  static ConfigValues Config() {
    return {{"retry.max_attempts", "100000"},
            {"connections.default.timeout", "2s"},
            {"limits.window_jobs", "500"},
            {"limits.lane_jobs", "20"}};
  }

  void CheckCustomer(const std::string& customer, std::int64_t last) {
    INFO("customer ", customer);
    const std::vector<SimEffect> effects = sim_.Effects(customer);
    REQUIRE(effects.size() == static_cast<std::size_t>(last));
    for (std::int64_t n = 1; n <= last; ++n)
      REQUIRE(effects[static_cast<std::size_t>(n - 1)].n.value_or(0) == n);
  }

  std::mt19937_64 random_;
  std::size_t lives_ = 0;
  SimUnderTest sim_;
  DaemonUnderTest daemon_;
  std::atomic<std::uint64_t> acknowledged_{0}, arrived_{0};
  Redriver redriver_;
  std::vector<std::unique_ptr<NumberedProducer>> producers_;  // last: they ask the members above
};

TEST_CASE("crash: killed under load again and again, nothing acknowledged is lost, doubled or out of order") {
  const std::uint64_t seed = Seed();
  const std::uint64_t kills = TheCrashOptions().kills;
  std::cout << "seed " << seed << ", " << kills << " kills" << std::endl;
  INFO("seed ", seed);
  Battle battle(seed);
  for (std::uint64_t kill = 1; kill <= kills; ++kill) {
    battle.KillOnce();
    if (kill % 50 == 0)
      std::cout << kill << " kills, " << battle.Acknowledged() << " acknowledged" << std::endl;
  }
  battle.Finish();
  battle.CheckEverythingArrived();
  const SimReport report = battle.Report();
  std::cout << battle.Acknowledged() << " acknowledged and arrived, " << battle.SentAgain()
            << " handed over again, " << report.requests << " requests, " << report.repeated_ulids
            << " repeated event ids, " << battle.Redriven() << " redriven" << std::endl;
  CHECK(battle.Acknowledged() > kills);
  CHECK(battle.Redriven() > 0);
}

}  // namespace
}  // namespace outboxd
