// What leaves and what comes back: the delivery part of ConnectionQueue.
#include <algorithm>

#include "core/batch.h"
#include "core/batch_verdict.h"
#include "core/limits.h"
#include "daemon/delivery/connection_queue.h"

namespace outboxd {
namespace {

constexpr Milliseconds kSweepInterval{
    1000};  // of the search for expired jobs, and between counts of parked ones
constexpr Milliseconds kGatherPatience{
    50};  // beyond its linger; then a batch no longer waits for those that are ready as well

}  // namespace

Result<void> ConnectionQueue::Pump(OutboxReader& reader, Timestamp now, Actions& actions) {
  const Result<void> read =
      Read(reader, now, actions);  // what is in memory goes on even when the disk cannot be read
  ExpireWaiting(now, actions);
  SendProbe(now, actions);
  Send(now, actions);
  ReportGate(actions);
  return read;
}

void ConnectionQueue::ReportGate(Actions& actions) {
  if (gate_.TakeChanged()) actions.report.gates.emplace_back(endpoint_->config.name, gate_.Snapshot());
}

Result<void> ConnectionQueue::Read(OutboxReader& reader, Timestamp now, Actions& actions) {
  RETURN_IF_ERROR(WakeDeferred(reader, now, actions));
  for (; !refills_.empty() && HasRetryRoom(); refills_.pop_front()) {
    RETURN_IF_ERROR(Refill(reader, refills_.front(), actions));
  }
  RETURN_IF_ERROR(RecountParked(reader, now));
  return ReadBack(reader, actions);
}

Result<void> ConnectionQueue::RecountParked(OutboxReader& reader, Timestamp now) {
  if (lanes_.LaneCount() == 0) parked_out_ = 0;
  // Marks under way are counted but not on disk.
  if (!parked_unsure_ || !parking_.empty() ||
      (now >= parked_counted_ && now < parked_counted_ + kSweepInterval))
    return {};
  parked_counted_ = now;
  return CountParked(reader);
}

// --- sending
// ---------------------------------------------------------------------------------------------------------------------------

// In turn a fresh one and a retry, so that neither starves the other. The one named is taken from its queue.
std::optional<Sequence> ConnectionQueue::NextReady() {
  for (;;) {
    std::deque<Sequence>& queue = (retry_turn_ && !retries_.empty()) || fresh_.empty() ? retries_ : fresh_;
    if (queue.empty()) return std::nullopt;
    const Sequence sequence = queue.front();
    queue.pop_front();
    const Entry* entry = Find(sequence);
    if (entry == nullptr || entry->state != State::kReady) continue;
    retry_turn_ = !retry_turn_;
    return sequence;
  }
}

// One more request may leave now. Ask only with something to send.
bool ConnectionQueue::TryAdmit(Timestamp now) {
  if (requests_out_ >= endpoint_->config.max_in_flight)
    return false;  // a resumed gate probes beside what is still out
  limiter_.Advance(
      now);  // also while the gate is closed: a clock that was set back is the clock from then on
  return gate_.TryAdmit(now, static_cast<std::uint32_t>(requests_out_)) && limiter_.HasToken();
}

void ConnectionQueue::Send(Timestamp now, Actions& actions) {
  while (HasReady() && TryAdmit(now)) {
    const std::size_t out_before = requests_out_;
    if (!suspects_.empty()) {
      SendSuspects(now, actions);
    } else if (IsGatheredDue(now)) {
      SendGathered(now, actions);
    } else if (const std::optional<Sequence> next = NextReady()) {
      Entry& entry = *Find(*next);
      if (Expire(*next, now, actions)) continue;
      if (endpoint_->config.batch.enabled && FitsBatch(entry.job->job)) {
        Gather(*next, entry, now);
      } else {
        SendAlone(entry, actions);
      }
    } else if (!gathered_.jobs.empty()) {
      return;  // they linger
    }
    if (requests_out_ == out_before) continue;
    gate_.OnSent(now);
    limiter_.TryTake(now);
  }
}

Transfer& ConnectionQueue::NewTransfer(TransferKind kind, Actions& actions) const {
  Transfer& transfer = actions.transfers.emplace_back();
  transfer.kind = kind;
  transfer.connection = endpoint_->config.name;
  transfer.endpoint = endpoint_;
  return transfer;
}

void ConnectionQueue::SendAlone(Entry& entry, Actions& actions) {
  lanes_.Start(entry.job->sequence, entry.lanes);
  entry.state = State::kInFlight;
  ++jobs_out_;
  ++requests_out_;
  NewTransfer(TransferKind::kJob, actions).job = std::move(entry.job);
}

bool ConnectionQueue::FitsGathered(const Job& job) const {
  const BatchConfig& batch = endpoint_->config.batch;
  return gathered_.jobs.size() < batch.max_items &&
         gathered_.bytes + BatchItemBytesMax(job) <= batch.max_bytes;
}

void ConnectionQueue::Gather(Sequence sequence, Entry& entry, Timestamp now) {
  if (gathered_.jobs.empty()) {
    gathered_.bytes = kBatchFrameBytes;
    gathered_.since = now;
  } else if (!FitsGathered(entry.job->job)) {
    gathered_.full = true;
    fresh_.push_front(sequence);
    return;
  }
  gathered_.jobs.push_back(sequence);
  gathered_.bytes += BatchItemBytesMax(entry.job->job);
  gathered_.full = gathered_.jobs.size() >= endpoint_->config.batch.max_items;
  const bool leads = endpoint_->config.batch.same_lane && entry.lanes.size() == 1 && !IsFence(entry.job->job);
  if (leads) GatherFollowers(sequence, entry.lanes.front());
}

void ConnectionQueue::GatherFollowers(Sequence sequence, LaneKey lane) {
  for (const Sequence follower : lanes_.Behind(sequence, lane)) {
    Entry* entry = Find(follower);
    if (entry == nullptr || entry->state != State::kWaiting || entry->lanes.size() != 1 ||
        entry->job->batch_max > 0)
      return;
    const Job& job = entry->job->job;
    if (!FitsBatch(job) || IsFence(job) || !FitsGathered(job)) return;
    entry->state = State::kReady;
    --waiting_;
    gathered_.jobs.push_back(follower);
    gathered_.bytes += BatchItemBytesMax(job);
  }
}

// A probing gate waits for no company.
bool ConnectionQueue::IsGatheredDue(Timestamp now) const {
  if (gathered_.jobs.empty()) return false;
  if (gathered_.full || now < gathered_.since || gate_.Snapshot().state == GateState::kProbing) return true;
  const bool others = !fresh_.empty() || !retries_.empty();
  return now - gathered_.since >=
         endpoint_->config.batch.linger + (others ? kGatherPatience : Milliseconds(0));
}

void ConnectionQueue::SendGathered(Timestamp now, Actions& actions) {
  const Gathered gathered = std::exchange(gathered_, {});
  if (gate_.Snapshot().state != GateState::kProbing) return SendTogether(gathered.jobs, now, actions);
  // One job is enough to find out; the others lose their place in the batch, not in the queue.
  std::size_t next = 0;
  for (const std::size_t out_before = requests_out_;
       next < gathered.jobs.size() && requests_out_ == out_before; ++next) {
    SendTogether(std::span(gathered.jobs).subspan(next, 1), now, actions);
  }
  for (std::size_t i = gathered.jobs.size(); i > next; --i) {
    Entry* entry = Find(gathered.jobs[i - 1]);
    if (entry == nullptr || entry->state != State::kReady) continue;
    if (lanes_.IsReady(gathered.jobs[i - 1], entry->lanes)) {
      fresh_.push_front(gathered.jobs[i - 1]);
    } else {
      entry->state = State::kWaiting;
      ++waiting_;
    }
  }
}

// As many at a time as the smallest allowance among them. Of both halves the jobs came back in order.
void ConnectionQueue::SendSuspects(Timestamp now, Actions& actions) {
  std::vector<Sequence> together;
  const bool alone = gate_.Snapshot().state == GateState::kProbing || !endpoint_->config.batch.enabled;
  std::size_t count_max = alone ? 1 : endpoint_->config.batch.max_items;
  while (!suspects_.empty() && together.size() < count_max) {
    const Sequence sequence = suspects_.front();
    const Entry* entry = Find(sequence);
    const bool is_ready = entry != nullptr && entry->state == State::kReady;
    if (is_ready && together.size() >= entry->job->batch_max) break;
    suspects_.pop_front();
    if (!is_ready) continue;
    together.push_back(sequence);
    count_max = std::min<std::size_t>(count_max, entry->job->batch_max);
  }
  SendTogether(together, now, actions);
}

// It has its lane's turn, or follows one of its lane in the same batch.
bool ConnectionQueue::MayJoin(Sequence sequence, const Entry& entry, const std::set<LaneKey>& lanes) const {
  return lanes_.IsReady(sequence, entry.lanes) ||
         (!entry.lanes.empty() && lanes.contains(entry.lanes.front()));
}

void ConnectionQueue::SendTogether(std::span<const Sequence> jobs, Timestamp now, Actions& actions) {
  std::vector<Entry*> joined;
  std::set<LaneKey> lanes;  // of a batch with followers
  joined.reserve(jobs.size());
  for (const Sequence sequence : jobs) {
    Entry* entry = Find(sequence);
    if (entry == nullptr) continue;
    if (entry->state != State::kReady || Expire(sequence, now, actions)) {
      if (!entry->lanes.empty())
        lanes.erase(entry->lanes.front());  // its followers wait until it is written down
      continue;
    }
    if (!MayJoin(sequence, *entry, lanes)) {
      entry->state = State::kWaiting;
      ++waiting_;
      continue;
    }
    if (endpoint_->config.batch.same_lane && !entry->lanes.empty()) lanes.insert(entry->lanes.front());
    entry->state =
        State::kInFlight;  // at once: one that expired, was redriven and gathered again stands there twice
    joined.push_back(entry);
  }
  if (joined.empty()) return;
  if (joined.size() == 1) return SendAlone(*joined.front(), actions);
  Transfer& transfer = NewTransfer(TransferKind::kBatch, actions);
  transfer.batch.reserve(joined.size());
  for (Entry* entry : joined) {
    const Sequence sequence = entry->job->sequence;
    if (lanes_.IsReady(sequence, entry->lanes)) lanes_.Start(sequence, entry->lanes);
    transfer.batch.push_back(std::move(entry->job));
  }
  jobs_out_ += joined.size();
  ++requests_out_;
}

// A ready job too old to be sent becomes a dead letter. False when it is not.
bool ConnectionQueue::Expire(Sequence sequence, Timestamp now, Actions& actions) {
  Entry& entry = *Find(sequence);
  if (!IsExpired(*entry.job, endpoint_->config.retry, now)) return false;
  entry.state = State::kSettling;
  Outcome& outcome = actions.report.outcomes.emplace_back();
  outcome.job = std::move(entry.job);
  outcome.kind = OutcomeKind::kDead;
  outcome.death = Death::kExpired;
  outcome.reason = "waited longer than its max age";
  outcome.cause = outcome.reason;
  return true;
}

// While the gate is closed nobody looks at the ready jobs, yet their time may run out, and those that left
// otherwise would stay named.
void ConnectionQueue::ExpireWaiting(Timestamp now, Actions& actions) {
  if (now >= swept_at_ && now < swept_at_ + kSweepInterval) return;
  swept_at_ = now;
  const auto is_over = [&](Sequence sequence) {
    const Entry* entry = Find(sequence);
    return entry == nullptr || entry->state != State::kReady || Expire(sequence, now, actions);
  };
  for (std::deque<Sequence>* queue : {&fresh_, &retries_, &suspects_}) std::erase_if(*queue, is_over);
  for (const Sequence sequence : gathered_.jobs)
    static_cast<void>(is_over(sequence));  // the places of the others count on theirs
}

// --- coming back
// -----------------------------------------------------------------------------------------------------------------------

void ConnectionQueue::OnFinished(Finished finished, Timestamp now, Actions& actions) {
  switch (finished.transfer.kind) {
    case TransferKind::kProbe:
      return OnProbeFinished(finished, now);
    case TransferKind::kJob:
      return SettleJob(finished, now, actions);
    case TransferKind::kBatch:
      return SettleBatch(finished, now, actions);
  }
}

void ConnectionQueue::SettleJob(Finished& finished, Timestamp now, Actions& actions) {
  --requests_out_;
  const Verdict verdict = Judge(finished.answer, finished.transfer.job->job, endpoint_->config.retry, now);
  UpdateGate(finished, verdict, now);
  Settle(std::move(finished.transfer.job), finished, verdict, finished.answer.body, now, actions);
}

// In the order of the batch, so that of a lane the first is settled first.
void ConnectionQueue::SettleBatch(Finished& finished, Timestamp now, Actions& actions) {
  --requests_out_;
  std::vector<std::unique_ptr<QueuedJob>> jobs = std::move(finished.transfer.batch);
  BatchVerdict verdict = JudgeBatch(finished.answer, jobs.size(), endpoint_->config.retry, now);
  UpdateGate(finished, verdict.rest, now);
  const auto half = static_cast<std::uint32_t>((jobs.size() + 1) / 2);
  auto refused = verdict.refused.begin();
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (refused != verdict.refused.end() && refused->index == i) {
      Verdict rejected;
      rejected.fate = Fate::kRejected;
      rejected.reason = std::move(refused->reason);
      Settle(std::move(jobs[i]), finished, rejected, refused->answer, now, actions);
      ++refused;
      continue;
    }
    if (verdict.rest.fate == Fate::kSplit) jobs[i]->batch_max = half;
    const std::string_view answer =
        finished.answer.status == kMultiStatus ? std::string_view() : finished.answer.body;
    Settle(std::move(jobs[i]), finished, verdict.rest, answer, now, actions);
  }
}

void ConnectionQueue::Settle(std::unique_ptr<QueuedJob> job, const Finished& finished, const Verdict& verdict,
                             std::string_view answer, Timestamp now, Actions& actions) {
  --jobs_out_;
  if (Entry* entry = Find(job->sequence)) {
    entry->state = State::kSettling;
    if (entry->redriven) {
      job->charged = 0;
      job->redriven = std::exchange(entry->redriven, std::nullopt);
    }
  }
  Outcome& outcome = actions.report.outcomes.emplace_back();
  outcome.job = std::move(job);
  outcome.reason = verdict.reason;
  ++outcome.job->attempts;
  Attempt& attempt = outcome.attempt.emplace();
  attempt.sent = finished.sent;
  attempt.duration = finished.duration;
  attempt.status = finished.answer.status;
  attempt.error = finished.answer.error;
  attempt.result = verdict.fate;
  attempt.answer = answer.substr(0, limits::kAnswerKeptBytes);
  outcome.kind = OutcomeKind::kReturned;
  if (finished.ending == Ending::kAborted) return;
  switch (verdict.fate) {
    case Fate::kDelivered:
      outcome.kind = OutcomeKind::kDelivered;
      break;
    case Fate::kDeferred:
      ++outcome.job->charged;
      Defer(outcome, verdict, now, actions);
      break;
    case Fate::kRejected:
      ++outcome.job->charged;
      outcome.kind = OutcomeKind::kDead;
      outcome.death = Death::kRejected;
      break;
    case Fate::kPausedAuth:
    case Fate::kPausedRegion:
    case Fate::kSplit:
      break;
  }
  if (outcome.kind == OutcomeKind::kDead) outcome.cause = NormaliseCause(outcome.reason, attempt.answer);
}

void ConnectionQueue::Defer(Outcome& outcome, const Verdict& verdict, Timestamp now, Actions& actions) {
  const Entry* entry = Find(outcome.job->sequence);
  const RetryPlan plan = PlanRetry(*outcome.job, outcome.job->charged, endpoint_->config.retry,
                                   verdict.retry_after, now, Random());
  if (plan.next != AfterDeferral::kRetry) {
    outcome.kind = OutcomeKind::kDead;
    outcome.death = plan.next == AfterDeferral::kExhausted ? Death::kExhausted : Death::kExpired;
    return;
  }
  if (entry ==
      nullptr) {  // it rode behind one that is deferred now, and was given up with that one's followers
    outcome.kind = OutcomeKind::kReturned;
    return;
  }
  outcome.kind = OutcomeKind::kDeferred;
  outcome.job->due = plan.due;
  std::vector<Sequence> evicted;
  lanes_.Hold(outcome.job->sequence, entry->lanes, evicted);
  for (const Sequence follower : evicted) Evict(follower, actions.report);
}

// Out of memory, to be read back when the lane opens.
void ConnectionQueue::Evict(Sequence sequence, Report& report) {
  const auto found = entries_.find(ToNumber(sequence));
  const Entry& entry = found->second;
  window_bytes_ -= entry.bytes;
  --window_jobs_;
  if (entry.state == State::kWaiting) --waiting_;
  if (entry.parked) {
    ++parked_out_;
  } else {
    ParkLater(sequence, entry.lanes.front(), report);
  }
  entries_.erase(found);
}

void ConnectionQueue::UpdateGate(const Finished& finished, const Verdict& verdict, Timestamp now) {
  if (finished.ending == Ending::kAborted) return;
  switch (verdict.fate) {
    case Fate::kDelivered:
    case Fate::kRejected:  // the API is up and takes our credentials
    case Fate::kSplit:
      return gate_.OnSuccess(finished.sent, now);
    case Fate::kDeferred:
      if (verdict.closes_gate)
        return gate_.OnTrouble(finished.sent, now, verdict.retry_after, verdict.reason, Random());
      return gate_.OnNeutral(finished.sent, now);
    case Fate::kPausedAuth:
      probe_at_ = now + endpoint_->config.probe_interval;
      return gate_.Pause(PauseReason::kAuth, verdict.reason, now, finished.sent);
    case Fate::kPausedRegion:
      probe_at_ = now + endpoint_->config.probe_interval;
      return gate_.Pause(PauseReason::kRegion, verdict.reason, now, finished.sent);
  }
}

// --- credentials and region
// ------------------------------------------------------------------------------------------------------------

void ConnectionQueue::SendProbe(Timestamp now, Actions& actions) {
  const bool heals = EndsByProbe(gate_.Snapshot().pause);
  const bool asked = probe_at_ == Timestamp::min();
  if (probing_ || !(asked || (heals && now >= probe_at_))) return;
  probing_ = true;
  probe_at_ = now + endpoint_->config.probe_interval;
  // The operator may have put new credentials where the config points to.
  if (Result<Credentials> credentials = ReadCredentials(endpoint_->config);
      credentials && *credentials != endpoint_->credentials) {
    endpoint_ = std::make_shared<const Endpoint>(Endpoint{endpoint_->config, std::move(*credentials)});
  }
  NewTransfer(TransferKind::kProbe, actions);
}

void ConnectionQueue::OnProbeFinished(const Finished& finished, Timestamp now) {
  probing_ = false;
  const bool asked_again = probe_at_ == Timestamp::min();
  if (!asked_again) probe_at_ = now + endpoint_->config.probe_interval;
  const bool own_host = endpoint_->config.base_url.has_value();
  const ProbeVerdict verdict =
      JudgeProbe(finished.answer, own_host ? std::nullopt : std::optional(endpoint_->config.region));
  ProbeReport& report = probe_report_.emplace();
  report.ok = verdict.ok;
  report.status = finished.answer.status;
  report.region = verdict.region;
  report.environment_id = verdict.environment_id;
  report.duration = finished.duration;
  report.message = verdict.message;
  if (verdict.ok && EndsByProbe(gate_.Snapshot().pause)) gate_.Resume(now);
}

void ConnectionQueue::Pause(PauseReason reason, std::string detail, Timestamp now) {
  gate_.Pause(reason, std::move(detail), now);
}

void ConnectionQueue::Resume(Timestamp now) {
  gate_.Resume(now);
}

}  // namespace outboxd
