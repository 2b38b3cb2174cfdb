#include "daemon/delivery/connection_queue.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "config/config.h"
#include "config/credentials.h"
#include "core/batch_switch.h"
#include "core/batch_verdict.h"
#include "core/check.h"
#include "core/gate.h"
#include "core/job.h"
#include "core/result.h"
#include "core/ruling.h"
#include "core/time.h"
#include "core/ulid.h"
#include "core/user_shares.h"
#include "core/verdict.h"
#include "daemon/base/status.h"
#include "daemon/clerk/report.h"
#include "daemon/delivery/backlog.h"
#include "daemon/delivery/departures.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/delivery/held_jobs.h"
#include "daemon/delivery/sending_budget.h"
#include "daemon/delivery/settlement.h"
#include "daemon/delivery/transfer.h"
#include "daemon/delivery/troubled_users.h"
#include "daemon/delivery/window.h"
#include "storage/outbox_reader.h"
#include "storage/outcome.h"

namespace outboxd {
namespace {

using State = Window::State;

constexpr Milliseconds kSweepInterval{1000};  // of the search for expired jobs
constexpr Milliseconds kLongestSleep{1000};   // while there are jobs
constexpr Milliseconds kSleepWithoutJobs{5000};

void ReportExpired(Departures::Expired expired, Report& report) {
  for (std::unique_ptr<QueuedJob>& job : expired) report.outcomes.push_back(SettleExpired(std::move(job)));
}

Transfer& NewTransfer(TransferKind kind, const std::shared_ptr<const Endpoint>& endpoint, Actions& actions) {
  CHECK(endpoint->MaySend());
  Transfer& transfer = actions.transfers.emplace_back();
  transfer.kind = kind;
  transfer.connection = endpoint->config.name;
  transfer.endpoint = endpoint;
  return transfer;
}

std::vector<std::unique_ptr<QueuedJob>> TakeJobs(Transfer& transfer) {
  if (!transfer.job) return std::move(transfer.batch);
  std::vector<std::unique_ptr<QueuedJob>> jobs;
  jobs.push_back(std::move(transfer.job));
  return jobs;
}

PauseReason ReasonOf(Fate fate) {
  switch (fate) {
    case Fate::kPausedAuth:
      return PauseReason::kAuth;
    case Fate::kPausedProxy:
      return PauseReason::kProxy;
    case Fate::kPausedRegion:
      return PauseReason::kRegion;
    case Fate::kNotTrackApi:
      return PauseReason::kNotTrackApi;
    case Fate::kDelivered:
    case Fate::kDeferred:
    case Fate::kRejected:
    case Fate::kSplit:
    case Fate::kUnanswered:
      return PauseReason::kNone;
  }
  return PauseReason::kNone;
}

bool HasJobsOnDiskAlone(const HeldJobs& held, const Backlog& backlog) {
  return held.parking().out_of_memory().rows() > 0 || backlog.IsBehind();
}

BatchSwitch::Rules BatchRules(const ConnectionConfig& config) {
  return {config.batch.mode, config.batch.max_items, config.rate_limit};
}

// Uniform in [0, 1).
double Random(std::mt19937_64& random) {
  return std::uniform_real_distribution<double>(0.0, 1.0)(random);
}

}  // namespace

ConnectionQueue::ConnectionQueue(std::shared_ptr<const Endpoint> endpoint, const LimitsConfig& limits,
                                 std::shared_ptr<SendingBudget> budget, std::uint64_t seed, Timestamp now)
    : endpoint_(std::move(endpoint)),
      random_(seed),
      gate_(endpoint_->config.max_in_flight, endpoint_->config.retry, now),
      limiter_(endpoint_->config.rate_limit, now),
      batches_(BatchRules(endpoint_->config)),
      held_(limits.lane_jobs),
      backlog_(held_, endpoint_, limits),
      prober_(endpoint_->config.probe_interval),
      share_(std::move(budget)) {}

Result<void> ConnectionQueue::Load(OutboxReader& reader, const ConnectionStart& start, Sequence tail,
                                   Timestamp now) {
  if (start.gate != nullptr) gate_.Restore(*start.gate);
  deliveries_ = start.deliveries;
  return backlog_.Load(reader, tail, now);
}

void ConnectionQueue::Configure(std::shared_ptr<const Endpoint> endpoint, const LimitsConfig& limits) {
  if (endpoint->credentials != endpoint_->credentials ||
      endpoint->config.base_url != endpoint_->config.base_url) {
    prober_.ForgetWord();
    prober_.Ask();
  }
  const ConnectionConfig& config = endpoint->config;
  gate_.Configure(config.max_in_flight, config.retry);
  limiter_.Configure(config.rate_limit);
  batches_.Configure(BatchRules(config));
  prober_.Configure(config.probe_interval);
  held_.Configure(limits.lane_jobs);
  backlog_.Configure(endpoint, limits);
  endpoint_ = std::move(endpoint);
}

void ConnectionQueue::Pause(PauseReason reason, std::string detail, Timestamp now) {
  gate_.Pause(reason, std::move(detail), now);
}

Result<void> ConnectionQueue::Pump(OutboxReader& reader, Timestamp now, Actions& actions) {
  // What is in memory goes on even when the disk cannot be read.
  Result<void> read = backlog_.Read(reader, now, actions.report);
  SweepExpired(now, actions.report);
  SendProbe(now, actions);
  Send(now, actions);
  LookAtLoad(now);
  ReportGate(actions);
  return read;
}

void ConnectionQueue::ReportGate(Actions& actions) {
  if (gate_.TakeChanged()) actions.report.gates.emplace_back(endpoint_->config.name, gate_.Snapshot());
  if (std::exchange(must_tell_no_batches_, false)) actions.without_batches.push_back(endpoint_->config.name);
}

// --- sending

// One more request may leave now. Ask only with something to send.
bool ConnectionQueue::TryAdmitRequest(Timestamp now) {
  // A resumed gate probes beside what is still out.
  if (requests_out_ >= endpoint_->config.max_in_flight || !questions_.empty()) return false;
  if (!endpoint_->MaySend() || !share_.HasRoom()) return false;
  limiter_.Advance(now);  // also while the gate is closed: a clock that was set back counts from then on
  return gate_.TryAdmit(now, static_cast<std::uint32_t>(PlacesTaken())) && limiter_.HasToken();
}

// Of those that the gate gives. While it is open a suspect takes none: one that hangs would hold up all
// others where there is one.
std::size_t ConnectionQueue::PlacesTaken() const {
  const bool is_apart = gate_.Snapshot().state == GateState::kOpen && suspect_turns_.out() > 0;
  return requests_out_ - (is_apart ? 1 : 0);
}

Departures::Terms ConnectionQueue::TermsNow(Timestamp now) const {
  const bool probing = gate_.Snapshot().state == GateState::kProbing;
  const auto company = probing ? Departures::Company::kRefused : Departures::Company::kSought;
  Departures::Terms terms{endpoint_->config.batch, endpoint_->config.retry, company, now};
  terms.items_max = batches_.ItemsMax();
  terms.suspects = suspect_turns_.Now(probing);
  terms.is_recovering = gate_.IsRecovering();
  terms.limit = gate_.Limit();
  terms.timeout = endpoint_->config.timeout;
  return terms;
}

void ConnectionQueue::Send(Timestamp now, Actions& actions) {
  Departures& departures = held_.departures();
  while (!departures.empty() && TryAdmitRequest(now)) {
    Departures::Expired expired;
    Departures::Terms terms = TermsNow(now);
    terms.may_send_heavy = departures.HasHeavy() && share_.AskForHeavy();
    Departure next = departures.Next(terms, expired);
    ReportExpired(std::move(expired), actions.report);
    if (next.empty()) return;
    Transfer& transfer =
        NewTransfer(next.job ? TransferKind::kJob : TransferKind::kBatch, endpoint_, actions);
    transfer.route = next.route;
    transfer.cost = next.cost;
    transfer.is_heavy = next.is_heavy;
    transfer.is_patient = next.is_patient;
    transfer.is_of_troubled = next.is_of_troubled;
    next.is_heavy ? share_.TakeHeavy() : share_.Take(next.cost);
    transfer.deliveries = deliveries_;
    batches_.OnSent(next.job ? 1 : next.batch.size(), now);
    suspect_turns_.OnSent(next.job && next.job->suspicion != Suspicion::kNone);
    transfer.job = std::move(next.job);
    transfer.batch = std::move(next.batch);
    ++requests_out_;
    gate_.OnSent(now);
    limiter_.TryTake(now);
  }
}

// What is ready now could not leave.
void ConnectionQueue::LookAtLoad(Timestamp now) {
  BatchSwitch::Load load;
  load.waiting = held_.window().In(State::kReady) + backlog_.ShutOut();
  load.is_open = endpoint_->MaySend() && gate_.Snapshot().state == GateState::kOpen;
  load.waits_for_an_answer = load.is_open && load.waiting > 0 && PlacesTaken() >= gate_.Limit();
  batches_.Look(load, now);
}

// While the gate is closed nobody looks at the ready jobs, yet their time may run out.
void ConnectionQueue::SweepExpired(Timestamp now, Report& report) {
  if (swept_at_ && now >= *swept_at_ && now < *swept_at_ + kSweepInterval) return;
  swept_at_ = now;
  Departures::Expired expired;
  held_.departures().Sweep(TermsNow(now), expired);
  ReportExpired(std::move(expired), report);
}

void ConnectionQueue::SendProbe(Timestamp now, Actions& actions) {
  if (!endpoint_->MaySend()) return AnswerQuestions(now, actions.report);  // no probe will
  if (!prober_.TryStart(gate_.Snapshot().pause, now)) return;
  // The operator may have put new credentials where the config points to.
  if (Result<Credentials> credentials = ReadCredentials(endpoint_->config);
      credentials && credentials->awaited.empty() && *credentials != endpoint_->credentials) {
    endpoint_ = std::make_shared<const Endpoint>(Endpoint{endpoint_->config, std::move(*credentials)});
  }
  NewTransfer(TransferKind::kProbe, endpoint_, actions);
}

Haste ConnectionQueue::HasteNow() const {
  const Window& window = held_.window();
  const bool has_ready = !held_.departures().empty();
  const bool has_others = window.In(State::kWaiting) > 0 || HasJobsOnDiskAlone(held_, backlog_);
  if (window.jobs() > 0 && !has_ready && has_others) return Haste::kAtOnce;
  const bool is_calm = gate_.Snapshot().state == GateState::kOpen && questions_.empty();
  return has_ready || has_others || !is_calm ? Haste::kSoon : Haste::kWhenever;
}

Timestamp ConnectionQueue::NextWake(Timestamp now) const {
  const bool has_jobs =
      held_.window().jobs() > 0 || held_.stowed().any() || HasJobsOnDiskAlone(held_, backlog_);
  const Timestamp latest = now + (has_jobs ? kLongestSleep : kSleepWithoutJobs);
  Timestamp wake = std::min(latest, backlog_.NextRead(now).value_or(latest));
  if (!endpoint_->MaySend()) return wake;
  const GateSnapshot& gate = gate_.Snapshot();
  wake = std::min(wake, prober_.NextStart(gate.pause, now).value_or(wake));
  const Departures& departures = held_.departures();
  if (departures.empty() || requests_out_ >= endpoint_->config.max_in_flight || !questions_.empty() ||
      gate.state == GateState::kPaused)
    return wake;
  const Timestamp may_send = std::max(gate_.ReopenAt().value_or(now), now + limiter_.Wait(now));
  if (may_send > now) return std::min(wake, may_send);
  const std::optional<Timestamp> lingers_since = departures.LingersSince();
  if (lingers_since && gate.state == GateState::kOpen && PlacesTaken() < gate_.Limit())
    wake = std::min(wake, std::max(now, *lingers_since + endpoint_->config.batch.linger));
  return wake;
}

// --- coming back

void ConnectionQueue::OnFinished(Finished finished, Timestamp now, Actions& actions) {
  if (finished.transfer.kind == TransferKind::kProbe) {
    OnProbeFinished(finished, now);
    return AnswerQuestions(now, actions.report);
  }
  CHECK(requests_out_ > 0 && !finished.transfer.Jobs().empty());
  if (finished.ending == Ending::kAnswered) batches_.OnAnswered(now);
  const BatchVerdict verdict = JudgeAll(finished, now);
  if (MustAsk(finished, verdict.rest, now)) {
    prober_.Ask();
    questions_.push_back(std::move(finished));
  } else {
    Conclude(finished, verdict, now, actions.report);
  }
}

void ConnectionQueue::OnProbeFinished(const Finished& finished, Timestamp now) {
  if (finished.ending == Ending::kAborted) return prober_.OnAborted();
  const ConnectionConfig& config = endpoint_->config;
  const auto wanted = config.base_url ? std::nullopt : std::optional(config.region);
  const auto route = config.strict_answers ? RegionProber::Route::kThere : RegionProber::Route::kPerhaps;
  const bool ok = prober_.OnFinished(finished.answer, finished.duration, wanted, route, now);
  if (ok && EndsByProbe(gate_.Snapshot().pause)) gate_.Resume(now);
}

// What the probe said, or that it said nothing, decides about those that wait for its word.
void ConnectionQueue::AnswerQuestions(Timestamp now, Report& report) {
  for (Finished& finished : std::exchange(questions_, {}))
    Conclude(finished, JudgeAll(finished, now), now, report);
}

void ConnectionQueue::StopAsking(Timestamp now, Actions& actions) {
  is_asking_ = false;
  AnswerQuestions(now, actions.report);
}

BatchVerdict ConnectionQueue::JudgeAll(const Finished& finished, Timestamp now) const {
  const RetryPolicy& retry = endpoint_->config.retry;
  const Trust trust = endpoint_->config.strict_answers ? Trust::kTrackApi : Trust::kEveryStatus;
  if (finished.transfer.job)
    return {Judge(finished.answer, finished.transfer.job->job, retry, now, trust), {}, false};
  return JudgeBatch(finished.answer, finished.transfer.batch.size(), retry, now, trust);
}

bool ConnectionQueue::MustAsk(const Finished& finished, const Verdict& verdict, Timestamp now) const {
  if (verdict.fate == Fate::kDelivered || finished.ending == Ending::kAborted) return false;
  if (!is_asking_ || !endpoint_->MaySend()) return false;
  const std::span<const std::unique_ptr<QueuedJob>> jobs = finished.transfer.Jobs();
  const QueuedJob& job = *jobs.front();
  return NeedsProbe(verdict, finished.answer, job, jobs.size(), StandingOf(finished, job, now),
                    endpoint_->config.retry, now);
}

Standing ConnectionQueue::StandingOf(const Finished& finished, const QueuedJob& job, Timestamp now) const {
  constexpr std::size_t kFewLanes = 3;
  Standing standing;
  standing.deliveries = deliveries_;
  standing.deliveries_at_sent = finished.transfer.deliveries;
  standing.probe = prober_.Word(now);
  const Window::Entry* entry = held_.window().Find(job.sequence);
  standing.is_lone_head = entry != nullptr && held_.lanes().LaneCount() <= kFewLanes &&
                          !held_.stowed().any() && !backlog_.IsBehind() &&
                          held_.lanes().HasFollowers(job.sequence, entry->lanes);
  return standing;
}

// In the order of the batch, so that of a lane the first is settled first.
void ConnectionQueue::Conclude(Finished& finished, const BatchVerdict& verdict, Timestamp now,
                               Report& report) {
  --requests_out_;
  finished.transfer.is_heavy ? share_.GiveHeavy() : share_.Give(finished.transfer.cost);
  held_.departures().OnReturned(finished.transfer);
  std::vector<std::unique_ptr<QueuedJob>> jobs = TakeJobs(finished.transfer);
  const Request request{finished, jobs.size(), deliveries_};
  const bool is_suspects = jobs.front()->suspicion != Suspicion::kNone;
  Standing standing;
  if (verdict.rest.fate != Fate::kDelivered) {
    standing = StandingOf(finished, *jobs.front(), now);
    if (IsConnectionToBlame(verdict.rest, *jobs.front(), jobs.size(), standing))
      standing.probe = ProbeWord::kUnwell;
  }
  BatchReading reading(verdict, finished.answer);
  const bool is_question = SuspicionOf(verdict.rest.fate) != Suspicion::kNone;
  if (finished.ending == Ending::kAborted || (is_question && standing.probe == ProbeWord::kNone)) {
    if (is_suspects) suspect_turns_.OnReturned();
    for (std::unique_ptr<QueuedJob>& job : jobs) {
      held_.StartSettling(*job);
      report.outcomes.push_back(SettleUnjudged(std::move(job), request, reading.Next()));
    }
    return;
  }
  const Ruling first = RuleOn(verdict.rest, finished, *jobs.front(), jobs.size(), standing, now);
  const bool has_no_batches = verdict.is_route_missing && first.course == Course::kSplit;
  if (has_no_batches) LoseBatches();
  TellGate(request, verdict.rest, first, is_suspects, now);
  if (is_suspects) {
    TellTurns(first.course);
  } else if (!has_no_batches) {
    TellUsers(jobs.front()->uid, finished, verdict.rest);
  }
  for (std::unique_ptr<QueuedJob>& job : jobs) {
    const JobVerdict told = reading.Next();
    const Ruling ruling = RuleOn(told.verdict, finished, *job, jobs.size(), standing, now);
    Settle(std::move(job), request, told, ruling, now, report);
  }
}

Ruling ConnectionQueue::RuleOn(const Verdict& verdict, const Finished& finished, const QueuedJob& job,
                               std::size_t jobs, const Standing& standing, Timestamp now) const {
  return Rule(verdict, finished.answer, job, jobs, standing, endpoint_->config.retry, now);
}

void ConnectionQueue::Settle(std::unique_ptr<QueuedJob> job, const Request& request, const JobVerdict& told,
                             const Ruling& ruling, Timestamp now, Report& report) {
  const Sequence sequence = job->sequence;
  const bool is_held = held_.StartSettling(*job);
  const double random = ruling.course == Course::kDefer ? Random(random_) : 0.0;
  Outcome& outcome = report.outcomes.emplace_back(
      outboxd::Settle(std::move(job), request, told, ruling, endpoint_->config.retry, now, random));
  if (ruling.course == Course::kRepeat) report.haste = Haste::kAtOnce;
  switch (outcome.kind) {
    case OutcomeKind::kDelivered:
      ++deliveries_;
      EndRefusedRow();
      return prober_.OnDelivered();
    case OutcomeKind::kDeferred:
      if (outcome.job->suspicion != Suspicion::kNone)
        newest_suspect_ = outcome.job->stamp.id.ToText() + ": " + outcome.reason;
      if (!is_held) return ReturnInsteadOfDeferring(outcome);
      if (backlog_.IsDeferredFull()) outcome.stow = held_.LanesToStow(sequence);
      return held_.Hold(sequence, report);
    case OutcomeKind::kReturned:
    case OutcomeKind::kDead:
      return;
  }
}

// Ten jobs of different lanes in a row, refused alike although the probe says that all is well.
bool ConnectionQueue::IsConnectionToBlame(const Verdict& verdict, const QueuedJob& job, std::size_t jobs,
                                          const Standing& standing) {
  const Suspicion suspicion = SuspicionOf(verdict.fate);
  if (suspicion == Suspicion::kNone || jobs > 1 || job.suspicion != Suspicion::kNone ||
      standing.probe != ProbeWord::kWell)
    return false;
  const Window::Entry* entry = held_.window().Find(job.sequence);
  if (!refused_row_.Add(suspicion, job.sequence, entry != nullptr ? entry->lanes : LaneList())) return false;
  refused_row_.ForEach([&](Sequence sequence) { held_.Acquit(sequence); });
  return true;
}

// A delivery shows that those of a row that paused the connection were to blame themselves.
void ConnectionQueue::EndRefusedRow() {
  if (refused_row_.IsLong())
    refused_row_.ForEach([&](Sequence sequence) { held_.Accuse(sequence, refused_row_.suspicion()); });
  refused_row_.Clear();
}

void ConnectionQueue::TellUsers(User user, const Finished& finished, const Verdict& verdict) {
  TroubledUsers& users = held_.departures().troubled_users();
  switch (verdict.fate) {
    case Fate::kDelivered:
    case Fate::kRejected:
      return users.OnWell(user);
    case Fate::kSplit:
      return;
    case Fate::kUnanswered:
      if (finished.transfer.route == Route::kPooled) return;  // perhaps the connection's age
      return users.OnFailed(user);
    case Fate::kDeferred:
      if (verdict.always_closes_gate) return;  // says nothing about the job
      return users.OnFailed(user);
    case Fate::kPausedAuth:
    case Fate::kPausedProxy:
    case Fate::kPausedRegion:
    case Fate::kNotTrackApi:
      return users.OnFailed(user);
  }
}

void ConnectionQueue::TellTurns(Course course) {
  switch (course) {
    case Course::kDeliver:
      return suspect_turns_.OnDelivered(gate_.Limit());
    case Course::kDefer:
    case Course::kReject:
      return suspect_turns_.OnFailed();
    case Course::kReturn:
    case Course::kRepeat:
    case Course::kSplit:
      return suspect_turns_.OnReturned();
  }
}

void ConnectionQueue::LoseBatches() {
  must_tell_no_batches_ = must_tell_no_batches_ || batches_.Use() != BatchUse::kNoRoute;
  batches_.OnNoRoute();
}

void ConnectionQueue::TellGate(const Request& request, const Verdict& verdict, const Ruling& ruling,
                               bool is_suspects, Timestamp now) {
  const Finished& finished = request.finished;
  switch (verdict.fate) {
    case Fate::kDelivered:
      if (gate_.OnSuccess(finished.sent, now)) batches_.OnSuccess(request.jobs);
      return;
    case Fate::kRejected:
    case Fate::kSplit:
      return gate_.OnRefusal(finished.sent, now);
    case Fate::kUnanswered:
    case Fate::kDeferred: {
      const bool is_repeated_enough = verdict.fate == Fate::kUnanswered && ruling.course == Course::kDefer;
      const bool is_jobs = is_suspects || !(verdict.closes_gate || is_repeated_enough);
      if (is_jobs && !verdict.always_closes_gate) return gate_.OnNeutral(finished.sent, now);
      return gate_.OnTrouble(finished.sent, now, verdict.retry_after, verdict.reason, Random(random_),
                             verdict.always_closes_gate ? Blame::kConnection : Blame::kPerhapsTheJob);
    }
    case Fate::kPausedAuth:
    case Fate::kPausedProxy:
    case Fate::kPausedRegion:
    case Fate::kNotTrackApi:
      if (ruling.course != Course::kReturn) return gate_.OnNeutral(finished.sent, now);
      return PauseFor(finished, verdict, now);
  }
}

void ConnectionQueue::PauseFor(const Finished& finished, const Verdict& verdict, Timestamp now) {
  const bool was_paused = gate_.Snapshot().state == GateState::kPaused;
  gate_.Pause(ReasonOf(verdict.fate), verdict.reason, now, finished.sent);
  if (!was_paused && gate_.Snapshot().state == GateState::kPaused) prober_.OnPaused(now);
}

// --- looking at it

ConnectionStatus ConnectionQueue::Status() const {
  const ConnectionConfig& config = endpoint_->config;
  const Window& window = held_.window();
  ConnectionStatus status;
  status.name = config.name;
  status.base_url = config.BaseUrl(std::nullopt);
  status.region = RegionName(config.region);
  status.gate = gate_.Snapshot();
  status.limit = gate_.Limit();
  status.max_in_flight = config.max_in_flight;
  status.rate_limit = config.rate_limit;
  status.batch_mode = config.batch.mode;
  status.batch_use = batches_.Use();
  status.batch_items = batches_.ItemsMax();
  status.requests = requests_out_;
  status.in_flight = window.In(State::kInFlight);
  status.deferred = window.In(State::kDeferred) + held_.stowed().rows().rows();
  status.suspects = window.suspects();
  if (status.suspects > 0 && status.gate.detail.empty() && !newest_suspect_.empty())
    status.gate.detail = "suspect " + newest_suspect_;
  status.blocked = window.In(State::kWaiting) + held_.parking().out_of_memory().rows();
  if (held_.stowed().any()) return status;  // the oldest may be one of those
  for (const auto& [sequence, entry] : window.entries()) {
    if (!status.oldest_known || Sequence{sequence} < *status.oldest_known)
      status.oldest_known = Sequence{sequence};
  }
  return status;
}

void ConnectionQueue::CheckInvariants() const {
  held_.CheckInvariants();
  backlog_.CheckInvariants();
  gate_.CheckInvariants();
  const std::size_t jobs_out = held_.window().In(State::kInFlight);
  CHECK(requests_out_ > 0 || share_.bytes() == 0);
  CHECK(requests_out_ <= jobs_out && (requests_out_ > 0 || jobs_out == 0));
}

}  // namespace outboxd
