#include "daemon/delivery/connection_queue.h"

#include <algorithm>

namespace outboxd {
namespace {

constexpr std::size_t kReadRows = 1000;      // read back at once
constexpr std::size_t kExaminedRows = 5000;  // looked at while doing so
constexpr std::size_t kRetriesLoaded = 256;  // deferred jobs read back in one Pump
constexpr std::size_t kMarksMax =
    4096;  // rows being marked; while the disk takes none, no more are read to be marked
constexpr Milliseconds kLongestSleep{1000};

}  // namespace

ConnectionQueue::ConnectionQueue(std::shared_ptr<const Endpoint> endpoint, const LimitsConfig& limits,
                                 std::uint64_t seed, Timestamp now)
    : endpoint_(std::move(endpoint)),
      limits_(limits),
      random_(seed),
      gate_(endpoint_->config.max_in_flight, endpoint_->config.retry, now),
      limiter_(endpoint_->config.rate_limit, now),
      lanes_(limits.lane_jobs) {}

Result<void> ConnectionQueue::Load(OutboxReader& reader, const GateSnapshot* gate, Sequence tail) {
  tail_ = tail;
  if (gate != nullptr) gate_.Restore(*gate);
  const std::string& name = endpoint_->config.name;
  const Result<void> deferred = reader.ReadDeferred(name, [&](const StoredJob& stored) {
    const Sequence sequence = stored.job->sequence;
    LaneList lanes = LanesFor(stored.job->job);
    std::vector<Sequence> evicted;  // none can be: nothing else is held yet
    lanes_.Hold(sequence, lanes, evicted);
    deferred_.emplace(*stored.job->due, sequence);
    Entry& entry = entries_[ToNumber(sequence)];
    entry.lanes = std::move(lanes);
    entry.state = State::kDeferred;
    entry.parked = stored.parked;
  });
  if (!deferred) return deferred;
  ASSIGN_OR_RETURN(const std::vector<OutboxReader::ParkedLane> parked, reader.ReadParkedLanes());
  for (const OutboxReader::ParkedLane& lane : parked) {
    if (lane.connection != name) continue;
    lanes_.MarkParked(lane.lane, lane.first);
    later_refills_.emplace(lane.first, lane.lane);
  }
  return CountParked(reader);
}

Result<void> ConnectionQueue::CountParked(OutboxReader& reader) {
  ASSIGN_OR_RETURN(const std::uint64_t rows, reader.CountParked(endpoint_->config.name));
  const auto here =
      std::count_if(entries_.begin(), entries_.end(), [](const auto& entry) { return entry.second.parked; });
  parked_out_ = rows - std::min(rows, static_cast<std::uint64_t>(here));
  parked_unsure_ = false;
  return {};
}

void ConnectionQueue::Configure(std::shared_ptr<const Endpoint> endpoint, const LimitsConfig& limits) {
  if (endpoint->credentials != endpoint_->credentials) ProbeNow();
  gate_.Configure(endpoint->config.max_in_flight, endpoint->config.retry);
  limiter_.Configure(endpoint->config.rate_limit);
  lanes_.Configure(limits.lane_jobs);
  limits_ = limits;
  endpoint_ = std::move(endpoint);
}

LaneList ConnectionQueue::LanesFor(const Job& job) const {
  if (endpoint_->config.order == LaneOrder::kNone) return {};
  return LanesOf(job);
}

bool ConnectionQueue::HasRoom() const {
  return window_jobs_ < limits_.window_jobs && window_bytes_ < limits_.window_bytes &&
         deferred_.size() < limits_.deferred_jobs;
}

// Deferred jobs and the heads of parked lanes go in beyond the window's limits: it may be full of jobs that
// wait for them.
bool ConnectionQueue::HasRetryRoom() const {
  return window_jobs_ < limits_.window_jobs + kRetriesLoaded &&
         window_bytes_ < limits_.window_bytes + limits_.window_bytes / 4 + limits_.line_bytes;
}

// Rows that are looked at again wait for the marks under way, or they would be parked twice.
bool ConnectionQueue::MayReadBack() const {
  return cursor_ < tail_ && HasRoom() && parking_rows_ < kMarksMax &&
         (cursor_ >= frontier_ || parking_.empty());
}

ConnectionQueue::Entry* ConnectionQueue::Find(Sequence sequence) {
  const auto found = entries_.find(ToNumber(sequence));
  return found == entries_.end() ? nullptr : &found->second;
}

// --- into the window
// -------------------------------------------------------------------------------------------------------------------

void ConnectionQueue::OnAccepted(std::vector<std::unique_ptr<QueuedJob>> jobs, Sequence last,
                                 Actions& actions) {
  const bool caught_up = cursor_ >= tail_;
  tail_ = std::max(tail_, last);
  if (!caught_up) return;
  Sequence through = last;
  for (std::unique_ptr<QueuedJob>& job : jobs) {
    if (job->sequence <= cursor_) continue;  // read back from disk before the news came
    if (!HasRoom()) {
      through = Sequence{ToNumber(job->sequence) - 1};
      break;
    }
    StoredJob stored;
    stored.job = std::move(job);
    Admit(std::move(stored), actions);
  }
  MoveCursor(std::max(cursor_, through));
}

void ConnectionQueue::MoveCursor(Sequence through) {
  cursor_ = through;
  frontier_ = std::max(frontier_, through);
  while (!later_refills_.empty() && later_refills_.begin()->first <= frontier_) {
    refills_.push_back(later_refills_.begin()->second);
    later_refills_.erase(later_refills_.begin());
  }
}

// Waiting, in the window.
void ConnectionQueue::Fill(Entry& entry, std::unique_ptr<QueuedJob> job) {
  entry.bytes = static_cast<std::uint32_t>(job->job.line.size());
  entry.job = std::move(job);
  entry.state = State::kWaiting;
  window_bytes_ += entry.bytes;
  ++window_jobs_;
  ++waiting_;
}

void ConnectionQueue::Admit(StoredJob stored, Actions& actions) {
  const Sequence sequence = stored.job->sequence;
  const auto [place, is_new] = entries_.try_emplace(ToNumber(sequence));
  Entry& entry = place->second;
  if (!is_new) {
    entry.parked = false;  // or its row would not have been looked at
    if (std::exchange(entry.removed, false))
      entry.redriven = stored.job->redriven;  // while its last attempt is still out
    return;
  }
  if (!stored.unreadable.empty()) return BuryUnreadable(std::move(stored), actions);
  entry.lanes = LanesFor(stored.job->job);
  const Admission admission = lanes_.Admit(sequence, entry.lanes);
  if (admission == Admission::kPark) {
    ParkLater(sequence, entry.lanes.front(), actions.report);
    entries_.erase(place);
    return;
  }
  Fill(entry, std::move(stored.job));
  if (admission == Admission::kReady) MakeReady(entry);
}

void ConnectionQueue::ParkLater(Sequence sequence, LaneKey lane, Report& report) {
  report.parks.push_back({sequence, lane});
  ++parked_out_;
  const auto [place, is_new] = parking_.try_emplace(std::pair(lane, report.ticket), Parking{sequence, 0});
  Parking& parking = place->second;
  parking.first = std::min(parking.first, sequence);
  ++parking.rows;
  ++parking_rows_;
}

// A damaged row must not stop the others, nor vanish: it becomes a dead letter that says so.
void ConnectionQueue::BuryUnreadable(StoredJob stored, Actions& actions) {
  Entry& entry = entries_[ToNumber(stored.job->sequence)];
  entry.state = State::kSettling;
  entry.bytes = 0;
  ++window_jobs_;
  Outcome& outcome = actions.report.outcomes.emplace_back();
  outcome.job = std::move(stored.job);
  outcome.kind = OutcomeKind::kDead;
  outcome.reason = outcome.cause = std::move(stored.unreadable);
}

void ConnectionQueue::MakeReady(Sequence sequence) {
  Entry* entry = Find(sequence);
  if (entry != nullptr && entry->state == State::kWaiting) MakeReady(*entry);
}

void ConnectionQueue::MakeReady(Entry& entry) {
  entry.state = State::kReady;
  --waiting_;
  std::deque<Sequence>& queue = entry.job->batch_max > 0 ? suspects_
                                : entry.job->charged > 0 ? retries_
                                                         : fresh_;
  queue.push_back(entry.job->sequence);
}

Result<void> ConnectionQueue::ReadBack(OutboxReader& reader, Actions& actions) {
  if (!MayReadBack()) return {};
  const std::size_t count = std::min<std::size_t>(kReadRows, limits_.window_jobs - window_jobs_);
  ASSIGN_OR_RETURN(OutboxReader::Page page,
                   reader.ReadAfter(endpoint_->config.name, cursor_, count,
                                    limits_.window_bytes - window_bytes_, kExaminedRows));
  for (StoredJob& stored : page.jobs) Admit(std::move(stored), actions);
  MoveCursor(page.at_end ? std::max(tail_, page.through) : page.through);
  return {};
}

Result<void> ConnectionQueue::Refill(OutboxReader& reader, LaneKey lane, Actions& actions) {
  const std::optional<Sequence> from = lanes_.RefillFrom(lane);
  if (!from) return {};
  const std::size_t count =
      HasRoom() ? limits_.lane_jobs : 1;  // one at least: the lane's last job has just made room for it
  const std::size_t bytes_max = HasRoom() ? limits_.window_bytes - window_bytes_ : 0;
  ASSIGN_OR_RETURN(OutboxReader::Parked parked, reader.ReadParked(lane, *from, count, bytes_max));

  // Not past rows that are still being marked, nor past the frontier, where rows of this lane may stand that
  // are not parked.
  std::optional<Sequence> next = ParkingFrom(lane);
  if (parked.next) next = next ? std::min(*next, *parked.next) : *parked.next;
  std::vector<StoredJob>& rows = parked.jobs;
  const auto goes = [&](const StoredJob& stored) {
    return stored.job->sequence <= frontier_ && (!next || stored.job->sequence < *next);
  };
  const auto end = std::find_if_not(rows.begin(), rows.end(), goes);
  if (end != rows.end()) next = next ? std::min(*next, end->job->sequence) : end->job->sequence;
  rows.erase(end, rows.end());
  if (next && *next > frontier_) later_refills_.emplace(*next, lane);
  std::vector<Sequence> loaded;
  for (StoredJob& stored : rows) {
    if (Find(stored.job->sequence) != nullptr) continue;
    parked_out_ -= std::min<std::uint64_t>(parked_out_, 1);
    if (!stored.unreadable.empty()) {
      BuryUnreadable(std::move(stored), actions);
      continue;
    }
    loaded.push_back(stored.job->sequence);
    Entry& entry = entries_[ToNumber(stored.job->sequence)];
    entry.lanes = LanesFor(stored.job->job);
    if (entry.lanes.empty()) entry.lanes = LaneList(lane);  // parked when the connection still kept order
    entry.parked = true;
    Fill(entry, std::move(stored.job));
  }
  LanesOpened opened;
  lanes_.Refilled(lane, loaded, next, opened);
  Open(opened);
  return {};
}

// No wait is longer than the caps allow: if it looks so, the clock was set back or the caps were lowered, and
// it is over.
Timestamp ConnectionQueue::DueAt(const std::pair<Timestamp, Sequence>& deferred, Timestamp now) const {
  const RetryPolicy& retry = endpoint_->config.retry;
  return deferred.first > now + std::max(retry.cap, retry.retry_after_cap) ? now : deferred.first;
}

ConnectionQueue::Deferred::const_iterator ConnectionQueue::NextDeferred(Timestamp now) const {
  if (deferred_.empty()) return deferred_.end();
  const auto last = std::prev(deferred_.end());
  return DueAt(*last, now) <= now ? last : deferred_.begin();
}

Result<void> ConnectionQueue::WakeDeferred(OutboxReader& reader, Timestamp now, Actions& actions) {
  for (std::size_t count = 0; count < kRetriesLoaded; ++count) {
    const auto next = NextDeferred(now);
    if (next == deferred_.end() || DueAt(*next, now) > now || !HasRetryRoom()) return {};
    const Sequence sequence = next->second;
    ASSIGN_OR_RETURN(std::optional<StoredJob> stored, reader.ReadOne(sequence));
    deferred_.erase(next);
    Entry* entry = Find(sequence);
    if (!stored) {
      Release(sequence);
      continue;
    }
    if (!(stored)->unreadable.empty()) {
      BuryUnreadable(std::move(*stored), actions);
      continue;
    }
    if (const std::optional<Timestamp> due = std::exchange((stored)->job->due, std::nullopt);
        due && DueAt({*due, sequence}, now) > now) {
      deferred_.emplace(*due, sequence);
      continue;
    }
    Fill(*entry, std::move((stored)->job));
    if (lanes_.IsReady(sequence, entry->lanes)) MakeReady(*entry);
  }
  return {};
}

// --- out of the window
// -----------------------------------------------------------------------------------------------------------------

void ConnectionQueue::Open(const LanesOpened& opened) {
  for (const Sequence sequence : opened.ready) MakeReady(sequence);
  refills_.insert(refills_.end(), opened.refill.begin(), opened.refill.end());
}

void ConnectionQueue::Release(Sequence sequence) {
  const auto found = entries_.find(ToNumber(sequence));
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  if (entry.state == State::kWaiting) --waiting_;
  if (entry.state != State::kDeferred) {
    window_bytes_ -= entry.bytes;
    --window_jobs_;
  }
  const LaneList lanes = std::move(entry.lanes);
  entries_.erase(found);
  LanesOpened opened;
  lanes_.Release(sequence, lanes, opened);
  Open(opened);
}

void ConnectionQueue::Remove(Sequence sequence) {
  Entry* entry = Find(sequence);
  parked_unsure_ = parked_unsure_ || entry == nullptr;
  if (entry == nullptr) return;
  // What is out comes back by itself: its outcome then only adds the attempt.
  entry->removed = entry->state == State::kInFlight || entry->state == State::kSettling;
  if (entry->removed) return;
  if (entry->state == State::kDeferred)
    std::erase_if(deferred_, [&](const auto& due) { return due.second == sequence; });
  Release(sequence);
}

void ConnectionQueue::OnCommitted(Outcome outcome) {
  const Sequence sequence = outcome.job->sequence;
  Entry* entry = Find(sequence);
  if (entry == nullptr) {  // it rode behind one that was deferred, and is parked unless it ended
    const bool ended = outcome.kind == OutcomeKind::kDead || outcome.kind == OutcomeKind::kDelivered;
    if (ended) parked_out_ -= std::min<std::uint64_t>(parked_out_, 1);
    return;
  }
  if (entry->removed && outcome.kind != OutcomeKind::kDeferred) return Release(sequence);
  switch (outcome.kind) {
    case OutcomeKind::kDelivered:
    case OutcomeKind::kDead:
      Release(sequence);
      return;
    case OutcomeKind::kDeferred:
      entry->state = State::kDeferred;
      window_bytes_ -= std::exchange(entry->bytes, 0);
      --window_jobs_;
      // Of a removed one the row tells at once whether it is gone, or was redriven meanwhile and has the time
      // of this attempt.
      deferred_.emplace(std::exchange(entry->removed, false) ? Timestamp{} : *outcome.job->due, sequence);
      return;
    case OutcomeKind::kReturned:
      lanes_.Stop(sequence, entry->lanes);
      entry->job = std::move(outcome.job);
      entry->state = State::kWaiting;
      ++waiting_;
      if (lanes_.IsReady(sequence, entry->lanes)) MakeReady(*entry);
      return;
  }
}

void ConnectionQueue::OnTicket(std::uint64_t ticket) {
  std::erase_if(parking_, [&](const auto& parking) {
    const auto& [lane, written_with] = parking.first;
    if (written_with > ticket) return false;
    parking_rows_ -= parking.second.rows;
    refills_.push_back(lane);
    return true;
  });
}

std::optional<Sequence> ConnectionQueue::ParkingFrom(LaneKey lane) const {
  std::optional<Sequence> from;
  for (auto place = parking_.lower_bound({lane, 0}); place != parking_.end() && place->first.first == lane;
       ++place) {
    from = from ? std::min(*from, place->second.first) : place->second.first;
  }
  return from;
}

// --- looking at it
// ---------------------------------------------------------------------------------------------------------------------

Timestamp ConnectionQueue::NextWake(Timestamp now) const {
  if (!refills_.empty() && HasRetryRoom()) return now;
  if (MayReadBack()) return now;
  Timestamp wake = now + kLongestSleep;
  const bool wakes_deferred = !deferred_.empty() && HasRetryRoom();
  if (wakes_deferred) wake = std::min(wake, std::max(now, DueAt(*NextDeferred(now), now)));
  const GateSnapshot& gate = gate_.Snapshot();
  if (EndsByProbe(gate.pause) && !probing_) wake = std::min(wake, std::max(now, probe_at_));
  if (!HasReady() || requests_out_ >= endpoint_->config.max_in_flight || gate.state == GateState::kPaused)
    return wake;
  const Timestamp may_send = std::max(gate_.ReopenAt().value_or(now), now + limiter_.Wait(now));
  if (may_send > now) return std::min(wake, may_send);
  const bool lingers =
      !gathered_.jobs.empty() && gate.state == GateState::kOpen && requests_out_ < gate_.Limit();
  if (lingers) wake = std::min(wake, std::max(now, gathered_.since + endpoint_->config.batch.linger));
  return wake;
}

std::optional<JobPlace> ConnectionQueue::Place(Sequence sequence) const {
  const auto found = entries_.find(ToNumber(sequence));
  if (found == entries_.end()) return std::nullopt;
  const Entry& entry = found->second;
  switch (entry.state) {
    case State::kReady:
      return JobPlace{JobState::kReady, std::nullopt};
    case State::kInFlight:
    case State::kSettling:
      return JobPlace{JobState::kInFlight, std::nullopt};
    case State::kDeferred:
      return JobPlace{JobState::kDeferred, lanes_.Blocker(sequence, entry.lanes)};
    case State::kWaiting:
      return JobPlace{JobState::kBlocked, lanes_.Blocker(sequence, entry.lanes)};
  }
  return std::nullopt;
}

void ConnectionQueue::AppendInFlight(std::vector<Sequence>& sequences) const {
  for (const auto& [sequence, entry] : entries_) {
    if (entry.state == State::kInFlight || entry.state == State::kSettling)
      sequences.push_back(Sequence{sequence});
  }
}

ConnectionStatus ConnectionQueue::Status() const {
  const ConnectionConfig& config = endpoint_->config;
  ConnectionStatus status;
  status.name = config.name;
  status.base_url = config.BaseUrl(std::nullopt);
  status.region = RegionName(config.region);
  status.gate = gate_.Snapshot();
  status.limit = gate_.Limit();
  status.max_in_flight = config.max_in_flight;
  status.rate_limit = config.rate_limit;
  status.requests = requests_out_;
  status.in_flight = jobs_out_;
  status.deferred = deferred_.size();
  status.blocked = waiting_ + parked_out_;
  for (const auto& [sequence, entry] : entries_) {
    if (!status.oldest_known || Sequence{sequence} < *status.oldest_known)
      status.oldest_known = Sequence{sequence};
  }
  return status;
}

}  // namespace outboxd
