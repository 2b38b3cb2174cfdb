#include "tests/simulation/hostile_scene.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "core/names.h"

namespace outboxd::simulation {
namespace {

constexpr Milliseconds kLength{60'000};
constexpr int kFirstHostile = 1'000'000;
constexpr std::int64_t kDayMs = 86'400'000;
constexpr std::uint32_t kLongestAnswerMs = 40;

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) { scene_.seed = seed; }

  Scene Make() {
    Configure();
    HandOverGood();
    room_ = Capacity() / 4;
    for (std::uint32_t left = 1 + random_.Below(4); left > 0; --left) Add(NextAttack());
    if (scene_.is_filled) Fill();
    const auto by_time = [](const Arrival& one, const Arrival& other) { return one.at < other.at; };
    std::sort(scene_.good.begin(), scene_.good.end(), by_time);
    std::sort(scene_.hostile.begin(), scene_.hostile.end(), by_time);
    if (random_.Chance(20)) scene_.crashes.push_back(Some(kLength));
    return std::move(scene_);
  }

 private:
  Milliseconds Some(Milliseconds below) {
    return Milliseconds(random_.Below(static_cast<std::uint32_t>(below.count())));
  }

  void Configure() {
    scene_.length = kLength;
    scene_.is_filled = random_.Chance(15);
    ConnectionConfig& config = scene_.config;
    config.site_id.value = "site";
    config.api_key.value = "key";
    config.max_in_flight = 4 + random_.Below(28);
    config.rate_limit = scene_.is_filled || random_.Chance(60) ? 0 : 20 + random_.Below(60);
    config.timeout = Milliseconds(1'000 + random_.Below(2'000));
    config.probe_interval = Milliseconds(500 + random_.Below(2'000));
    config.retry.base = Milliseconds(50 + random_.Below(500));
    config.retry.cap = Milliseconds(500 + random_.Below(2'500));
    config.retry.max_attempts = 3 + random_.Below(6);
    config.retry.max_age = std::chrono::hours(1);
    BatchConfig& batch = config.batch;
    batch.mode = random_.Pick(std::vector{BatchMode::kOff, BatchMode::kOn, BatchMode::kAuto});
    batch.max_items = 2 + random_.Below(20);
    batch.linger = Milliseconds(random_.Below(20));
    batch.same_lane = random_.Chance(40);
    scene_.connections = {"default"};
    if (random_.Chance(25)) scene_.connections.emplace_back("second");
    LimitsConfig& limits = scene_.limits;
    limits.line_bytes = random_.Chance(10) ? 512UL << 10 : 32UL << 10;
    limits.window_bytes = limits.line_bytes * (2 + random_.Below(6));
    limits.window_jobs = 20 + random_.Below(100);
    limits.lane_jobs = 1 + random_.Below(10);
    limits.deferred_jobs = 1 + random_.Below(40);
    if (!scene_.is_filled) return;
    scene_.clerk_limits.outbox.max_jobs = 200 + random_.Below(200);
    if (random_.Chance(30)) scene_.clerk_limits.outbox.max_bytes = 6UL << 20;
  }

  // Requests that leave in the scene, at least, while nothing is wrong.
  std::uint64_t Capacity() const {
    const auto seconds = static_cast<std::uint64_t>(kLength.count() / 1000);
    const std::uint64_t by_slots = scene_.config.max_in_flight * seconds * 1000 / kLongestAnswerMs;
    const auto by_rate = static_cast<std::uint64_t>(scene_.config.rate_limit) * seconds;
    return by_rate == 0 ? by_slots : std::min(by_slots, by_rate);
  }

  void HandOverGood() {
    const std::uint32_t customers = 3 + random_.Below(60);
    const bool by_tcp = !scene_.is_filled && random_.Chance(30);
    is_hostile_by_tcp_ = !by_tcp && random_.Chance(20);
    const std::vector<User> users = {User(1000), by_tcp ? User() : User(1001)};
    const std::uint32_t every = 150 + random_.Below(400);
    int number = 0;
    for (Milliseconds at{0}; at < kLength; at += Milliseconds(every)) {
      Arrival arrival{at + Some(Milliseconds(50)), random_.Pick(users), {}};
      for (std::uint32_t lines = 1 + random_.Below(2); lines > 0; --lines)
        arrival.lines.push_back(
            GoodLine(random_.Pick(scene_.connections), random_.Below(customers), ++number));
      scene_.good.push_back(std::move(arrival));
    }
  }

  User Hostile() {
    if (is_hostile_by_tcp_) return {};
    return scene_.is_filled || random_.Chance(70) ? User(33) : User(34);
  }

  Attack NextAttack() {
    if (random_.Chance(15)) return Merges();
    using R = Reaction;
    Attack attack;
    attack.connection = scene_.connections.back();
    attack.user = Hostile();
    attack.shape =
        random_.Pick(std::vector{Shape::kRaw, Shape::kOwnRetry, Shape::kOwnRetry, Shape::kCustomers,
                                 Shape::kCustomers, Shape::kFew, Shape::kLong, Shape::kMembers});
    std::vector<R> reactions = {R::kRefused, R::kMissing, R::kForbidden, R::kMoved,     R::kError,
                                R::kReset,   R::kSilent,  R::kPage,      R::kUnanswered};
    const bool is_event = attack.shape == Shape::kCustomers || attack.shape == Shape::kFew;
    if (!is_event) reactions.push_back(R::kLate);
    if (attack.shape == Shape::kLong || attack.shape == Shape::kMembers) reactions.push_back(R::kWell);
    attack.reaction = random_.Pick(reactions);
    attack.count = 1 + random_.Below(random_.Chance(20) ? 250 : 40);
    attack.delay_ms = random_.Pick(std::vector<std::int64_t>{0, 1, 500, kDayMs});
    if (random_.Chance(20))
      attack.max_age_s = random_.Chance(50) ? 1 : scene_.config.retry.max_age.count() * 10;
    attack.bytes = scene_.limits.line_bytes - 1000;
    return attack;
  }

  // Behind one job that stays.
  Attack Merges() {
    Attack attack;
    attack.shape = Shape::kMerges;
    attack.reaction = Reaction::kMissing;
    attack.connection = scene_.connections.back();
    attack.user = Hostile();
    attack.count = 100 + random_.Below(200);
    attack.delay_ms = kDayMs;
    return attack;
  }

  // What the first attempts of one line take of the connection, in requests of others.
  std::uint64_t CostOf(const Attack& attack) const {
    constexpr std::uint64_t kRepeats = 4;
    if (attack.reaction == Reaction::kUnanswered) return kRepeats;
    if (attack.reaction != Reaction::kSilent) return 1;
    // While the gate recovers there may be one request at a time: each waits for its end.
    const auto timeout = static_cast<std::uint64_t>(scene_.config.timeout.count());
    return std::max<std::uint64_t>(1, timeout * Capacity() / static_cast<std::uint64_t>(kLength.count()));
  }

  static std::uint32_t AtMost(std::uint32_t count, std::uint64_t most) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(count, most));
  }

  void Add(Attack attack) {
    const std::uint64_t cost = CostOf(attack);
    attack.count = AtMost(attack.count, room_ / cost);
    if (attack.shape == Shape::kLong) attack.count = AtMost(attack.count, 40);
    room_ -= cost * attack.count;
    const Milliseconds first = Some(kLength / 2);
    const Milliseconds every = random_.Chance(50) ? Milliseconds(0) : Some(Milliseconds(2'000));
    HandOver(attack, first, every);
  }

  void HandOver(const Attack& attack, Milliseconds first, Milliseconds every) {
    constexpr std::uint32_t kTogether = 50;
    if (attack.count == 0) return;
    for (std::uint32_t line = 0; line < attack.count; ++line) {
      const Milliseconds at = first + every * static_cast<std::int64_t>(line);
      if (line % kTogether == 0 || every.count() > 0) scene_.hostile.push_back({at, attack.user, {}});
      scene_.hostile.back().lines.push_back(HostileLine(attack, kFirstHostile + hostile_++, line == 0));
    }
    scene_.attacks.push_back(
        std::to_string(attack.count) + " " + std::string(NameOf(attack.shape)) + ": " +
        std::string(NameOf(attack.reaction)) + ", " + (attack.user ? std::to_string(*attack.user) : "tcp") +
        ", from " + std::to_string(first.count()) + " every " + std::to_string(every.count()) +
        " ms, delay " + std::to_string(attack.delay_ms) + ", max_age " + std::to_string(attack.max_age_s));
  }

  // More than there is room for, twice.
  void Fill() {
    Attack attack = NextAttack();
    attack.count = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(scene_.clerk_limits.outbox.max_jobs, Capacity() / 4));
    attack.reaction = random_.Chance(50) ? Reaction::kMissing : Reaction::kRefused;
    attack.shape = random_.Chance(60) ? Shape::kOwnRetry : Shape::kRaw;
    attack.delay_ms = kDayMs;
    attack.max_age_s = 0;
    if (scene_.clerk_limits.outbox.max_bytes <= 6UL << 20) {
      attack.shape = Shape::kLong;
      attack.count = std::min<std::uint32_t>(
          attack.count, static_cast<std::uint32_t>((8UL << 20) / scene_.limits.line_bytes));
    }
    const Milliseconds first = Some(kLength / 3);
    HandOver(attack, first, Milliseconds(0));
    HandOver(attack, first + Some(kLength / 3), Milliseconds(0));
  }

  Random random_;
  Scene scene_;
  std::uint64_t room_ = 0;  // for first attempts of hostile lines
  int hostile_ = 0;
  bool is_hostile_by_tcp_ = false;
};

}  // namespace

Scene MakeScene(std::uint64_t seed) {
  return Maker(seed).Make();
}

}  // namespace outboxd::simulation
