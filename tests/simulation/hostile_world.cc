#include "tests/simulation/hostile_world.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "core/gate.h"
#include "core/job_cost.h"
#include "core/job_line.h"
#include "core/names.h"
#include "daemon/base/status.h"
#include "daemon/clerk/clerk.h"
#include "daemon/clerk/submission.h"
#include "daemon/delivery/window.h"
#include "tests/simulation/violation.h"

namespace outboxd::simulation {
namespace {

constexpr std::size_t kAll = ~std::size_t{0};
constexpr Milliseconds kGrain{5};  // nothing happens between two of these

// What WorthInMemory() may be: see core/job_cost.h (WindowCost) and daemon/delivery/backlog.h.
std::size_t MemoryBound(const LimitsConfig& limits, std::size_t connections) {
  constexpr std::size_t kBeyond = 256;          // deferred jobs that are read beyond the room
  constexpr std::size_t kOrdinary = 8UL << 10;  // of a job besides its line
  constexpr std::size_t kTimesItsLine = 5;
  const std::size_t bytes = limits.window_bytes + limits.window_bytes / 4 + 2 * limits.line_bytes;
  return connections * (kTimesItsLine * bytes + kOrdinary * (limits.window_jobs + kBeyond));
}

std::string Name(const Line& line) {
  return (line.is_good ? "good job " : "hostile job ") + std::to_string(line.number);
}

}  // namespace

HostileWorld::HostileWorld(const Scene& scene, Company company, Trace& trace) : scene_(scene), trace_(trace) {
  for (const Arrival& arrival : scene.good) arrivals_.push_back(&arrival);
  if (company == Company::kHostile) {
    for (const Arrival& arrival : scene.hostile) arrivals_.push_back(&arrival);
  }
  std::sort(arrivals_.begin(), arrivals_.end(),
            [](const Arrival* one, const Arrival* other) { return one->at < other->at; });
  setup_.file = folder_ / "outbox.db";
  setup_.seed = scene.seed;
  setup_.limits = scene.limits;
  setup_.clerk_limits = scene.clerk_limits;
  setup_.disk_free = [] { return 1ULL << 40; };
  setup_.check_every = 50;
  for (const std::string& name : scene.connections) {
    ConnectionConfig config = scene.config;
    config.name = name;
    const Credentials credentials{config.site_id.value, config.api_key.value};
    setup_.endpoints[name] = std::make_shared<const Endpoint>(Endpoint{config, credentials});
  }
  result_.memory_bound = MemoryBound(scene.limits, scene.connections.size());
}

HostileWorld::Result HostileWorld::Run() {
  Start();
  while (Elapsed() < scene_.length) {
    if (next_crash_ < scene_.crashes.size() && Elapsed() >= scene_.crashes[next_crash_]) Crash();
    HandOverDue();
    while (FinishDue()) continue;
    Work();
    now_ = NextEvent();
  }
  result_.good_delivered =
      static_cast<std::uint64_t>(std::count_if(jobs_.begin(), jobs_.end(), [](const auto& job) {
        return job.second.line.is_good && job.second.is_delivered;
      }));
  // What is out comes back, and all of it is written.
  daemon_.dispatcher().StopSending();
  for (const Flight& flight : flights_) now_ = std::max(now_, flight.ends());
  while (FinishDue()) continue;
  Work();
  CheckFates();
  return std::move(result_);
}

void HostileWorld::Start() {
  const auto started = daemon_.Start(setup_, now_);
  Demand(started.has_value(), started ? "" : "cannot start: " + started.error().message);
  auto tables = Database::Open(setup_.file, OpenMode::kReadOnly);
  Demand(tables.has_value(), "the outbox cannot be opened for reading");
  tables_.emplace(std::move(*tables));
  auto look = tables_->Prepare("SELECT 1 FROM outbox WHERE seq = ?");
  Demand(look.has_value(), "the outbox cannot be read");
  look_.emplace(std::move(*look));
  Dispatch();
}

// What is out is forgotten, and so is what was heard and not written.
void HostileWorld::Crash() {
  Note("crash");
  ++next_crash_;
  ++result_.summary.crashes;
  flights_.clear();
  look_.reset();
  tables_.reset();
  daemon_.Stop();
  Start();
}

void HostileWorld::HandOverDue() {
  for (; next_arrival_ < arrivals_.size() && arrivals_[next_arrival_]->at <= Elapsed(); ++next_arrival_)
    HandOver(*arrivals_[next_arrival_]);
}

void HostileWorld::HandOver(const Arrival& arrival) {
  std::vector<std::string> lines;
  std::vector<int> numbers;
  for (const Line& line : arrival.lines) {
    jobs_[line.number].line = line;
    lines.push_back(line.text);
    numbers.push_back(line.number);
  }
  const auto submitted = daemon_.Submit(lines, arrival.user);
  Demand(submitted.has_value(), submitted ? "" : "not a job: " + submitted.error().message);
  submitted_.push_back(std::move(numbers));
}

bool HostileWorld::FinishDue() {
  const auto due =
      std::min_element(flights_.begin(), flights_.end(),
                       [](const Flight& one, const Flight& other) { return one.ends() < other.ends(); });
  if (due == flights_.end() || due->ends() > now_) return false;
  Flight flight = std::move(*due);
  flights_.erase(due);
  const Transfer& transfer = flight.transfer;
  for (std::size_t index = 0; index < transfer.Jobs().size(); ++index) {
    Job& job = jobs_.at(ReadRef(transfer.Jobs()[index]->job.ref).number);
    if (!IsDeliveredBy(transfer, flight.answer.answer, index)) continue;
    Demand(!job.is_delivered || result_.summary.crashes > 0, Name(job.line) + " was delivered twice");
    result_.summary.delivered += job.is_delivered ? 0 : 1;
    job.is_delivered = true;
  }
  Finished finished;
  finished.ending = EndingOf(flight.answer.answer);
  finished.answer = std::move(flight.answer.answer);
  finished.sent = flight.sent;
  finished.duration = flight.answer.after;
  finished.transfer = std::move(flight.transfer);
  daemon_.Finish(std::move(finished));
  return true;
}

void HostileWorld::Work() {
  do {
    WorkClerk();
    Dispatch();
  } while (daemon_.clerk().MustRetry() || daemon_.HasMessages());
}

std::uint64_t HostileWorld::GoodHold() const {
  std::uint64_t jobs = 0;
  for (const auto& [number, job] : jobs_) {
    if (job.line.is_good && job.sequence && !job.is_delivered) ++jobs;
  }
  return jobs;
}

void HostileWorld::WorkClerk() {
  const Clerk::Done done = daemon_.WorkClerk(now_);
  Demand(!done.fatal, done.fatal ? "the clerk gave up: " + done.fatal->message : "");
  Demand(done.submissions.size() == submitted_.size(), "a submission was not answered");
  for (std::size_t at = 0; at < submitted_.size(); ++at) {
    const Submission& submission = *done.submissions[at];
    const std::vector<int>& numbers = submitted_[at];
    for (std::size_t index = 0; index < submission.ids.size(); ++index) {
      Job& job = jobs_.at(numbers[index]);
      job.sequence = submission.ids[index].SequencePart();
      ++result_.summary.jobs;
      for (const std::string& customer : job.line.customers)
        lanes_[job.line.connection + " " + customer].insert(*job.sequence);
    }
    Note("stored " + std::to_string(submission.ids.size()) + " of " + std::to_string(numbers.size()) +
         " from " + std::to_string(numbers.front()) + " on");
    const Line& first = jobs_.at(numbers.front()).line;
    if (submission.ids.size() == numbers.size() || !first.is_good) continue;
    const std::uint64_t kept = scene_.clerk_limits.outbox.max_jobs / 10;
    Demand(GoodHold() + numbers.size() > kept,
           Name(first) + " was refused although the good ones hold " + std::to_string(GoodHold()) + " of " +
               std::to_string(kept) + " jobs that are kept for them: " + submission.refused->message);
  }
  submitted_.clear();
}

void HostileWorld::Dispatch() {
  test::ThreadlessDaemon::Round round = daemon_.Dispatch(kAll, now_);
  Demand(round.pumped.has_value(),
         round.pumped ? "" : "the outbox cannot be read: " + round.pumped.error().message);
  for (Transfer& transfer : round.transfers) {
    OnSent(transfer);
    Flight flight;
    flight.answer = AnswerByContent(transfer);
    flight.sent = now_;
    flight.transfer = std::move(transfer);
    flights_.push_back(std::move(flight));
  }
  NoteGates();
  CheckMemory();
}

void HostileWorld::NoteGates() {
  for (const ConnectionStatus& status : daemon_.dispatcher().Status()) {
    std::string state(GateStateName(status.gate.state));
    if (status.gate.state == GateState::kPaused) state += " " + std::string(NameOf(status.gate.pause));
    const Window& window = daemon_.dispatcher().Find(status.name)->held().window();
    state += ": ";
    if (std::exchange(gates_[status.name], state) == state) continue;
    Note(status.name + " is " + state + std::to_string(window.jobs()) + " jobs in memory, " +
         std::to_string(window.bytes()) + " bytes, " + std::to_string(status.deferred) + " deferred, " +
         std::to_string(status.suspects) + " suspects");
  }
}

void HostileWorld::OnSent(const Transfer& transfer) {
  ++result_.summary.requests;
  std::string what = transfer.kind == TransferKind::kProbe ? "probe on " : "request on ";
  what += transfer.connection;
  std::set<Sequence> before;
  for (const auto& job : transfer.Jobs()) {
    what += " " + job->job.ref;
    const auto known = jobs_.find(ReadRef(job->job.ref).number);
    Demand(known != jobs_.end(), "a job was sent that nobody handed over: " + job->job.line);
    CheckOrder(*job, known->second, before);
    before.insert(job->sequence);
  }
  Note(what);
}

void HostileWorld::CheckOrder(const QueuedJob& job, const Job& known, const std::set<Sequence>& before) {
  for (const std::string& customer : known.line.customers) {
    Lane& lane = lanes_[known.line.connection + " " + customer];
    for (auto earlier = lane.begin(); earlier != lane.end() && *earlier < job.sequence;) {
      if (before.contains(*earlier)) {
        ++earlier;
        continue;
      }
      Demand(!IsInOutbox(*earlier), Name(known.line) + " left before an earlier one of its lane, sequence " +
                                        std::to_string(ToNumber(*earlier)));
      earlier = lane.erase(earlier);
    }
  }
}

bool HostileWorld::IsInOutbox(Sequence sequence) {
  look_->BindAll(static_cast<std::int64_t>(ToNumber(sequence)));
  const auto row = look_->Step();
  Demand(row.has_value(), "the outbox cannot be read");
  look_->Reset();
  return *row;
}

void HostileWorld::CheckMemory() {
  std::size_t bytes = 0;
  for (const std::string& name : scene_.connections) {
    for (const auto& [sequence, entry] : daemon_.dispatcher().Find(name)->held().window().entries()) {
      if (entry.job) bytes += HeldCost(entry.job->job);
    }
  }
  for (const Flight& flight : flights_) {
    for (const auto& job : flight.transfer.Jobs()) bytes += SendCost(job->job);
  }
  result_.most_memory = std::max(result_.most_memory, bytes);
  Demand(bytes <= result_.memory_bound, "jobs cost " + std::to_string(bytes) +
                                            " bytes of memory, and the limits allow " +
                                            std::to_string(result_.memory_bound));
}

void HostileWorld::CheckFates() {
  std::set<Sequence> waiting, dead;
  for (const auto& [table, found] : {std::pair("outbox", &waiting), std::pair("dead_letters", &dead)}) {
    auto rows = tables_->Prepare(std::string("SELECT seq FROM ") + table);
    Demand(rows.has_value(), "the outbox cannot be read");
    for (auto row = rows->Step(); row && *row; row = rows->Step())
      found->insert(Sequence{static_cast<std::uint64_t>(rows->Int(0))});
  }
  for (const auto& [number, job] : jobs_) {
    if (!job.sequence) continue;
    const bool waits = waiting.contains(*job.sequence), is_dead = dead.contains(*job.sequence);
    Demand(waits || is_dead || job.is_delivered, Name(job.line) + " was accepted and is gone");
    Demand(!(waits && is_dead), Name(job.line) + " waits and is dead");
    const bool is_certain = result_.summary.crashes == 0;
    Demand(!is_certain || !job.is_delivered || !(waits || is_dead),
           Name(job.line) + " was delivered and is there");
    Demand(!job.line.is_good || !is_dead, Name(job.line) + " is dead");
  }
}

Timestamp HostileWorld::NextEvent() {
  Timestamp next = daemon_.dispatcher().NextWake(now_);
  if (next_arrival_ < arrivals_.size()) next = std::min(next, begin_ + arrivals_[next_arrival_]->at);
  for (const Flight& flight : flights_) next = std::min(next, flight.ends());
  next = std::max(next, now_ + Milliseconds(1));
  const Milliseconds over = (next - begin_) % kGrain;
  return over.count() == 0 ? next : next + kGrain - over;
}

Summary PlayHostileScene(std::uint64_t seed, std::ostream* out) {
  const Scene scene = MakeScene(seed);
  Trace trace(out);
  for (const std::string& attack : scene.attacks) trace.Note(FromUnixMs(0), "attack: " + attack);
  trace.Note(FromUnixMs(0), "without them");
  const HostileWorld::Result alone = HostileWorld(scene, HostileWorld::Company::kGood, trace).Run();
  trace.Note(FromUnixMs(0), "with them");
  HostileWorld::Result beside = HostileWorld(scene, HostileWorld::Company::kHostile, trace).Run();
  Demand(2 * beside.good_delivered >= alone.good_delivered,
         "of good jobs " + std::to_string(beside.good_delivered) + " were delivered, and " +
             std::to_string(alone.good_delivered) + " without the hostile ones");
  beside.summary.hash = trace.Hash();
  return beside.summary;
}

}  // namespace outboxd::simulation
