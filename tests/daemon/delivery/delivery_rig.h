// tests/daemon/delivery/delivery_rig.h — a ThreadlessDaemon with one connection, for unit tests: whatever
// they do, what leaves is checked against the gate.
#pragma once

#include <doctest/doctest.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/daemon/threadless_daemon.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd::test {

// A 4xx has the Track API's own shape, in either of its versions.
inline std::string OwnBody(int status) {
  return status / 100 == 4 ? R"({"meta":{"error":"no"},"errors":[]})" : "{}";
}

inline Answer AnswerOf(int status, std::string body) {
  Answer answer;
  answer.status = status;
  answer.body = std::move(body);
  if (status == 0) answer.error = "connect: Connection refused";
  return answer;
}
inline Answer AnswerOf(int status) {
  return AnswerOf(status, OwnBody(status));
}

// Size: every step of a delivery and every question about it is one call, so that a test reads as a story.
class DeliveryRig {
 public:
  struct Flight {
    Transfer transfer;
    Timestamp sent{};
  };

  DeliveryRig() {
    connection.name = "default";
    connection.region = Region::kUs;
    connection.site_id.value = "site";
    connection.api_key.value = "key";
    connection.rate_limit = 0;
    connection.batch.mode = BatchMode::kOff;  // how many wait is no test's business but those of batches
  }

  // Opens the outbox and starts over, as after a crash: what was out or under way between the two is gone.
  void Start() {
    out.clear();
    probes.clear();
    const Result<void> started = daemon_.Start({file, ++seed, MakeEndpoints(), limits, clerk_limits,
                                                [this] { return disk_free; }, 1, gathers_outcomes},
                                               now);
    REQUIRE_MESSAGE(started, (started ? "" : started.error().message));
    Dispatch();
  }
  void Stop() { daemon_.Stop(); }

  Endpoints MakeEndpoints() const {
    const Credentials credentials{connection.site_id.value, connection.api_key.value, awaited};
    return {{connection.name, std::make_shared<const Endpoint>(Endpoint{connection, credentials})}};
  }

  // Hands the lines to the clerk as one submission; nothing is stored before WorkClerk().
  void Submit(const std::vector<std::string>& lines, User user = std::nullopt) {
    const Result<void> submitted = daemon_.Submit(lines, user);
    REQUIRE_MESSAGE(submitted, (submitted ? "" : submitted.error().message));
  }

  void WorkClerk() {
    Clerk::Done done = daemon_.WorkClerk(now, leave_out);
    answered = std::move(done.submissions);
    REQUIRE_FALSE(done.fatal);
  }

  // One round of the dispatcher over the first `count` messages. The transfers it starts go to `out`.
  void Dispatch(std::size_t count = ~std::size_t{0}) {
    ThreadlessDaemon::Round round = daemon_.Dispatch(count, now);
    REQUIRE_MESSAGE(round.pumped, (round.pumped ? "" : round.pumped.error().message));
    CheckGate(round.gates[connection.name], round.transfers);
    told_of_no_batches += round.without_batches.size();
    for (Transfer& transfer : round.transfers) {
      auto& to = transfer.kind == TransferKind::kProbe ? probes : out;
      to.push_back({std::move(transfer), now});
    }
  }

  // Clerk and dispatcher in turn until neither has anything to do at this time.
  void Run() {
    for (int round = 0;
         round < 3 || (round < 10'000 && (clerk().MustRetry() || dispatcher().NextWake(now) <= now));
         ++round) {
      WorkClerk();
      Dispatch();
    }
  }

  void Accept(const std::vector<std::string>& lines, User user = std::nullopt) {
    Submit(lines, user);
    Run();
  }

  // The answer to the transfer at `index` of `out`, which leaves it; Dispatch() or Run() takes it in.
  void Finish(std::size_t index, Answer answer) { Finish(out, index, std::move(answer)); }
  void FinishProbe(Answer answer) { Finish(probes, 0, std::move(answer)); }
  // The region probe that is out says that all is well, or that the credentials are not accepted.
  void ProveWell() { Prove(AnswerOf(200, R"({"region":"us","environment_id":1})")); }
  void ProveUnwell() { Prove(AnswerOf(401)); }
  void Prove(Answer answer) {
    REQUIRE(probes.size() == 1);
    FinishProbe(std::move(answer));
    Run();
  }
  void Finish(std::deque<Flight>& from, std::size_t index, Answer answer) {
    const Ending ending = EndingOf(answer);
    Finish(from, index, ending, std::move(answer));
  }
  void Abort(std::size_t index) { Finish(out, index, Ending::kAborted, {}); }
  void Finish(std::deque<Flight>& from, std::size_t index, Ending ending, Answer answer) {
    Finished finished;
    finished.ending = ending;
    REQUIRE(index < from.size());
    finished.sent = from[index].sent;
    finished.duration = now - finished.sent;
    finished.transfer = std::move(from[index].transfer);
    finished.answer = std::move(answer);
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(index));
    daemon_.Finish(std::move(finished));
  }
  // A region probe that is asked for because of a 5xx says that all is well.
  void AnswerAll(int status) {
    while (!out.empty()) Finish(0, AnswerOf(status));
    Run();
    if (status >= 500 && !probes.empty()) ProveWell();
  }

  void Pass(Milliseconds time) {
    now += time;
    Run();
  }
  // To the time at which the dispatcher would wake by itself.
  void PassToWake() {
    now = std::max(now + Milliseconds(1), dispatcher().NextWake(now));
    Run();
  }
  // Answers 200 to everything until the outbox is empty.
  void DeliverRest() {
    for (int round = 0; round < 20'000 && clerk().outbox().Total().jobs > 0; ++round) {
      if (!probes.empty()) FinishProbe(AnswerOf(200, R"({"region":"us","environment_id":1})"));
      AnswerAll(200);
      if (out.empty()) PassToWake();
    }
  }

  // The names of what leaves from now on, in its order, when everything is delivered.
  std::vector<std::string> RestInOrder() {
    std::vector<std::string> names;
    for (int round = 0; round < 4'000 && Total().jobs > 0; ++round) {
      for (const std::string& name : OutNames()) names.push_back(name);
      AnswerAll(200);
      if (out.empty()) PassToWake();
    }
    return names;
  }

  void Redrive(const DeadFilter& filter = {}) { daemon_.Redrive(filter); }
  void Cancel(Sequence sequence) { daemon_.Cancel(sequence); }
  void Forget(const std::string& customer) {
    daemon_.Forget(customer, [this, customer](Sequence last) { forgotten.emplace_back(customer, last); });
  }
  void SetClock(const ClockReading& clock) { daemon_.SetClock(clock); }
  void Tell(ThreadlessDaemon::Call call) { daemon_.Tell(std::move(call)); }

  Clerk& clerk() { return daemon_.clerk(); }
  Dispatcher& dispatcher() { return daemon_.dispatcher(); }
  ConnectionQueue& Queue() { return *dispatcher().Find(connection.name); }
  GateState Gate() { return Queue().gate().state; }
  Counts Total() { return clerk().outbox().Total(); }

  // Event names of what is out, in the order it left.
  std::vector<std::string> OutNames() const {
    std::vector<std::string> names;
    for (const Flight& flight : out) {
      for (const auto& job : flight.transfer.Jobs()) names.push_back(job->job.name);
    }
    return names;
  }

  FaultVfs disk;  // without faults: for its speed, as it syncs nothing
  TempDir folder;
  std::filesystem::path file = folder / "outbox.db";
  ConnectionConfig connection;
  std::vector<std::string> awaited;  // of its credentials
  LimitsConfig limits;
  Clerk::Limits clerk_limits;
  bool gathers_outcomes = false;  // as the daemon's clerk does; set before Start()
  std::uint64_t disk_free = 1ULL << 40;
  std::uint64_t seed = 1;
  bool leave_out = false;  // the dispatcher counts as behind
  Timestamp now = FromUnixMs(1'700'000'000'000);
  std::deque<Flight> out, probes;
  std::vector<std::pair<std::string, Sequence>>
      forgotten;                                      // customers, and the last job stored when that was done
  std::vector<std::unique_ptr<Submission>> answered;  // by the last WorkClerk()
  std::size_t told_of_no_batches = 0;

 private:
  // Whatever a test does: nothing leaves that the gate forbids.
  void CheckGate(const GateSnapshot& before, const std::vector<Transfer>& transfers) {
    std::size_t jobs = 0;
    for (const Transfer& transfer : transfers) jobs += transfer.Jobs().size();
    if (before.state == GateState::kPaused) CHECK(jobs == 0);
    if (before.state == GateState::kThrottled && before.reopen_at > now) CHECK(jobs == 0);
    if (before.state == GateState::kProbing || before.state == GateState::kThrottled) CHECK(jobs <= 1);
    CHECK(Queue().in_flight() <= connection.max_in_flight);
  }

  ThreadlessDaemon daemon_;
};

}  // namespace outboxd::test
