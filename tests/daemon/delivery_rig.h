// tests/daemon/delivery_rig.h — clerk, dispatcher and a real outbox without threads: a test moves the clock, the messages and the answers.
//
// What travels between the two is queued in order, as in the daemon; WorkClerk() and Dispatch() take everything that waits for their side.
#pragma once

#include <doctest/doctest.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "daemon/clerk.h"
#include "daemon/dispatcher.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd::test {

inline Answer AnswerOf(int status, std::string body = "{}") {
  Answer answer;
  answer.status = status;
  answer.body = std::move(body);
  if (status == 0) answer.error = "connect: Connection refused";
  return answer;
}

class DeliveryRig : public SubmissionOrigin {
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
  }

  // Opens the outbox and starts over, as after a crash: what was out or under way between the two is gone.
  void Start() {
    out.clear();
    probes.clear();
    messages_.clear();
    dispatcher_.reset();
    clerk_.reset();
    auto outbox = Outbox::Open(file, ++seed);
    REQUIRE_MESSAGE(outbox, (outbox ? "" : outbox.error().message));
    const Sequence tail = outbox->LastSequence();
    clerk_.emplace(std::move(*outbox), clerk_limits, [this] { return disk_free; });
    auto reader = OutboxReader::Open(file);
    REQUIRE(reader);
    dispatcher_.emplace(std::move(*reader), metrics_, seed);
    REQUIRE(dispatcher_->Start(MakeEndpoints(), limits, tail, now));
    Dispatch();
  }
  void Stop() {
    dispatcher_.reset();
    clerk_.reset();
  }

  Endpoints MakeEndpoints() const {
    const Credentials credentials{connection.site_id.value, connection.api_key.value};
    return {{connection.name, std::make_shared<const Endpoint>(Endpoint{connection, credentials})}};
  }

  // Hands the lines to the clerk as one submission; nothing is stored before WorkClerk().
  void Submit(const std::vector<std::string>& lines) {
    auto submission = std::make_unique<Submission>(*this);
    for (const std::string& line : lines) submission->jobs.push_back(NewJob(line));
    clerk_->Add(std::move(submission));
  }

  void WorkClerk() {
    Clerk::Done done = clerk_->Work(now);
    answered.clear();
    for (auto& submission : done.submissions) answered.push_back(std::move(submission));
    REQUIRE_FALSE(done.fatal);
    done.committed.left_out = leave_out && !done.committed.accepted.empty();
    if (done.committed.left_out) done.committed.accepted.clear();
    messages_.emplace_back(std::move(done.committed));
  }

  // One round of the dispatcher over the first `count` messages. The transfers it starts go to `out`, its report to the clerk.
  void Dispatch(std::size_t count = ~std::size_t{0}) {
    Actions actions = dispatcher_->NewActions();
    for (; count > 0 && !messages_.empty(); --count) {
      Message message = std::move(messages_.front());
      messages_.pop_front();
      if (auto* committed = std::get_if<Committed>(&message)) {
        dispatcher_->OnCommitted(std::move(*committed), actions);
      } else if (auto* finished = std::get_if<Finished>(&message)) {
        std::vector<Finished> all;
        all.push_back(std::move(*finished));
        dispatcher_->OnFinished(std::move(all), now, actions);
      } else {
        std::get<Call>(message)(*dispatcher_);
      }
    }
    const GateSnapshot before = Queue().gate();
    const Result<void> pumped = dispatcher_->Pump(now, actions);
    REQUIRE_MESSAGE(pumped, (pumped ? "" : pumped.error().message));
    CheckGate(before, actions);
    for (Transfer& transfer : actions.transfers) {
      auto& to = transfer.kind == TransferKind::kProbe ? probes : out;
      to.push_back({std::move(transfer), now});
    }
    if (!actions.report.empty()) clerk_->Add(std::move(actions.report));
  }

  // Clerk and dispatcher in turn until neither has anything to do at this time.
  void Run() {
    for (int round = 0; round < 3 || (round < 10'000 && (clerk_->MustRetry() || dispatcher_->NextWake(now) <= now)); ++round) {
      WorkClerk();
      Dispatch();
    }
  }

  void Accept(const std::vector<std::string>& lines) {
    Submit(lines);
    Run();
  }

  // The answer to the transfer at `index` of `out`, which leaves it; Dispatch() or Run() takes it in.
  void Finish(std::size_t index, Answer answer) { Finish(out, index, std::move(answer)); }
  void FinishProbe(Answer answer) { Finish(probes, 0, std::move(answer)); }
  void Finish(std::deque<Flight>& from, std::size_t index, Answer answer) {
    Finished finished;
    REQUIRE(index < from.size());
    finished.sent = from[index].sent;
    finished.duration = now - finished.sent;
    finished.transfer = std::move(from[index].transfer);
    finished.answer = std::move(answer);
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(index));
    messages_.emplace_back(std::move(finished));
  }
  void AnswerAll(int status) {
    while (!out.empty()) Finish(0, AnswerOf(status));
    Run();
  }

  void Pass(Milliseconds time) {
    now += time;
    Run();
  }
  // To the time at which the dispatcher would wake by itself.
  void PassToWake() {
    now = std::max(now + Milliseconds(1), dispatcher_->NextWake(now));
    Run();
  }
  // Answers 200 to everything until the outbox is empty.
  void DeliverRest() {
    for (int round = 0; round < 20'000 && clerk_->outbox().Total().jobs > 0; ++round) {
      if (!probes.empty()) FinishProbe(AnswerOf(200, R"({"region":"us","environment_id":1})"));
      AnswerAll(200);
      if (out.empty()) PassToWake();
    }
  }

  // What Service does for an operator: the step runs on the clerk, its news go to the dispatcher.
  void Redrive(const DeadFilter& filter = {}) {
    clerk_->Add([this, filter](Outbox& outbox, Timestamp at) {
      const auto step = outbox.Redrive(filter, at, 500);
      REQUIRE(step);
      if (step->sequences.empty()) return false;
      messages_.emplace_back(Call([first = step->sequences.front()](Dispatcher& dispatcher) { dispatcher.Rewind(first); }));
      return step->more;
    });
  }
  void Cancel(Sequence sequence) {
    clerk_->Add([this, sequence](Outbox& outbox, Timestamp at) {
      if (outbox.Cancel(sequence, at)) Tell([sequence](Dispatcher& dispatcher) { dispatcher.Remove({&sequence, 1}); });
      return false;
    });
  }
  void Forget(const std::string& customer) {
    clerk_->Add([this, customer](Outbox& outbox, Timestamp) {
      Counts counts;
      const auto step = outbox.Forget(customer, std::nullopt, 500, counts);
      REQUIRE(step);
      forgotten.emplace_back(customer, outbox.LastSequence());
      Tell([gone = step->sequences](Dispatcher& dispatcher) { dispatcher.Remove(gone); });
      return step->more;
    });
  }
  void Tell(std::function<void(Dispatcher&)> call) { messages_.emplace_back(Call(std::move(call))); }

  Clerk& clerk() { return *clerk_; }
  Dispatcher& dispatcher() { return *dispatcher_; }
  ConnectionQueue& Queue() { return *dispatcher_->Find(connection.name); }
  GateState Gate() { return Queue().gate().state; }
  Counts Total() { return clerk_->outbox().Total(); }

  // Event names of what is out, in the order it left.
  std::vector<std::string> OutNames() const {
    std::vector<std::string> names;
    for (const Flight& flight : out) {
      for (const auto& job : flight.transfer.Jobs()) names.push_back(job->job.name);
    }
    return names;
  }

  void OnAnswered(std::vector<std::unique_ptr<Submission>>) override {}

  FaultVfs disk;  // without faults: for its speed, as it syncs nothing
  TempDir folder;
  std::filesystem::path file = folder / "outbox.db";
  ConnectionConfig connection;
  LimitsConfig limits;
  Clerk::Limits clerk_limits;
  std::uint64_t disk_free = 1ULL << 40;
  std::uint64_t seed = 1;
  bool leave_out = false;  // the dispatcher counts as behind
  Timestamp now = FromUnixMs(1'700'000'000'000);
  std::deque<Flight> out, probes;
  std::vector<std::pair<std::string, Sequence>> forgotten;  // customers, and the last job stored when that was done
  std::vector<std::unique_ptr<Submission>> answered;        // by the last WorkClerk()

 private:
  using Call = std::function<void(Dispatcher&)>;
  using Message = std::variant<Committed, Finished, Call>;

  // Whatever a test does: nothing leaves that the gate forbids.
  void CheckGate(const GateSnapshot& before, const Actions& actions) {
    std::size_t jobs = 0;
    for (const Transfer& transfer : actions.transfers) jobs += transfer.Jobs().size();
    if (before.state == GateState::kPaused) CHECK(jobs == 0);
    if (before.state == GateState::kThrottled && before.reopen_at > now) CHECK(jobs == 0);
    if (before.state == GateState::kProbing || before.state == GateState::kThrottled) CHECK(jobs <= 1);
    CHECK(Queue().in_flight() <= connection.max_in_flight);
  }

  Metrics metrics_;
  std::optional<Clerk> clerk_;
  std::optional<Dispatcher> dispatcher_;
  std::deque<Message> messages_;
};

}  // namespace outboxd::test
