#include "tests/outage/outage.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>

#include "tests/simulation/violation.h"
#include "tests/support/sanitized.h"

namespace outboxd::outage {
namespace {

using simulation::Demand;

constexpr std::size_t kAll = ~std::size_t{0};
constexpr std::uint32_t kCustomers = 50'000;
constexpr std::uint64_t kGroups = 5'000;  // in which the backlog is accepted, at the most
constexpr std::uint64_t kGroupMin = 100;
constexpr std::uint64_t kGroupsAReport = 250;
constexpr std::uint64_t kFreshGroup = 5;  // every tenth of a second, a fraction of the rate limit
constexpr Milliseconds kFreshInterval{100};
constexpr Milliseconds kReportPatience{10};  // outcomes gather that long in the clerk
constexpr std::uint64_t kGrowthMax = 8 << 20;

std::uint64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total_pages = 0, resident_pages = 0;
  Demand(static_cast<bool>(statm >> total_pages >> resident_pages), "/proc/self/statm cannot be read");
  return resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

// What an operator would set who wants days of outage to cost nothing but time; the rest are the defaults.
ConnectionConfig MakeConfig(const Options& options) {
  ConnectionConfig config;
  config.name = "default";
  config.site_id.value = "site";
  config.api_key.value = "key";
  config.rate_limit = static_cast<double>(options.rate_limit);
  config.batch.mode = options.batch;
  config.retry.max_age = std::chrono::hours(options.max_age_hours);
  return config;
}

}  // namespace

Outage::Outage(const Options& options, Progress progress)
    : options_(options),
      progress_(std::move(progress)),
      config_(MakeConfig(options)),
      crowd_(kCustomers, options.jobs),
      ledger_(crowd_, config_, setup_.limits, options.jobs) {
  setup_.file = folder_ / "outbox.db";
  setup_.check_every = 1'000;
  setup_.disk_free = [] { return std::uint64_t{1} << 40; };
  setup_.endpoints[config_.name] = std::make_shared<const Endpoint>(
      Endpoint{config_, Credentials{config_.site_id.value, config_.api_key.value}});
}

void Outage::Run() {
  Start();
  GoDown();
  Drain();
  auto tables = Database::Open(setup_.file, OpenMode::kReadOnly);
  Demand(tables.has_value(), "the outbox cannot be opened for reading");
  ledger_.CheckEnd(*tables, first_);
  if (options_.batch == BatchMode::kAuto) CheckPace();
}

// Batches when they help.
void Outage::CheckPace() const {
  const Figures& figures = ledger_.figures();
  const std::chrono::duration<double> single(static_cast<double>(figures.bulk) / config_.rate_limit);
  Demand(figures.bulk_drained * 4 <= single, "the backlog drains little faster than by single requests");
}

void Outage::Start() {
  const Result<void> started = daemon_.Start(setup_, now_);
  Demand(started.has_value(), started ? "" : "cannot start: " + started.error().message);
  first_ = ToNumber(daemon_.clerk().outbox().LastSequence()) + 1;
  memory_.before = ResidentBytes();
}

void Outage::GoDown() {
  const Timestamp begin = now_;
  const Milliseconds length = std::chrono::days(options_.days);
  const std::uint64_t groups = std::min(kGroups, options_.jobs / kGroupMin);
  back_ = begin + length;
  ledger_.OnApiDown(begin, back_);
  for (std::uint64_t group = 1; group <= groups; ++group) {
    Accept(options_.jobs * group / groups - options_.jobs * (group - 1) / groups);
    const Timestamp next =
        begin + length * static_cast<std::int64_t>(group) / static_cast<std::int64_t>(groups);
    while (now_ < next) Step(next);
    memory_.at_end_of_outage = ResidentBytes();
    memory_.peak_of_outage = std::max(memory_.peak_of_outage, memory_.at_end_of_outage);
    if (group == groups / 10) memory_.at_tenth = memory_.peak_of_outage;
    if (group > groups / 10) CheckGrowth(memory_.at_end_of_outage);
    if (group % kGroupsAReport == 0)
      Report("down for " + std::to_string((now_ - begin) / std::chrono::hours(1)) + " h");
  }
}

// Jobs keep coming until those of the outage are settled.
void Outage::Drain() {
  Timestamp accept_at = now_;
  Timestamp look_at = now_;
  const auto unhurried = std::chrono::seconds(2 * options_.jobs / options_.rate_limit);
  const Timestamp longest = now_ + unhurried + 3 * config_.retry.cap;
  for (std::uint64_t waiting = Waiting(), fresh = 0; waiting > 0; waiting = Waiting()) {
    if (now_ >= accept_at && waiting > fresh) {
      Accept(kFreshGroup);
      fresh += kFreshGroup;
      accept_at = now_ + kFreshInterval;
    }
    Step(waiting > fresh ? accept_at : Timestamp::max());
    if (now_ < look_at) continue;
    look_at = now_ + std::chrono::seconds(30);
    Demand(now_ < longest, std::to_string(waiting) + " jobs never leave");
    memory_.peak_of_drain = std::max(memory_.peak_of_drain, ResidentBytes());
    CheckGrowth(memory_.peak_of_drain);
    Report("back for " + std::to_string((now_ - back_) / std::chrono::seconds(1)) + " s");
  }
}

void Outage::Accept(std::uint64_t count) {
  std::vector<std::string> lines;
  for (std::uint64_t next = ledger_.figures().accepted + 1; lines.size() < count; ++next)
    lines.push_back(crowd_.LineOf(next));
  const Result<void> submitted = daemon_.Submit(lines);
  Demand(submitted.has_value(), submitted ? "" : submitted.error().message);
  WorkClerk();
  ledger_.OnAccepted(count, Waiting(), now_);
  Demand(ToNumber(daemon_.clerk().outbox().LastSequence()) == first_ + ledger_.figures().accepted - 1,
         "jobs were refused, or numbers skipped");
  Dispatch();
}

// To the next time at which anything happens, not beyond `latest`.
void Outage::Step(Timestamp latest) {
  now_ = NextEvent(latest);
  while (!flights_.empty() && flights_.begin()->first <= now_) {
    Flight flight = std::move(flights_.begin()->second);
    flights_.erase(flights_.begin());
    Finish(std::move(flight));
  }
  Dispatch();
  if (daemon_.clerk().MustRetry() && now_ >= committed_ + kReportPatience) {
    WorkClerk();
    Dispatch();
  }
}

Timestamp Outage::NextEvent(Timestamp latest) {
  // While the gate is closed the dispatcher would only look for expired jobs each second.
  const std::optional<Timestamp> reopens = daemon_.dispatcher().Find(config_.name)->gate().reopen_at;
  Timestamp next = std::min(latest, reopens.value_or(daemon_.dispatcher().NextWake(now_)));
  if (!flights_.empty()) next = std::min(next, flights_.begin()->first);
  if (daemon_.clerk().MustRetry()) next = std::min(next, committed_ + kReportPatience);
  return std::max(next, now_ + Milliseconds(1));
}

void Outage::WorkClerk() {
  const Clerk::Done done = daemon_.WorkClerk(now_);
  Demand(!done.fatal, done.fatal ? "the clerk gave up: " + done.fatal->message : "");
  committed_ = now_;
  if (done.submissions.empty()) ledger_.OnSettled(Waiting());
}

void Outage::Dispatch() {
  test::ThreadlessDaemon::Round round = daemon_.Dispatch(kAll, now_);
  Demand(round.pumped.has_value(),
         round.pumped ? "" : "the outbox cannot be read: " + round.pumped.error().message);
  for (Transfer& transfer : round.transfers) Send(std::move(transfer));
}

void Outage::Send(Transfer transfer) {
  const bool is_probe = transfer.kind == TransferKind::kProbe;
  if (!is_probe) ledger_.OnRequest(transfer.Jobs().size(), now_);
  for (const auto& job : transfer.Jobs()) ledger_.OnSent(*job, ToNumber(job->sequence) - first_ + 1, now_);
  Flight flight{std::move(transfer), {}, now_};
  const Milliseconds duration = Answer(flight);
  flights_.emplace(now_ + duration, std::move(flight));
}

// Down means: nobody listens, a balancer answers, or nobody does.
Milliseconds Outage::Answer(Flight& flight) {
  if (now_ >= back_) {
    flight.answer.status = 200;
    const bool is_probe = flight.transfer.kind == TransferKind::kProbe;
    flight.answer.body = is_probe ? R"({"region":"us","environment_id":1})" : "{}";
    return Milliseconds(40 + random_.Below(20));
  }
  switch (random_.Below(3)) {
    case 0:
      flight.answer.status = 503;
      return Milliseconds(50);
    case 1:
      flight.answer.error = "timeout: nothing for 30 s";
      return config_.timeout;
    default:
      flight.answer.error = "connect: Connection refused";
      return Milliseconds(2);
  }
}

void Outage::Finish(Flight flight) {
  const bool is_well = flight.answer.status == 200;
  if (flight.transfer.kind != TransferKind::kProbe)
    ledger_.OnRequestAnswered(flight.transfer.Jobs().size(), is_well);
  for (const auto& job : flight.transfer.Jobs())
    ledger_.OnAnswered(*job, ToNumber(job->sequence) - first_ + 1, is_well, now_);
  const Ending ending = EndingOf(flight.answer);
  daemon_.Finish(
      {std::move(flight.transfer), ending, std::move(flight.answer), flight.sent, now_ - flight.sent});
}

void Outage::CheckGrowth(std::uint64_t resident) const {
  Demand(kSanitized || resident <= memory_.at_tenth + kGrowthMax,
         "memory grew by " + std::to_string((resident - memory_.at_tenth) >> 20) + " MB");
}

std::uint64_t Outage::Waiting() {
  return daemon_.clerk().outbox().Total().jobs;
}

void Outage::Report(const std::string& what) {
  const Figures& figures = ledger_.figures();
  progress_(what + ": " + std::to_string(figures.accepted) + " accepted, " +
            std::to_string(figures.delivered) + " delivered, " + std::to_string(Waiting()) + " wait, " +
            std::to_string(figures.probes) + " probes, " + std::to_string(ResidentBytes() >> 20) +
            " MB resident");
}

}  // namespace outboxd::outage
