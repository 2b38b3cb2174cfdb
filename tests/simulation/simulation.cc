#include "tests/simulation/simulation.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "tests/simulation/violation.h"

namespace outboxd::simulation {
namespace {

constexpr std::size_t kAll = ~std::size_t{0};
constexpr std::uint64_t kMuchRoom = 1ULL << 40;
constexpr int kTooManyRequests = 429;
constexpr int kLongOutageRounds = 150;
constexpr int kPoisonRounds = 60;
constexpr int kDrainRounds = 100'000;
constexpr std::chrono::minutes kLongestDrain{60};  // the longest wait there is, four times

std::string Numbers(const std::vector<SeenJob>& jobs) {
  std::string text;
  for (const SeenJob& job : jobs) text += " " + std::to_string(job.number);
  return text;
}

}  // namespace

Simulation::Simulation(std::uint64_t seed, std::ostream* trace) : random_(seed), trace_(trace), disk_(seed) {
  Configure();
}

void Simulation::Configure() {
  for (bool Troubles::* trouble :
       {&Troubles::api, &Troubles::disk, &Troubles::power, &Troubles::kill, &Troubles::restarts,
        &Troubles::operators, &Troubles::clock, &Troubles::room, &Troubles::poison}) {
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
  config_.probe_interval = std::chrono::seconds(1 + random_.Below(60));
  BatchConfig& batch = config_.batch;
  batch.mode = random_.Pick(std::vector{BatchMode::kOff, BatchMode::kOn, BatchMode::kAuto, BatchMode::kAuto});
  batch.max_items = 2 + random_.Below(20);
  batch.max_bytes = random_.Chance(30) ? 20'000 : 500'000;
  batch.linger = Milliseconds(random_.Below(50));
  batch.same_lane = random_.Chance(40);
  setup_.file = folder_ / "outbox.db";
  setup_.clerk_limits.history.keep = std::chrono::hours(24 * 365 * 10);  // a clock may be a year ahead
  if (troubles_.room) setup_.clerk_limits.outbox.max_jobs = 10 + random_.Below(200);
  if (random_.Chance(50)) users_ = {User(33), User(1000), User()};
  setup_.disk_free = [this] { return disk_free_; };
  setup_.gathers_outcomes = true;
  connections_ = random_.Chance(25) ? std::vector<std::string>{"default", "second"}
                                    : std::vector<std::string>{"default"};
  for (const std::string& name : connections_) {
    ConnectionConfig config = config_;
    config.name = name;
    const Credentials credentials{config.site_id.value, config.api_key.value};
    setup_.endpoints[name] = std::make_shared<const Endpoint>(Endpoint{config, credentials});
  }
  api_.emplace(random_, troubles_.api, random_.Chance(15) ? HasBatches::kNo : HasBatches::kYes);
  producer_.emplace(random_, connections_, troubles_.poison);
  ledger_.emplace(Rules{config_.retry.max_attempts, config_.retry.max_age.count(), !troubles_.clock,
                        batch.mode != BatchMode::kOff && batch.same_lane});
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
      if (troubles_.clock) SetClock();
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
  const Result<void> submitted =
      daemon_.Submit(lines, users_[random_.Below(static_cast<std::uint32_t>(users_.size()))]);
  Demand(submitted.has_value(), submitted ? "" : submitted.error().message);
  submitted_.push_back(std::move(numbers));
}

// What an operator puts back is nobody's fault; otherwise one user never has the last tenth.
void Simulation::CheckShares(const Submission& submission) {
  if (submission.ids.empty() || troubles_.operators || !troubles_.room) return;
  const std::uint64_t most = setup_.clerk_limits.outbox.max_jobs;
  for (const User user : users_) {
    const std::string uid = user ? "uid = " + std::to_string(*user) : "uid IS NULL";
    const Result<std::int64_t> jobs = tables_->Scalar("SELECT count(*) FROM outbox WHERE " + uid);
    Demand(!jobs || static_cast<std::uint64_t>(*jobs) <= most - most / 10, "a user has more than his share");
  }
}

void Simulation::WorkClerk() {
  TellClock();
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
        ledger_->OnAccepted(numbers[index], submission->ids[index], clock_.Note(world_));
      } else {
        ledger_->OnRefused(numbers[index], index < submission->admitted ? Ledger::Refusal::kFailedWrite
                                                                        : Ledger::Refusal::kNoRoom);
      }
    }
    CheckShares(*submission);
    Note("stored " + std::to_string(submission->ids.size()) + " of " + std::to_string(numbers.size()));
  }
  LookForDeaths();
}

void Simulation::LookForDeaths() {
  const std::uint64_t dead = daemon_.clerk().outbox().Total().dead;
  // An operator may take as many away in the same round; where clocks are set, what a job's age was is known
  // only now.
  if (std::exchange(dead_seen_, dead) != dead || troubles_.clock) LookForAllDeaths();
  if (!daemon_.clerk().MustRetry()) clocks_.clear();
}

void Simulation::LookForAllDeaths() {
  clocks_.emplace_back(clock_, world_);
  ledger_->LookForDeaths(*tables_, Now(), [this](const NotedTime& accepted) {
    std::optional<Milliseconds> oldest;
    for (const auto& [clock, world] : clocks_) oldest = std::max(oldest, clock.AgeOf(accepted, world));
    return oldest;
  });
}

void Simulation::Dispatch(std::size_t count) {
  TellClock();
  clocks_.emplace_back(clock_, world_);
  test::ThreadlessDaemon::Round round = daemon_.Dispatch(count, Now());
  Demand(round.pumped.has_value(),
         round.pumped ? "" : "the outbox cannot be read: " + round.pumped.error().message);
  for (Transfer& transfer : round.transfers) {
    const GateSnapshot& gate_before = round.gates[transfer.connection];
    Send(std::move(transfer), gate_before);
  }
}

void Simulation::Send(Transfer transfer, const GateSnapshot& gate_before) {
  Flight flight;
  if (transfer.kind != TransferKind::kProbe) {
    Link& link = LinkOf(transfer.connection);
    flight.probes_gate = link.OnSent(gate_before, transfer.Jobs().size(), Now());
    flight.era = link.Era();
  }
  flight.reply = api_->Receive(transfer);
  flight.sent = Now();
  flight.duration = flight.reply.latency;
  flight.ends = world_ + flight.duration;
  ++summary_.requests;
  Note((transfer.kind == TransferKind::kProbe ? "probe on " : "request on ") + transfer.connection +
       Numbers(flight.reply.seen) + (transfer.route == Route::kOwn ? " by itself" : "") + ": " +
       std::to_string(flight.reply.answer.status) + " in " + std::to_string(flight.duration.count()) + " ms");
  Demand(clock_.Read(world_).IsSet(), "a request left with a clock that was never set");
  ledger_->OnSent(transfer, flight.reply.seen, Now(), [this](Sequence job) { return Look(job); });
  ledger_->CheckTimes(transfer,
                      [this](const NotedTime& accepted) { return clock_.TimeOf(accepted, world_); });
  if (transfer.job) {
    const std::optional<Ledger::Row> row = Look(transfer.job->sequence);
    flight.is_troubles_suspect = row && row->suspicion == SuspicionName(Suspicion::kTrouble);
  }
  flight.transfer = std::move(transfer);
  flights_.push_back(std::move(flight));
}

std::optional<Ledger::Row> Simulation::Look(Sequence job) {
  look_->BindAll(static_cast<std::int64_t>(ToNumber(job)));
  const Result<bool> row = look_->Step();
  Demand(row.has_value(), "the outbox cannot be read");
  std::optional<Ledger::Row> found;
  if (*row)
    found = {static_cast<std::uint32_t>(look_->Int(0)), std::string(look_->Text(1)), look_->Int(2) != 0};
  look_->Reset();
  return found;
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
  const Reply& reply = flight.reply;
  const bool is_probe = flight.transfer.kind == TransferKind::kProbe;
  Note(
      "answer " + std::to_string(reply.answer.status) +
      (is_probe ? " to the probe" : " " + MeaningName(reply.meanings.front()) + " to" + Numbers(reply.seen)));
  if (!is_probe) {
    ledger_->OnAnswered(connection, reply);
    LinkOf(connection).OnAnswered(flight.probes_gate);
  }
  auto look_before = [this, connection](Dispatcher& dispatcher) {
    gate_before_ = dispatcher.Find(connection)->gate().state;
  };
  test::ThreadlessDaemon::Call listen = Listen(flight);
  daemon_.Finish(
      {std::move(flight.transfer), EndingOf(reply.answer), reply.answer, flight.sent, flight.duration},
      std::move(look_before), std::move(listen));
}

// What happens right after the dispatcher has taken the answer in.
test::ThreadlessDaemon::Call Simulation::Listen(const Flight& flight) {
  const std::string& connection = flight.transfer.connection;
  const Reply& reply = flight.reply;
  if (flight.transfer.kind == TransferKind::kProbe) {
    const bool is_good = reply.answer.status == 200 && reply.answer.body.find("region") != std::string::npos;
    return [this, connection, is_good](Dispatcher&) { HearProbe(connection, is_good); };
  }
  const bool leaves_gate = flight.is_troubles_suspect && reply.meanings.front() == Meaning::kDeferred &&
                           !reply.answer.retry_after && reply.answer.status != kTooManyRequests;
  return [this, connection, route = flight.transfer.route, era = flight.era, reply,
          leaves_gate](Dispatcher& dispatcher) {
    const GateState gate = dispatcher.Find(connection)->gate().state;
    Demand(!leaves_gate || gate_before_ != GateState::kOpen || gate == GateState::kOpen,
           "a suspect's failure closed the gate");
    Hear(connection, route, era, reply);
  };
}

void Simulation::Hear(const std::string& connection, Route route, std::uint32_t era, const Reply& reply) {
  ledger_->OnHeard(connection, route, reply, Now());
  Link& link = LinkOf(connection);
  link.OnHeard(reply.meanings.front(), reply.answer.status, reply.meanings.size(), era, Now());
  if (!reply.answer.retry_after || reply.meanings.front() != Meaning::kDeferred) return;
  link.OnRetryAfter(Now() +
                    std::min<Milliseconds>(std::chrono::seconds(std::atoi(reply.answer.retry_after->c_str())),
                                           config_.retry.retry_after_cap));
}

void Simulation::HearProbe(const std::string& connection, bool is_good) {
  if (is_good) ledger_->OnGoodProbeHeard(connection);
  LinkOf(connection).OnProbeHeard(is_good, Now());
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
      LinkOf(name).OnResumed();
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
    if (random_.Chance(30)) setup_.limits.window_bytes = 1 + random_.Below(20'000);
    setup_.limits.lane_jobs = 1 + random_.Below(10);
    setup_.limits.deferred_jobs = random_.Below(random_.Chance(50) ? 4 : 30);
    if (has_memory_) setup_.limits = {};
    TellClock();
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
  auto look = tables_->Prepare(
      "SELECT failures, suspicion, parked IS NOT NULL FROM outbox WHERE seq = ? AND redriven_ms IS NULL");
  Demand(look.has_value(), "the outbox cannot be read");
  look_.emplace(std::move(*look));
  ledger_->OnStarted();
  LookForAllDeaths();  // some may have been written by what a crash ended
  Note("started");
  Dispatch(kAll);
}

// A stop as systemd asks for it: what is out comes back, all of it is written.
void Simulation::Restart() {
  disk_.Heal();
  while (!flights_.empty()) Finish(0);
  daemon_.dispatcher().StopSending();
  for (int round = 0; round < 5 || daemon_.clerk().MustRetry() || daemon_.HasMessages(); ++round) {
    daemon_.clerk().Hurry();
    WorkClerk();
    Dispatch(kAll);
  }
  Note("stopped");
  std::map<std::string, Link> links;
  for (const auto& [name, link] : links_) links.emplace(name, link.AfterRestart());
  StopAll();
  links_ = std::move(links);
  if (troubles_.clock && random_.Chance(40)) Reboot();
  ++summary_.restarts;
  Start();
}

void Simulation::StopAll() {
  look_.reset();
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
  if (troubles_.clock && random_.Chance(50)) Reboot();
  Start();
}

void Simulation::SetClock() {
  const bool was_set = clock_.Read(world_).IsSet();
  clock_.BeSet(random_, world_);
  Note(clock_.ToText(world_));
  OnClockSet(was_set);
}

void Simulation::OnClockSet(bool was_set) {
  for (auto& [name, link] : links_) {
    link.OnClockJumped();
    if (!was_set) link.OnResumed();
  }
}

void Simulation::Reboot() {
  clock_.Reboot(random_, world_);
  Note("reboot: " + clock_.ToText(world_));
  OnClockSet(true);
}

void Simulation::TellClock() {
  daemon_.SetClock(clock_.Read(world_));
}

std::string Simulation::WhyStuck() {
  std::string why = std::to_string(daemon_.clerk().outbox().Total().jobs) + " jobs";
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

// An outage that lasts for many attempts.
void Simulation::Endure() {
  api_->GoDown();
  Note("for long: weather " + api_->WeatherName());
  for (int round = 0; round < kLongOutageRounds; ++round) PassTime();
}

// Fine weather, and more jobs: those with poison have every attempt that they may have.
void Simulation::LiveWithPoison() {
  Note("for long: poison among healthy jobs");
  for (int round = 0; round < kPoisonRounds; ++round) {
    Submit();
    PassTime();
  }
}

void Simulation::PassTime() {
  if (random_.Chance(10)) Restart();
  WorkClerk();
  Dispatch(kAll);
  while (!flights_.empty()) FinishOne();
  WorkClerk();
  Dispatch(kAll);
  world_ += Milliseconds(random_.Below(static_cast<std::uint32_t>(config_.retry.cap.count())));
}

// All trouble ends; what waits must leave.
void Simulation::Drain() {
  Note("no more trouble");
  if (crash_armed_) {
    disk_.CutPowerAt(0);
    Crash();
  }
  const Troubles had = std::exchange(troubles_, {});
  const bool was_set = clock_.Read(world_).IsSet();
  clock_.BeRight(world_);
  OnClockSet(was_set);
  disk_.Heal();
  disk_free_ = kMuchRoom;
  Resume();
  if (had.api && random_.Chance(30)) Endure();
  api_->CalmDown();
  GiveMemory();
  if (had.poison && random_.Chance(30)) LiveWithPoison();
  Resume();
  DrainHealthy();
  Note("no more poison");
  api_->Heal();
  const Timestamp deadline = world_ + kLongestDrain;
  while (!IsEmpty()) RunRound(deadline, "jobs never leave");
}

// What waits for poison must not fill it. A restart would do as well, and hide what only a restart sets
// right.
void Simulation::GiveMemory() {
  has_memory_ = true;
  setup_.limits = {};
  daemon_.Tell([this](Dispatcher& dispatcher) {
    const Result<void> configured = dispatcher.Configure(setup_.endpoints, setup_.limits, Now());
    Demand(configured.has_value(), configured ? "" : configured.error().message);
    for (auto& [name, link] : links_) link.OnReload();
  });
}

bool Simulation::IsEmpty() {
  return daemon_.clerk().outbox().Total().jobs == 0 && flights_.empty() && submitted_.empty() &&
         !daemon_.clerk().HasTasks();
}

// The weather is fine: whoever waits for no job that spoils its own answers is delivered in time. Each of
// those may close the gate twice before it is a suspect, for retry.cap at most; the rest is as without them.
void Simulation::DrainHealthy() {
  std::optional<Timestamp> deadline;
  for (std::size_t frail = 0;;) {
    const Ledger::Waiting waiting = ledger_->CountWaiting(*tables_);
    if (waiting.healthy == 0 && submitted_.empty()) return;
    if (!deadline || waiting.frail != frail)  // those behind it wait for nobody else now
      deadline = world_ + kLongestDrain + 2 * static_cast<std::int64_t>(waiting.frail) * config_.retry.cap;
    frail = waiting.frail;
    RunRound(*deadline,
             "job " + std::to_string(waiting.a_healthy_one) + " waits for poison, and it has none");
  }
}

void Simulation::RunRound(Timestamp deadline, const std::string& promise) {
  WorkClerk();
  Dispatch(kAll);
  Demand(++drain_rounds_ < kDrainRounds && world_ < deadline, promise + ": " + WhyStuck());
  if (!flights_.empty()) {
    FinishOne();
  } else if (!daemon_.HasMessages() && !daemon_.clerk().MustRetry()) {
    Timestamp next = daemon_.dispatcher().NextWake(Now());
    if (const auto due = daemon_.clerk().OutcomesDue()) next = std::min(next, *due);
    world_ = std::max(world_ + Milliseconds(1), next - clock_.error());
  }
}

}  // namespace outboxd::simulation
