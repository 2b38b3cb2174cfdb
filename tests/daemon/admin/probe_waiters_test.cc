#include "daemon/admin/probe_waiters.h"

#include <doctest/doctest.h>

#include <future>
#include <latch>
#include <memory>

namespace outboxd {
namespace {

constexpr Milliseconds kPatience = std::chrono::seconds(20);
constexpr Milliseconds kNoPatience{0};

ProbeReport Answered(int status) {
  ProbeReport report;
  report.status = status;
  return report;
}

// Waits on a thread of its own, and has asked already.
std::future<Result<ProbeReport>> AwaitAside(ProbeWaiters& waiters, const std::string& connection) {
  auto has_asked = std::make_shared<std::latch>(1);
  auto report = std::async(std::launch::async, [&waiters, connection, has_asked] {
    return waiters.Await(connection, kPatience, [has_asked]() -> Result<void> {
      has_asked->count_down();
      return {};
    });
  });
  has_asked->wait();
  return report;
}

TEST_CASE("probe waiters: a report reaches everyone who waits for its connection, and nobody else") {
  ProbeWaiters waiters;
  auto first = AwaitAside(waiters, "a");
  auto second = AwaitAside(waiters, "a");
  auto other = AwaitAside(waiters, "b");
  waiters.Answer("a", Answered(200));
  waiters.Answer("b", Answered(401));
  CHECK(first.get().value().status == 200);
  CHECK(second.get().value().status == 200);
  CHECK(other.get().value().status == 401);
}

TEST_CASE("probe waiters: one that cannot ask, or loses its patience, takes nothing from the others") {
  ProbeWaiters waiters;
  auto patient = AwaitAside(waiters, "a");
  const auto unasked =
      waiters.Await("a", kPatience, []() -> Result<void> { return Fail(ErrorKind::kBusy, "too busy"); });
  CHECK(unasked.error().message == "too busy");
  const auto impatient = waiters.Await("a", kNoPatience, []() -> Result<void> { return {}; });
  CHECK(impatient.error().kind == ErrorKind::kUnavailable);
  waiters.Answer("a", Answered(200));
  CHECK(patient.get().value().status == 200);
}

TEST_CASE("probe waiters: a report that comes while one still asks is its own") {
  ProbeWaiters waiters;
  const auto report = waiters.Await("a", kNoPatience, [&]() -> Result<void> {
    waiters.Answer("a", Answered(200));
    return {};
  });
  CHECK(report.value().status == 200);
}

TEST_CASE("probe waiters: closed, they tell everyone why, and ask for nothing more") {
  ProbeWaiters waiters;
  auto waiting = AwaitAside(waiters, "a");
  waiters.Close({ErrorKind::kBusy, "stopping", {}});
  CHECK(waiting.get().error().message == "stopping");
  bool has_asked = false;
  const auto late = waiters.Await("a", kPatience, [&]() -> Result<void> {
    has_asked = true;
    return {};
  });
  CHECK(late.error().kind == ErrorKind::kBusy);
  CHECK_FALSE(has_asked);
}

}  // namespace
}  // namespace outboxd
