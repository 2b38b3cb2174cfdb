#include "tests/daemon/threadless_daemon.h"

#include "core/job_line.h"

namespace outboxd::test {
namespace {

constexpr std::size_t kRowsAStep = 500;

}  // namespace

Result<void> ThreadlessDaemon::Start(const Setup& setup, Timestamp now) {
  Stop();
  check_every_ = setup.check_every;
  gathers_outcomes_ = setup.gathers_outcomes;
  ASSIGN_OR_RETURN(auto outbox, Outbox::Open(setup.file, setup.seed));
  ASSIGN_OR_RETURN(auto reader, OutboxReader::Open(setup.file));
  if (clock_) static_cast<void>(outbox.SeeClock(*clock_));
  OutboxStart start = outbox.AtStart();
  clerk_.emplace(std::move(outbox), setup.clerk_limits, setup.disk_free);
  dispatcher_.emplace(std::move(reader), metrics_, setup.seed);
  if (clock_) dispatcher_->SeeClock(*clock_);
  return dispatcher_->Start(setup.endpoints, setup.limits, std::move(start), now);
}

void ThreadlessDaemon::Stop() {
  messages_.clear();
  dispatcher_.reset();
  clerk_.reset();
}

Result<void> ThreadlessDaemon::Submit(const std::vector<std::string>& lines,
                                      std::optional<std::uint32_t> uid) {
  auto submission = std::make_unique<Submission>(*this);
  for (const std::string& line : lines) {
    auto job = ParseJobLine(line);
    if (!job) return Fail(ErrorKind::kInvalid, job.error().message);
    submission->jobs.push_back(std::make_unique<QueuedJob>());
    submission->jobs.back()->job = std::move(*job);
    submission->jobs.back()->uid = uid;
  }
  clerk_->Add(std::move(submission));
  return {};
}

Clerk::Done ThreadlessDaemon::WorkClerk(Timestamp now, bool leave_out) {
  if (clock_) clerk_->SeeClock(*clock_);
  Clerk::Done done = clerk_->Work(now);
  if (MustCheck()) clerk_->CheckInvariants();
  done.committed.left_out = leave_out && !done.committed.accepted.empty();
  if (done.committed.left_out) done.committed.accepted.clear();
  messages_.emplace_back(std::move(done.committed));
  return done;
}

ThreadlessDaemon::Round ThreadlessDaemon::Dispatch(std::size_t count, Timestamp now) {
  if (clock_) dispatcher_->SeeClock(*clock_);
  Actions actions = dispatcher_->NewActions();
  for (; count > 0 && !messages_.empty(); --count) {
    Message message = std::move(messages_.front());
    messages_.pop_front();
    if (auto* committed = std::get_if<Committed>(&message)) {
      dispatcher_->OnCommitted(std::move(*committed), actions);
    } else if (auto* returned = std::get_if<Return>(&message)) {
      if (returned->before) returned->before(*dispatcher_);
      std::vector<Finished> all;
      all.push_back(std::move(returned->finished));
      dispatcher_->OnFinished(std::move(all), now, actions);
      if (returned->after) returned->after(*dispatcher_);
    } else {
      std::get<Call>(message)(*dispatcher_);
    }
  }
  const bool must_check = MustCheck();
  if (must_check) dispatcher_->CheckInvariants();
  Round round;
  for (const ConnectionStatus& status : dispatcher_->Status()) round.gates.emplace(status.name, status.gate);
  round.pumped = dispatcher_->Pump(now, actions);
  if (must_check) dispatcher_->CheckInvariants();
  round.transfers = std::move(actions.transfers);
  round.without_batches = std::move(actions.without_batches);
  if (!actions.report.empty() || actions.report.hurries) clerk_->Add(std::move(actions.report));
  if (!gathers_outcomes_) clerk_->Hurry();
  return round;
}

void ThreadlessDaemon::Redrive(const DeadFilter& filter, Redriven done) {
  clerk_->Add([this, filter, done = std::move(done), walk = OperatorWork::Walk()](OperatorWork& work,
                                                                                  Timestamp at) mutable {
    const auto step = work.Redrive(filter, walk, at, kRowsAStep);
    if (!step || step->sequences.empty()) return step && step->more;
    done(step->sequences);
    Tell([first = step->sequences.front()](Dispatcher& dispatcher) { dispatcher.Rewind(first); });
    return step->more;
  });
}

void ThreadlessDaemon::Cancel(Sequence sequence, std::function<void()> done) {
  clerk_->Add([this, sequence, done = std::move(done)](OperatorWork& work, Timestamp at) {
    if (!work.Cancel(sequence, at)) return false;
    done();
    Tell([sequence](Dispatcher& dispatcher) { dispatcher.Remove({&sequence, 1}); });
    return false;
  });
}

void ThreadlessDaemon::Forget(const std::string& customer, std::function<void(Sequence last)> done) {
  clerk_->Add([this, customer, done = std::move(done), walk = OperatorWork::Walk()](OperatorWork& work,
                                                                                    Timestamp) mutable {
    Counts counts;
    const auto step = work.Forget(customer, std::nullopt, walk, kRowsAStep, counts);
    if (!step) return false;
    done(clerk_->outbox().LastSequence());
    Tell([gone = step->sequences](Dispatcher& dispatcher) { dispatcher.Remove(gone); });
    return step->more;
  });
}

}  // namespace outboxd::test
