#include "daemon/delivery/window.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/support/child_ending.h"
#include "tests/support/outbox_use.h"
#include "tests/support/seed_on_abort.h"

namespace outboxd {
namespace {

using State = Window::State;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);
constexpr Milliseconds kLongest = std::chrono::minutes(10);

std::unique_ptr<QueuedJob> JobOf(Sequence sequence) {
  auto job = test::NewJob(test::TrackLine("1"));
  job->sequence = sequence;
  return job;
}

Window::Entry& AddWaiting(Window& window, std::uint64_t number) {
  Window::Entry& entry = window.Add(Sequence{number}).first;
  window.Fill(entry, JobOf(Sequence{number}));
  return entry;
}

Window::Entry& AddReady(Window& window, std::uint64_t number) {
  Window::Entry& entry = AddWaiting(window, number);
  window.MakeReady(entry);
  return entry;
}

TEST_CASE("window: jobs and bytes are counted from entering to being deferred or erased") {
  Window window;
  const std::size_t bytes = test::TrackLine("1").size();
  Window::Entry& entry = AddWaiting(window, 1);
  const auto counts = [&](State state) {
    window.CheckInvariants();
    return entry.state() == state && window.In(state) == 1 && window.jobs() == 1 && window.bytes() == bytes;
  };
  CHECK(counts(State::kWaiting));
  window.MakeReady(entry);
  CHECK(counts(State::kReady));
  std::unique_ptr<QueuedJob> job = window.Send(entry);
  REQUIRE(job);
  CHECK(counts(State::kInFlight));
  CHECK_FALSE(window.Settle(Sequence{1}, entry));
  CHECK(counts(State::kSettling));
  window.Fill(entry, std::move(job));
  CHECK(counts(State::kWaiting));
  window.MakeReady(entry);
  window.MakeWait(entry);
  CHECK(counts(State::kWaiting));
  window.MakeReady(entry);
  CHECK(window.Settle(Sequence{1}, entry));
  window.Defer(Sequence{1}, entry, kNow);
  CHECK(window.In(State::kDeferred) == 1);
  CHECK(window.jobs() == 0);
  CHECK(window.bytes() == 0);
  window.Fill(entry, JobOf(Sequence{1}));
  CHECK(counts(State::kWaiting));
  window.Erase(Sequence{1});
  CHECK(window.jobs() == 0);
  CHECK(window.bytes() == 0);
  CHECK(window.Find(Sequence{1}) == nullptr);
  window.CheckInvariants();
}

TEST_CASE("window: a job is added once") {
  Window window;
  Window::Entry& entry = AddReady(window, 1);
  const auto [again, is_new] = window.Add(Sequence{1});
  CHECK_FALSE(is_new);
  CHECK(&again == &entry);
  CHECK(window.jobs() == 1);
}

TEST_CASE("window: the deferred job that is due first is named, one without a time before all") {
  Window window;
  const auto defer = [&](std::uint64_t number, std::optional<Timestamp> due) {
    window.Defer(Sequence{number}, window.Add(Sequence{number}).first, due);
  };
  CHECK_FALSE(window.NextDue(kNow, kLongest));
  defer(1, kNow + Milliseconds(30));
  defer(2, kNow + Milliseconds(10));
  REQUIRE(window.NextDue(kNow, kLongest));
  CHECK(window.NextDue(kNow, kLongest)->sequence == Sequence{2});
  CHECK(window.NextDue(kNow, kLongest)->at == kNow + Milliseconds(10));
  defer(3, std::nullopt);
  CHECK(window.NextDue(kNow, kLongest)->sequence == Sequence{3});
  CHECK(window.NextDue(kNow, kLongest)->at == kNow);
  window.Erase(Sequence{3});
  window.Defer(Sequence{2}, window.At(Sequence{2}), kNow + Milliseconds(50));
  CHECK(window.NextDue(kNow, kLongest)->sequence == Sequence{1});
  window.CheckInvariants();
}

TEST_CASE("window: a wait longer than any can be is over, whoever waits before it") {
  Window window;
  window.Defer(Sequence{1}, window.Add(Sequence{1}).first, kNow + Milliseconds(1));
  window.Defer(Sequence{2}, window.Add(Sequence{2}).first, kNow + kLongest);
  CHECK(window.NextDue(kNow, kLongest)->sequence == Sequence{1});
  window.Defer(Sequence{2}, window.At(Sequence{2}), kNow + kLongest + Milliseconds(1));
  CHECK(window.NextDue(kNow, kLongest)->sequence == Sequence{2});
  CHECK(window.NextDue(kNow, kLongest)->at == kNow);
}

TEST_CASE("window: a move that the state does not allow aborts") {
  using Act = void (*)(Window&);
  const std::vector<std::pair<std::string, Act>> acts = {
      {"a job that is not there is looked up", [](Window& window) { window.At(Sequence{7}); }},
      {"a job that is not there is erased", [](Window& window) { window.Erase(Sequence{7}); }},
      {"a ready job becomes ready", [](Window& window) { window.MakeReady(AddReady(window, 1)); }},
      {"a new one becomes ready", [](Window& window) { window.MakeReady(window.Add(Sequence{1}).first); }},
      {"a waiting job is sent", [](Window& window) { window.Send(AddWaiting(window, 1)); }},
      {"a job is sent twice",
       [](Window& window) {
         window.Send(AddReady(window, 1));
         window.Send(window.At(Sequence{1}));
       }},
      {"a waiting job waits", [](Window& window) { window.MakeWait(AddWaiting(window, 1)); }},
      {"a job is settled twice",
       [](Window& window) {
         window.Settle(Sequence{1}, AddReady(window, 1));
         window.Settle(Sequence{1}, window.At(Sequence{1}));
       }},
      {"a job in flight is deferred",
       [](Window& window) {
         window.Send(AddReady(window, 1));
         window.Defer(Sequence{1}, window.At(Sequence{1}), kNow);
       }},
      {"a ready job is filled", [](Window& window) { window.Fill(AddReady(window, 1), JobOf(Sequence{1})); }},
  };
  for (const auto& [name, act] : acts) {
    CAPTURE(name);
    const test::Ending ending = test::EndingOf([&move = act] {
      Window window;
      move(window);
    });
    CHECK(ending.HasAborted());
    CHECK(ending.text.find("CHECK failed") != std::string::npos);
  }
}

TEST_CASE("window: whatever moves there are, the counts are those of the entries") {
  const std::uint64_t seed = std::random_device{}();
  const test::SeedOnAbort named("window: seed", seed);
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  Window window;
  const auto move = [&](Sequence sequence, Window::Entry& entry) {
    const bool first = random() % 2 == 0;
    switch (entry.state()) {
      case State::kWaiting:
        return first ? window.MakeReady(entry) : window.Erase(sequence);
      case State::kReady:
        if (random() % 4 == 0) return window.MakeWait(entry);
        return static_cast<void>(first ? window.Send(entry) : window.Settle(sequence, entry));
      case State::kInFlight:
        return static_cast<void>(window.Settle(sequence, entry));
      case State::kSettling:
        return first ? window.Defer(sequence, entry, kNow + Milliseconds(random() % 9))
                     : window.Fill(entry, JobOf(sequence));
      case State::kDeferred:
        return first ? window.Fill(entry, JobOf(sequence)) : window.Erase(sequence);
    }
  };
  for (int step = 0; step < 5'000; ++step) {
    const Sequence sequence{1 + random() % 12};
    if (Window::Entry* entry = window.Find(sequence)) {
      move(sequence, *entry);
    } else {
      AddWaiting(window, ToNumber(sequence));
    }
    window.CheckInvariants();
  }
}

}  // namespace
}  // namespace outboxd
