#include "tests/simulation/simulation.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "tests/simulation/violation.h"

namespace outboxd::simulation {
namespace {

constexpr std::size_t kAll = ~std::size_t{0};
constexpr std::uint64_t kMuchRoom = 1ULL << 40;
constexpr int kDrainRounds = 100'000;
constexpr std::chrono::minutes kLongestDrain{60};  // the longest wait there is, four times

std::string Numbers(const std::vector<SeenJob>& jobs) {
  std::string text;
  for (const SeenJob& job : jobs) text += " " + std::to_string(job.number);
  return text;
}

}  // namespace

void Trace::Note(Timestamp now, const std::string& what) {
  const std::string line = std::to_string(ToUnixMs(now)) + " " + what;
  for (const char byte : line) hash_ = (hash_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  if (out_ != nullptr) *out_ << line << '\n';
}

Simulation::Simulation(std::uint64_t seed, std::ostream* trace) : random_(seed), trace_(trace), disk_(seed) {
  Configure();
}

void Simulation::Configure() {
  for (bool Troubles::* trouble :
       {&Troubles::api, &Troubles::disk, &Troubles::power, &Troubles::kill, &Troubles::restarts,
        &Troubles::operators, &Troubles::clock, &Troubles::room}) {
    troubles_.*trouble = random_.Chance(50);
  }
  config_.site_id.value = "site";
  config_.api_key.value = "key";
  config_.max_in_flight = 1 + random_.Below(random_.Chance(50) ? 4 : 40);
  config_.rate_limit = random_.Chance(30) ? 5 + random_.Below(40) : 0;
  config_.retry.base = Milliseconds(1 + random_.Below(3'000));
  config_.retry.cap = std::chrono::seconds(1 + random_.Below(600));
  config_.retry.max_attempts = 2 + random_.Below(15);
  if (random_.Chance(20)) config_.retry.max_age = std::chrono::seconds(60 + random_.Below(3'600));
  BatchConfig& batch = config_.batch;
  batch.enabled = random_.Chance(60);
  batch.max_items = 2 + random_.Below(20);
  batch.max_bytes = random_.Chance(30) ? 20'000 : 500'000;
  batch.linger = Milliseconds(random_.Below(50));
  batch.same_lane = random_.Chance(40);
  setup_.file = folder_ / "outbox.db";
  setup_.clerk_limits.history.keep = std::chrono::hours(24 * 365);
  if (troubles_.room) setup_.clerk_limits.outbox.max_jobs = 10 + random_.Below(200);
  setup_.disk_free = [this] { return disk_free_; };
  connections_ = random_.Chance(25) ? std::vector<std::string>{"default", "second"}
                                    : std::vector<std::string>{"default"};
  for (const std::string& name : connections_) {
    ConnectionConfig config = config_;
    config.name = name;
    const Credentials credentials{config.site_id.value, config.api_key.value};
    setup_.endpoints[name] = std::make_shared<const Endpoint>(Endpoint{config, credentials});
  }
  api_.emplace(random_, troubles_.api);
  producer_.emplace(random_, connections_);
  ledger_.emplace(Rules{config_.retry.max_attempts, config_.retry.max_age.count(), !troubles_.clock,
                        batch.enabled && batch.same_lane});
}

Summary Simulation::Run() {
  Start();
  for (std::uint32_t left = 100 + random_.Below(400); left > 0; --left) Step();
  Drain();
  Restart();
  ledger_->CheckEnd(*tables_);
  summary_.jobs = ledger_->Accepted();
  summary_.delivered = ledger_->Delivered();
  summary_.hash = trace_.Hash();
  return summary_;
}

void Simulation::Step() {
  const std::uint32_t dice = random_.Below(100);
  if (dice < 16) {
    Submit();
  } else if (dice < 38) {
    WorkClerk();
  } else if (dice < 60) {
    Dispatch(random_.Chance(50) ? kAll : random_.Below(4));
  } else if (dice < 80) {
    FinishOne();
  } else if (dice < 88) {
    world_ += Milliseconds(random_.Below(random_.Chance(10) ? 60'000 : 300));
  } else if (dice < 92) {
    api_->ChangeWeather();
    Note("weather " + api_->WeatherName());
  } else {
    StepOfTrouble();
  }
}

void Simulation::StepOfTrouble() {
  switch (random_.Below(7)) {
    case 0:
      if (troubles_.disk && !crash_armed_) {
        const bool lasts = random_.Chance(50);
        disk_.Arm(1 + random_.Below(60), random_.Chance(50) ? test::FaultKind::kFull : test::FaultKind::kIo,
                  lasts ? test::FaultSpan::kFromThenOn : test::FaultSpan::kOnce);
        ++summary_.disk_faults;
        Note("disk fault armed");
      }
      return;
    case 1:
      if (!crash_armed_) disk_.Heal();
      return;
    case 2:
      if (troubles_.power || troubles_.kill) ArmCrash();
      return;
    case 3:
      if (troubles_.restarts && !crash_armed_) Restart();
      return;
    case 4:
      if (troubles_.operators) ActAsOperator();
      return;
    case 5:
      if (troubles_.clock) JumpClock();
      return;
    default:
      if (troubles_.room) disk_free_ = disk_free_ == kMuchRoom ? 1'000 : kMuchRoom;
      return;
  }
}

void Simulation::Submit() {
  std::vector<std::string> lines;
  std::vector<int> numbers;
  for (std::uint32_t count = 1 + random_.Below(random_.Chance(5) ? 60 : 5); count > 0; --count) {
    const ProducedJob job = producer_->Next();
    ledger_->OnProduced(job);
    lines.push_back(job.line);
    numbers.push_back(job.number);
  }
  Note("submit " + std::to_string(numbers.front()) + " to " + std::to_string(numbers.back()));
  const Result<void> submitted = daemon_.Submit(lines);
  Demand(submitted.has_value(), submitted ? "" : submitted.error().message);
  submitted_.push_back(std::move(numbers));
}

void Simulation::WorkClerk() {
  const Clerk::Done done = daemon_.WorkClerk(Now(), random_.Chance(15));
  if (crash_armed_ && disk_.HasFired()) {
    Crash();
    return;
  }
  Demand(!done.fatal, done.fatal ? "the clerk gave up: " + done.fatal->message : "");
  Demand(done.submissions.size() == submitted_.size(), "a submission was not answered");
  for (const auto& submission : done.submissions) {
    const std::vector<int> numbers = std::move(submitted_.front());
    submitted_.pop_front();
    Demand(submission->ids.size() == numbers.size() || submission->refused,
           "a job was neither stored nor refused");
    for (std::size_t index = 0; index < numbers.size(); ++index) {
      if (index < submission->ids.size()) {
        ledger_->OnAccepted(numbers[index], submission->ids[index]);
      } else {
        ledger_->OnRefused(numbers[index], index < submission->admitted ? Ledger::Refusal::kFailedWrite
                                                                        : Ledger::Refusal::kNoRoom);
      }
    }
    Note("stored " + std::to_string(submission->ids.size()) + " of " + std::to_string(numbers.size()));
  }
}

void Simulation::Dispatch(std::size_t count) {
  test::ThreadlessDaemon::Round round = daemon_.Dispatch(count, Now());
  Demand(round.pumped.has_value(),
         round.pumped ? "" : "the outbox cannot be read: " + round.pumped.error().message);
  for (Transfer& transfer : round.transfers) {
    const GateSnapshot& gate_before = round.gates[transfer.connection];
    Send(std::move(transfer), gate_before);
  }
}

void Simulation::CheckMaySend(Link& link, const GateSnapshot& gate_before) {
  Demand(link.out <= config_.max_in_flight, "more requests are out than max_in_flight allows");
  Demand(!link.closed_until || Now() >= *link.closed_until,
         "a request left before the time that Retry-After gave");
  Demand(gate_before.state != GateState::kPaused, "a request left while the connection is paused");
  Demand(!link.gate_probe_out || gate_before.state == GateState::kOpen,
         "more than one request probes a closed gate");
  if (config_.rate_limit <= 0) return;
  link.sent.push_back(Now());
  while (link.sent.front() <= Now() - std::chrono::seconds(1)) link.sent.pop_front();
  const double most = config_.rate_limit + std::max(1.0, config_.rate_limit / 10);
  Demand(static_cast<double>(link.sent.size()) <= most + 0.5,
         "more requests left within a second than rate_limit allows");
}

void Simulation::Send(Transfer transfer, const GateSnapshot& gate_before) {
  Flight flight;
  if (transfer.kind != TransferKind::kProbe) {
    Link& link = links_[transfer.connection];
    ++link.out;
    CheckMaySend(link, gate_before);
    flight.probes_gate = gate_before.state != GateState::kOpen;
    link.gate_probe_out = flight.probes_gate;
  }
  flight.reply = api_->Receive(transfer);
  flight.sent = Now();
  flight.duration = flight.reply.latency;
  flight.ends = world_ + flight.duration;
  ++summary_.requests;
  Note((transfer.kind == TransferKind::kProbe ? "probe on " : "request on ") + transfer.connection +
       Numbers(flight.reply.seen) + ": " + std::to_string(flight.reply.answer.status) + " in " +
       std::to_string(flight.duration.count()) + " ms");
  ledger_->OnSent(transfer.connection, flight.reply.seen, [this](Sequence job) { return Waits(job); });
  flight.transfer = std::move(transfer);
  flights_.push_back(std::move(flight));
}

bool Simulation::Waits(Sequence job) {
  waits_->BindAll(static_cast<std::int64_t>(ToNumber(job)));
  const Result<bool> row = waits_->Step();
  Demand(row.has_value(), "the outbox cannot be read");
  waits_->Reset();
  return *row;
}

// Of the answers that are due any, as they come over different sockets; when none is, the world's clock moves
// to the next.
void Simulation::FinishOne() {
  if (flights_.empty()) return;
  std::vector<std::size_t> due;
  std::size_t next = 0;
  for (std::size_t index = 0; index < flights_.size(); ++index) {
    if (flights_[index].ends <= world_) due.push_back(index);
    if (flights_[index].ends < flights_[next].ends) next = index;
  }
  world_ = std::max(world_, flights_[next].ends);
  Finish(due.empty() ? next : random_.Pick(due));
}

void Simulation::Finish(std::size_t index) {
  Flight flight = std::move(flights_[index]);
  flights_.erase(flights_.begin() + static_cast<std::ptrdiff_t>(index));
  const std::string connection = flight.transfer.connection;
  const bool is_probe = flight.transfer.kind == TransferKind::kProbe;
  Note("answer " + std::to_string(flight.reply.answer.status) + (is_probe ? " to the probe" : " to") +
       Numbers(flight.reply.seen));
  if (!is_probe)
    ledger_->OnAnswered(connection, flight.reply.seen, flight.reply.answer, flight.reply.meanings);
  std::optional<Milliseconds> wait;
  if (const Answer& answer = flight.reply.answer; answer.retry_after && !is_probe) {
    wait = std::min<Milliseconds>(std::chrono::seconds(std::atoi(answer.retry_after->c_str())),
                                  config_.retry.retry_after_cap);
  }
  const Ending ending = EndingOf(flight.reply.answer);
  daemon_.Finish(
      {std::move(flight.transfer), ending, std::move(flight.reply.answer), flight.sent, flight.duration});
  // What comes behind it in the same queue is known to have been heard no earlier.
  if (!is_probe) {
    --links_[connection].out;
    if (flight.probes_gate) links_[connection].gate_probe_out = false;
  }
  if (wait) {
    daemon_.Tell([this, connection, until = Now() + *wait, clock_error = clock_error_](Dispatcher&) {
      if (clock_error != clock_error_) return;
      Link& link = links_[connection];
      link.closed_until = std::max(until, link.closed_until.value_or(until));
      link.gate_probe_out = false;
    });
  }
}

void Simulation::ActAsOperator() {
  switch (random_.Below(5)) {
    case 0:
      if (const std::optional<Sequence> job = ledger_->AnyAccepted(random_)) {
        Note("cancel " + std::to_string(ToNumber(*job)));
        unfinished_.push_back([this, job] { ledger_->OnCancelled(*job); });
        daemon_.Cancel(*job, [this, job] { ledger_->OnCancelled(*job); });
      }
      return;
    case 1: {
      const std::string customer = "c" + std::to_string(random_.Below(8));
      Note("forget " + customer);
      unfinished_.push_back([this, customer] { ledger_->OnForgotten(customer); });
      daemon_.Forget(customer, [this, customer](Sequence last) { ledger_->OnForgotten(customer, last); });
      return;
    }
    case 2:
      Note("redrive");
      unfinished_.push_back([this] { ledger_->OnAllRedriven(); });
      daemon_.Redrive({}, [this](const std::vector<Sequence>& jobs) { ledger_->OnRedriven(jobs); });
      return;
    case 3:
      Note("pause");
      daemon_.Tell([this](Dispatcher& dispatcher) {
        dispatcher.Find("default")->Pause(PauseReason::kOperator, "lunch", Now());
      });
      [[fallthrough]];
    default:
      Resume();
      return;
  }
}

void Simulation::Resume() {
  for (const std::string& name : connections_) {
    daemon_.Tell([this, name](Dispatcher& dispatcher) {
      dispatcher.Find(name)->Resume(Now());
      links_[name].gate_probe_out = false;  // it may probe anew, beside what is still out
    });
  }
}

// Now and then the power goes, or the disk fails, while it starts.
void Simulation::Start() {
  for (std::uint32_t attempt = 0;; ++attempt) {
    const bool cut = (troubles_.power || troubles_.kill) && attempt < 3 && random_.Chance(20);
    const bool fault = !cut && troubles_.disk && attempt < 3 && random_.Chance(20);
    if (cut) disk_.CutPowerAt(1 + random_.Below(40));
    if (fault)
      disk_.Arm(1 + random_.Below(40), random_.Chance(50) ? test::FaultKind::kFull : test::FaultKind::kIo,
                test::FaultSpan::kFromThenOn);
    setup_.seed = random_.Next();
    setup_.limits.window_jobs = 1 + random_.Below(random_.Chance(50) ? 20 : 400);
    setup_.limits.lane_jobs = 1 + random_.Below(10);
    setup_.limits.deferred_jobs = 1 + random_.Below(30);
    const Result<void> started = daemon_.Start(setup_, Now());
    const bool failed = (cut || fault) && disk_.HasFired();
    if (cut && failed) {
      daemon_.Stop();
      disk_.Recover(folder_.Path(), PowerOrKill(), random_.Next());
      ++summary_.crashes;
      continue;
    }
    disk_.Heal();
    if (started) break;
    Demand(failed, "cannot start: " + started.error().message);
    Demand(started.error().kind != ErrorKind::kCorrupt,
           "takes a failing disk for a damaged file: " + started.error().message);
    daemon_.Stop();
  }
  auto tables = Database::Open(setup_.file, OpenMode::kReadOnly);
  Demand(tables.has_value(), "the outbox cannot be opened for reading");
  tables_.emplace(std::move(*tables));
  auto waits = tables_->Prepare("SELECT 1 FROM outbox WHERE seq = ? AND redriven_ms IS NULL");
  Demand(waits.has_value(), "the outbox cannot be read");
  waits_.emplace(std::move(*waits));
  Note("started");
  Dispatch(kAll);
}

// A stop as systemd asks for it: what is out comes back, all of it is written.
void Simulation::Restart() {
  disk_.Heal();
  while (!flights_.empty()) Finish(0);
  daemon_.dispatcher().StopSending();
  for (int round = 0; round < 5 || daemon_.clerk().MustRetry() || daemon_.HasMessages(); ++round) {
    WorkClerk();
    Dispatch(kAll);
  }
  Note("stopped");
  std::map<std::string, Link> links;
  for (const auto& [name, link] : links_) links[name].closed_until = link.closed_until;
  StopAll();
  links_ = std::move(links);
  ++summary_.restarts;
  Start();
}

void Simulation::StopAll() {
  waits_.reset();
  tables_.reset();
  daemon_.Stop();
  unfinished_.clear();
  submitted_.clear();
  flights_.clear();
  links_.clear();
}

void Simulation::ArmCrash() {
  if (crash_armed_) return;
  crash_armed_ = true;
  disk_.CutPowerAt(1 + random_.Below(random_.Chance(50) ? 10 : 100));
  Note("crash armed");
}

test::Unsynced Simulation::PowerOrKill() {
  if (!troubles_.power || (troubles_.kill && random_.Chance(50))) return test::Unsynced::kKept;
  return random_.Chance(50) ? test::Unsynced::kForgotten : test::Unsynced::kTorn;
}

void Simulation::Crash() {
  Note("crash");
  const std::vector<std::function<void()>> unfinished = std::move(unfinished_);
  StopAll();
  ledger_->OnCrash();
  for (const auto& maybe : unfinished) maybe();
  disk_.Recover(folder_.Path(), PowerOrKill(), random_.Next());
  crash_armed_ = false;
  ++summary_.crashes;
  world_ += Milliseconds(random_.Below(random_.Chance(20) ? 600'000 : 100));
  Start();
}

void Simulation::JumpClock() {
  const auto jump = Milliseconds(random_.Below(random_.Chance(30) ? 4'000'000 : 5'000));
  clock_error_ += random_.Chance(50) ? jump : -jump;
  Note("the clock is off by " + std::to_string(clock_error_.count()) + " ms");
  for (auto& [name, link] : links_) {
    link.closed_until.reset();
    link.sent.clear();
  }
}

std::string Simulation::WhyStuck() {
  std::string why = std::to_string(daemon_.clerk().outbox().Total().jobs) + " jobs never leave";
  why +=
      "; now " + FormatRfc3339(Now()) + ", next wake " + FormatRfc3339(daemon_.dispatcher().NextWake(Now()));
  if (const std::string unhealthy = daemon_.clerk().State().not_healthy; !unhealthy.empty())
    why += "; the clerk says " + unhealthy;
  for (const ConnectionStatus& status : daemon_.dispatcher().Status()) {
    why += "; " + status.name + " is " + std::string(GateStateName(status.gate.state)) +
           (status.gate.reopen_at ? " until " + FormatRfc3339(*status.gate.reopen_at) : "") + " with " +
           std::to_string(status.in_flight) + " in flight, " + std::to_string(status.deferred) +
           " deferred, " + std::to_string(status.blocked) + " blocked, " + std::to_string(status.jobs) +
           " jobs";
  }
  return why;
}

// All trouble ends; what waits must leave.
void Simulation::Drain() {
  Note("no more trouble");
  const Timestamp calm_since = world_;
  if (crash_armed_) {
    disk_.CutPowerAt(0);
    Crash();
  }
  troubles_ = {};
  disk_.Heal();
  disk_free_ = kMuchRoom;
  api_->CalmDown();
  Resume();
  for (int round = 0;; ++round) {
    WorkClerk();
    Dispatch(kAll);
    if (daemon_.clerk().outbox().Total().jobs == 0 && flights_.empty() && submitted_.empty() &&
        !daemon_.clerk().HasTasks())
      return;
    Demand(round < kDrainRounds && world_ < calm_since + kLongestDrain, WhyStuck());
    if (!flights_.empty()) {
      FinishOne();
    } else if (!daemon_.HasMessages() && !daemon_.clerk().MustRetry()) {
      world_ = std::max(world_ + Milliseconds(1), daemon_.dispatcher().NextWake(Now()) - clock_error_);
    }
  }
}

}  // namespace outboxd::simulation
