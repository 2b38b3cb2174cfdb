// tests/daemon/threadless_daemon.h — clerk and dispatcher over a real outbox, without threads: their owner
// moves clock, messages and answers.
//
// What travels between the two waits in order, as in the daemon, until WorkClerk() or Dispatch() takes it.
// Requests that leave are handed to the owner, who brings each back with Finish().
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "daemon/clerk/clerk.h"
#include "daemon/delivery/dispatcher.h"

namespace outboxd::test {

class ThreadlessDaemon : public SubmissionOrigin {
 public:
  using Call = std::function<void(Dispatcher&)>;

  struct Setup {
    std::filesystem::path file;
    std::uint64_t seed = 1;
    Endpoints endpoints;
    LimitsConfig limits;
    Clerk::Limits clerk_limits;
    DiskSpace::Ask disk_free;
    std::uint64_t check_every = 1;  // rounds; a check costs as much as there are jobs in memory
    bool gathers_outcomes = false;  // the clerk lets them wait for company, as the daemon's does
  };

  // What both read at every call from now on, beside the time that they are given. Its text outlives them.
  void SetClock(const ClockReading& clock) { clock_ = clock; }
  // Opens the outbox. What was under way between the two before is gone, as after a crash.
  Result<void> Start(const Setup& setup, Timestamp now);
  void Stop();

  // Lines that are jobs, as one submission; nothing is stored before WorkClerk().
  Result<void> Submit(const std::vector<std::string>& lines, std::optional<std::uint32_t> uid = std::nullopt);
  // With `leave_out` the dispatcher counts as behind: it reads what was accepted back from disk.
  Clerk::Done WorkClerk(Timestamp now, bool leave_out = false);

  struct Round {
    std::map<std::string, GateSnapshot> gates;  // as they were before anything left
    std::vector<Transfer> transfers;            // that left
    std::vector<std::string> without_batches;   // connections whose host has none, as it turned out now
    Result<void> pumped;
  };
  // One round of the dispatcher over the first `count` messages; its report goes to the clerk. Before and
  // after anything leaves the dispatcher checks its invariants, unless Setup::check_every skips the round.
  Round Dispatch(std::size_t count, Timestamp now);
  // The dispatcher hears `before` and `after` in the same round as the answer, right beside it.
  void Finish(Finished finished, Call before = {}, Call after = {}) {
    messages_.emplace_back(Return{std::move(finished), std::move(before), std::move(after)});
  }

  // What Operations does for an operator: the step runs on the clerk, its news go to the dispatcher. `done`
  // hears of each step.
  using Redriven = std::function<void(const std::vector<Sequence>&)>;
  void Redrive(const DeadFilter& filter, Redriven done = [](const auto&) {});
  void Cancel(Sequence sequence, std::function<void()> done = [] {});
  void Forget(const std::string& customer, std::function<void(Sequence last)> done);
  void Tell(Call call) { messages_.emplace_back(std::move(call)); }

  Clerk& clerk() { return *clerk_; }
  Dispatcher& dispatcher() { return *dispatcher_; }
  bool HasMessages() const { return !messages_.empty(); }

  void OnAnswered(std::vector<std::unique_ptr<Submission>>) override {}

 private:
  struct Return {
    Finished finished;
    Call before, after;
  };
  using Message = std::variant<Committed, Return, Call>;

  bool MustCheck() { return ++rounds_ % check_every_ == 0; }

  std::uint64_t check_every_ = 1;
  bool gathers_outcomes_ = false;
  std::uint64_t rounds_ = 0;
  std::optional<ClockReading> clock_;
  Metrics metrics_;
  std::optional<Clerk> clerk_;
  std::optional<Dispatcher> dispatcher_;
  std::deque<Message> messages_;
};

}  // namespace outboxd::test
