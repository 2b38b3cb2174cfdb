// tests/core/gate_bench.h — a gate with its clock and its attempts, for the tests of the gate.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/gate.h"

namespace outboxd::test {

inline constexpr Timestamp kStart = FromUnixMs(1'700'000'000'000);
inline constexpr double kHalf = 0.5;

inline RetryPolicy Policy() {
  RetryPolicy policy;
  policy.base = std::chrono::seconds(1);
  policy.cap = std::chrono::minutes(10);
  policy.retry_after_cap = std::chrono::minutes(15);
  return policy;
}

struct GateBench {
  explicit GateBench(std::uint32_t max_in_flight = 64) : gate(max_in_flight, Policy(), kStart) {}

  bool Send() {
    if (!gate.TryAdmit(now, static_cast<std::uint32_t>(out.size()))) return false;
    gate.OnSent(now);
    out.push_back(now);
    return true;
  }
  std::size_t SendAll() {
    while (Send()) {
    }
    return out.size();
  }
  Timestamp Take() {
    const Timestamp sent = out.front();
    out.erase(out.begin());
    return sent;
  }
  void Succeed() {
    const Timestamp sent = Take();
    gate.OnSuccess(sent, now);
  }
  void SucceedAll() {
    while (!out.empty()) Succeed();
  }
  void Trouble(std::optional<Milliseconds> retry_after = std::nullopt, double random = kHalf) {
    const Timestamp sent = Take();
    gate.OnTrouble(sent, now, retry_after, "503 Service Unavailable", random);
  }
  // One attempt that fails, which may be the job's own fault.
  void FailOne(Blame blame = Blame::kPerhapsTheJob, std::optional<Milliseconds> retry_after = std::nullopt) {
    REQUIRE(Send());
    gate.OnTrouble(Take(), now, retry_after, "500 Internal Server Error", kHalf, blame);
  }
  void DeliverOne() {
    REQUIRE(Send());
    Succeed();
  }
  void Round() {
    SendAll();
    now += Milliseconds(20);
    SucceedAll();
  }
  // Closes an open gate by one attempt that fails; nothing else is out afterwards.
  void Close(std::optional<Milliseconds> retry_after = std::nullopt) {
    REQUIRE(Send());
    now += Milliseconds(20);
    while (out.size() > 1) Succeed();
    const Timestamp sent = Take();
    gate.OnTrouble(sent, now, retry_after, "503 Service Unavailable", kHalf, Blame::kConnection);
    REQUIRE(State() == GateState::kThrottled);
  }
  void OpenAgain() {
    now = std::max(now, gate.ReopenAt().value_or(now));
    REQUIRE(Send());
    now += Milliseconds(20);
    Succeed();
    REQUIRE(State() == GateState::kOpen);
  }
  GateState State() const { return gate.Snapshot().state; }

  Timestamp now = kStart;
  Gate gate;
  std::vector<Timestamp> out;
};

}  // namespace outboxd::test
