#include "tests/outage/few_jobs.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "tests/daemon/threadless_daemon.h"
#include "tests/simulation/violation.h"
#include "tests/support/temp_dir.h"

namespace outboxd::outage {
namespace {

using simulation::Demand;

constexpr std::size_t kAll = ~std::size_t{0};
constexpr Milliseconds kAnswerTime{50};
constexpr std::chrono::hours kDrainMax{2};

Kind Without(const char* name, const char* error, Milliseconds after, Fault fault = Fault::kNetwork) {
  Kind kind;
  kind.name = name;
  kind.answer.error = error;
  kind.answer.fault = fault;
  kind.after = after;
  return kind;
}

Kind With(const char* name, int status, bool probe_is_well) {
  Kind kind;
  kind.name = name;
  kind.answer.status = status;
  kind.after = kAnswerTime;
  kind.probe_is_well = probe_is_well;
  return kind;
}

class Play {
 public:
  Play(Kind kind, std::uint64_t jobs, std::chrono::hours length)
      : kind_(std::move(kind)), jobs_(jobs), back_(now_ + length) {
    ConnectionConfig config;
    config.name = "default";
    config.site_id.value = "site";
    config.api_key.value = "key";
    config.retry.max_age = length + std::chrono::hours(24);
    setup_.file = folder_ / "outbox.db";
    setup_.check_every = 1'000;
    setup_.disk_free = [] { return std::uint64_t{1} << 40; };
    const Credentials credentials{config.site_id.value, config.api_key.value};
    setup_.endpoints[config.name] = std::make_shared<const Endpoint>(Endpoint{config, credentials});
  }

  FewFigures Run() {
    Start();
    Accept();
    while (now_ < back_) Step();
    Demand(Counts().dead == 0, "the outage killed " + std::to_string(Counts().dead) + " jobs");
    while (Counts().jobs > 0) {
      Demand(now_ < back_ + kDrainMax, std::to_string(Counts().jobs) + " jobs never leave");
      Step();
    }
    Demand(Counts().dead == 0, "jobs died after the outage");
    Demand(delivered_ == jobs_,
           std::to_string(delivered_) + " of " + std::to_string(jobs_) + " jobs were delivered");
    return figures_;
  }

 private:
  struct Flight {
    Transfer transfer;
    Answer answer;
    Timestamp sent{};
  };

  outboxd::Counts Counts() { return daemon_.clerk().outbox().Total(); }

  void Start() {
    flights_.clear();
    ++setup_.seed;
    const Result<void> started = daemon_.Start(setup_, now_);
    Demand(started.has_value(), started ? "" : "cannot start: " + started.error().message);
    Dispatch();
  }

  void Accept() {
    std::vector<std::string> lines;
    for (std::uint64_t job = 1; job <= jobs_; ++job)
      lines.push_back(R"({"type":"track","id":")" + std::to_string(job) + R"(","name":"purchase"})");
    const Result<void> submitted = daemon_.Submit(lines);
    Demand(submitted.has_value(), submitted ? "" : submitted.error().message);
    Settle();
  }

  // To the next time at which anything happens.
  void Step() {
    // While the gate is closed the dispatcher would only look for expired jobs each second.
    const std::optional<Timestamp> reopens = daemon_.dispatcher().Find("default")->gate().reopen_at;
    Timestamp next = reopens && *reopens > now_ ? *reopens : daemon_.dispatcher().NextWake(now_);
    if (!flights_.empty()) next = std::min(next, flights_.begin()->first);
    now_ = std::max(next, now_ + Milliseconds(1));
    bool was_tried = false;
    while (!flights_.empty() && flights_.begin()->first <= now_) {
      was_tried = flights_.begin()->second.transfer.kind != TransferKind::kProbe || was_tried;
      Finish(std::move(flights_.extract(flights_.begin()).mapped()));
    }
    Dispatch();
    if (daemon_.clerk().MustRetry() || daemon_.HasMessages()) Settle();
    const bool is_all_back = std::none_of(flights_.begin(), flights_.end(), [](const auto& flight) {
      return flight.second.transfer.kind != TransferKind::kProbe;
    });
    if (!was_tried || !is_all_back || now_ >= back_) return;
    ++figures_.restarts;
    Start();
  }

  void Settle() {
    while (daemon_.clerk().HasTasks() || daemon_.clerk().MustRetry() || daemon_.HasMessages() ||
           !is_accepted_) {
      is_accepted_ = true;
      const Clerk::Done done = daemon_.WorkClerk(now_);
      Demand(!done.fatal, done.fatal ? "the clerk gave up: " + done.fatal->message : "");
      Dispatch();
    }
  }

  void Dispatch() {
    test::ThreadlessDaemon::Round round = daemon_.Dispatch(kAll, now_);
    Demand(round.pumped.has_value(), round.pumped ? "" : round.pumped.error().message);
    for (Transfer& transfer : round.transfers) Send(std::move(transfer));
  }

  void Send(Transfer transfer) {
    const bool is_probe = transfer.kind == TransferKind::kProbe;
    ++(is_probe ? figures_.probes : figures_.attempts);
    Flight flight{std::move(transfer), kind_.answer, now_};
    const bool is_well = now_ >= back_ || (is_probe && kind_.probe_is_well);
    if (is_well) {
      flight.answer = {};
      flight.answer.status = 200;
      flight.answer.body = is_probe ? R"({"region":"us","environment_id":1})" : "{}";
    }
    flights_.emplace(now_ + (is_well ? kAnswerTime : kind_.after), std::move(flight));
  }

  void Finish(Flight flight) {
    const std::size_t jobs = flight.transfer.Jobs().size();
    if (flight.answer.status == 200 && jobs > 0) {
      if (delivered_ == 0) figures_.noticed = now_ - back_;
      figures_.drained = now_ - back_;
      delivered_ += jobs;
    }
    const Ending ending = EndingOf(flight.answer);
    daemon_.Finish(
        {std::move(flight.transfer), ending, std::move(flight.answer), flight.sent, now_ - flight.sent});
  }

  Kind kind_;
  std::uint64_t jobs_;
  TempDir folder_;
  test::ThreadlessDaemon::Setup setup_;
  test::ThreadlessDaemon daemon_;
  Timestamp now_ = FromUnixMs(1'700'000'000'000);
  Timestamp back_;
  std::multimap<Timestamp, Flight> flights_;  // by their end
  std::uint64_t delivered_ = 0;
  bool is_accepted_ = false;
  FewFigures figures_;
};

}  // namespace

std::vector<Kind> Kinds() {
  using std::chrono::seconds;
  return {Without("connect refused", "connect: Connection refused", Milliseconds(2)),
          Without("TLS trust missing", "TLS: unable to get local issuer certificate", kAnswerTime),
          Without("CONNECT 407", "proxy: CONNECT tunnel failed, response 407", kAnswerTime, Fault::kProxy),
          Without("DNS gone", "resolve: Could not resolve host", seconds(5)),
          With("500 for all", 500, false),
          With("500 for all jobs", 500, true),
          Without("timeouts", "timeout: nothing for 30 s", seconds(30))};
}

FewFigures PlayFewJobs(const Kind& kind, std::uint64_t jobs, std::chrono::hours length) {
  return Play(kind, jobs, length).Run();
}

}  // namespace outboxd::outage
