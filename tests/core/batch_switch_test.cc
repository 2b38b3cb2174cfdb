#include "core/batch_switch.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>

#include "core/time.h"

using namespace outboxd;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t kItems = 1000;

// A connection of which every tenth of a second is looked at.
struct Fixture {
  explicit Fixture(double rate_limit, BatchMode mode = BatchMode::kAuto)
      : batches({mode, kItems, rate_limit}) {}

  void Look(std::uint64_t waiting) { batches.Look({waiting, waits_for_an_answer, is_open}, now); }
  // So many requests with as many jobs as they may have leave and are answered each tenth of a second.
  void Pass(Milliseconds time, std::uint64_t waiting, std::uint64_t requests = 0) {
    for (const Timestamp end = now + time; now < end;) {
      now += 100ms;
      for (std::uint64_t left = requests; left > 0; --left) {
        batches.OnSent(batches.ItemsMax(), now);
        batches.OnAnswered(now);
      }
      Look(waiting);
    }
  }
  bool AreUsed() const { return batches.Use() == BatchUse::kUsed; }

  BatchSwitch batches;
  Timestamp now = FromUnixMs(1'700'000'000'000);
  bool waits_for_an_answer = false;
  bool is_open = true;
};

}  // namespace

TEST_CASE("batch switch: off and on stand, whatever waits") {
  Fixture off(10, BatchMode::kOff);
  off.Pass(10s, 100'000);
  CHECK(off.batches.ItemsMax() == 1);
  CHECK(off.batches.Use() == BatchUse::kOff);
  Fixture on(10, BatchMode::kOn);
  on.is_open = false;
  on.Pass(10s, 0);
  CHECK(on.batches.ItemsMax() == kItems);
  CHECK(on.AreUsed());
}

TEST_CASE("batch switch: jobs share requests once more wait than rate_limit lets out in a second") {
  Fixture fixture(50);
  fixture.Pass(10s, 50, 5);
  CHECK(fixture.batches.ItemsMax() == 1);
  CHECK(fixture.batches.Use() == BatchUse::kNotNeeded);
  fixture.Look(51);
  CHECK(fixture.batches.ItemsMax() == kItems);
  CHECK(fixture.AreUsed());
}

TEST_CASE("batch switch: one job has nobody to go with, however slow the connection") {
  Fixture fixture(0.5);
  fixture.Look(1);
  CHECK_FALSE(fixture.AreUsed());
  fixture.Look(2);
  CHECK(fixture.AreUsed());
}

TEST_CASE("batch switch: each goes by itself again once little has waited for five seconds") {
  Fixture fixture(50);
  fixture.Look(51);
  fixture.Pass(4s, 24);
  fixture.Look(25);  // half of the capacity
  fixture.Pass(5s, 24);
  CHECK(fixture.AreUsed());
  fixture.Pass(100ms, 24);
  CHECK_FALSE(fixture.AreUsed());
}

TEST_CASE("batch switch: batches stay while they carry more than single requests could") {
  Fixture fixture(500);
  fixture.Look(501);
  fixture.batches.Configure({BatchMode::kAuto, 100, 500});
  CHECK(fixture.batches.ItemsMax() == 100);
  fixture.Pass(20s, 0, 1);  // 1000 jobs a second
  CHECK(fixture.AreUsed());
  fixture.batches.Configure({BatchMode::kAuto, 40, 500});
  fixture.Pass(6s, 0, 1);  // 400
  CHECK_FALSE(fixture.AreUsed());
}

TEST_CASE(
    "batch switch: without a rate limit the answers tell what the connection carries, once jobs wait for "
    "them") {
  Fixture fixture(0);
  fixture.Pass(10s, 1'000'000, 2);  // nobody waits for an answer: what is ready leaves at once
  CHECK_FALSE(fixture.AreUsed());
  fixture.waits_for_an_answer = true;
  fixture.Look(19);
  fixture.Pass(900ms, 19, 2);
  CHECK_FALSE(fixture.AreUsed());  // not for a second yet
  fixture.Pass(1s, 19, 2);
  CHECK_FALSE(fixture.AreUsed());  // twenty answers a second
  fixture.Look(21);
  CHECK(fixture.AreUsed());
}

TEST_CASE("batch switch: answers count only while jobs wait for them without a break") {
  Fixture fixture(0);
  fixture.waits_for_an_answer = true;
  for (int second = 0; second < 10; ++second) {
    fixture.Pass(900ms, 1'000, 1);
    fixture.waits_for_an_answer = false;
    fixture.Look(0);
    fixture.waits_for_an_answer = true;
    CHECK_FALSE(fixture.AreUsed());
  }
}

TEST_CASE("batch switch: the smaller of rate_limit and the answers counts") {
  Fixture fixture(1'000);
  fixture.waits_for_an_answer = true;
  fixture.Look(100);
  fixture.Pass(1s, 100, 5);  // fifty a second
  CHECK(fixture.AreUsed());
}

TEST_CASE("batch switch: a connection that answered nothing is one that single requests are tried on again") {
  Fixture fixture(0);
  fixture.waits_for_an_answer = true;
  fixture.Look(5);
  fixture.Pass(1s, 5);
  CHECK(fixture.AreUsed());
  fixture.waits_for_an_answer = false;
  // Three jobs a second.
  for (int second = 0; second < 40; ++second) {
    fixture.batches.OnSent(3, fixture.now);
    fixture.Pass(1s, 0);
  }
  CHECK_FALSE(fixture.AreUsed());
}

TEST_CASE("batch switch: after a closure requests grow with each success that was as large as allowed") {
  Fixture fixture(50);
  fixture.Look(100'000);
  CHECK(fixture.batches.ItemsMax() == kItems);
  fixture.is_open = false;
  fixture.Look(100'000);
  CHECK(fixture.batches.ItemsMax() == 1);
  fixture.is_open = true;
  std::uint32_t expected = 1;
  while (expected < kItems) {
    fixture.batches.OnSuccess(expected - 1);
    fixture.Look(100'000);
    CHECK(fixture.batches.ItemsMax() == expected);
    fixture.batches.OnSuccess(expected);
    expected = expected * 2 > kItems ? kItems : expected * 2;
    CHECK(fixture.batches.ItemsMax() == expected);
  }
  fixture.batches.OnSuccess(kItems);
  CHECK(fixture.batches.ItemsMax() == kItems);
}

TEST_CASE("batch switch: a host without batches gets none until the config is read again") {
  for (const BatchMode mode : {BatchMode::kOn, BatchMode::kAuto}) {
    Fixture fixture(50, mode);
    fixture.Look(51);
    fixture.batches.OnNoRoute();
    CHECK(fixture.batches.ItemsMax() == 1);
    CHECK(fixture.batches.Use() == BatchUse::kNoRoute);
    fixture.Pass(10s, 51);
    fixture.batches.OnSuccess(1);
    CHECK(fixture.batches.ItemsMax() == 1);
    fixture.batches.Configure({mode, kItems, 50});
    fixture.Look(51);
    CHECK(fixture.batches.ItemsMax() == kItems);
  }
}

TEST_CASE("batch switch: a clock that is set back keeps nothing waiting for longer") {
  Fixture fixture(50);
  fixture.Look(51);
  fixture.Pass(3s, 0);
  fixture.now -= 1h;
  fixture.Pass(5s, 0);
  fixture.Pass(200ms, 0);
  CHECK_FALSE(fixture.AreUsed());
}
