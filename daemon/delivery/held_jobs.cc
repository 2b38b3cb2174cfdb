#include "daemon/delivery/held_jobs.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/job.h"
#include "core/lanes.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/base/status.h"
#include "daemon/clerk/report.h"
#include "daemon/delivery/settlement.h"
#include "daemon/delivery/window.h"
#include "storage/outbox_reader.h"
#include "storage/outcome.h"

namespace outboxd {
namespace {

using State = Window::State;

void ForgetSuspicion(QueuedJob& job) {
  job.suspicion = Suspicion::kNone;
  job.refusals = 0;
  job.counted_at.reset();
}

}  // namespace

// --- into memory

void HeldJobs::Admit(StoredJob stored, LaneList lanes, Report& report) {
  const Sequence sequence = stored.job->sequence;
  const auto [entry, is_new] = window_.Add(sequence);
  if (!is_new) {
    entry.parked = false;  // or its row would not have been looked at
    // While its last attempt is still out.
    if (std::exchange(entry.removed, false)) {
      entry.redriven = stored.job->redriven;
      entry.redriven_boot = stored.job->redriven_boot;
    }
    return;
  }
  if (!stored.unreadable.empty()) return Bury(std::move(stored), entry, report);
  entry.lanes = std::move(lanes);
  const Admission admission = lanes_.Admit(sequence, entry.lanes);
  if (admission == Admission::kPark) {
    const LaneList kept = std::move(entry.lanes);
    window_.Erase(sequence);
    return Park(sequence, *lanes_.ParksUnder(sequence, kept), kept, report);
  }
  window_.Fill(entry, std::move(stored.job));
  if (admission == Admission::kReady) departures_.Add(entry);
}

void HeldJobs::Park(Sequence sequence, LaneKey lane, const LaneList& lanes, Report& report) {
  if (lanes_.Has(lane)) lanes_.MarkParked(lane, sequence);
  if (lanes.size() > 1) stowed_.OnKept(lanes);
  parking_.Mark(sequence, lane, lanes, report);
}

void HeldJobs::AdmitDeferred(const StoredJob& stored, LaneList lanes) {
  const Sequence sequence = stored.job->sequence;
  const auto [entry, is_new] = window_.Add(sequence);
  if (!is_new) return;  // a damaged index may name a row twice
  entry.lanes = std::move(lanes);
  entry.parked = stored.parked;
  window_.Defer(sequence, entry, stored.job->due);
  window_.MarkSuspect(sequence, entry, stored.job->suspicion != Suspicion::kNone);
  std::vector<Sequence> evicted;
  lanes_.Hold(sequence, entry.lanes, evicted);
  CHECK(evicted.empty());  // no deferred one is given up, and there are no others yet
}

void HeldJobs::AdmitStowed(const StoredJob& stored, LaneList lanes, Report& report) {
  const Sequence sequence = stored.job->sequence;
  const auto [entry, is_new] = window_.Add(sequence);
  if (!is_new) return;
  stowed_.OnCame();
  entry.lanes = std::move(lanes);
  entry.batch_max = stored.job->batch_max;
  window_.Defer(sequence, entry, stored.job->due);
  window_.MarkSuspect(sequence, entry, stored.job->suspicion != Suspicion::kNone);
  std::vector<Sequence> evicted;
  lanes_.Hold(sequence, entry.lanes, evicted);
  for (const Sequence follower : evicted) Evict(follower, report);
  for (const LaneKey lane : std::span<const LaneKey>(entry.lanes)) FindBeingMarked(lane);
}

// Their ticket has the lane refilled.
void HeldJobs::FindBeingMarked(LaneKey lane) {
  if (const std::optional<Sequence> first = parking_.FirstBeingMarked(lane)) lanes_.MarkParked(lane, *first);
}

void HeldJobs::FindParked(LaneKey lane, Sequence first) {
  lanes_.MarkParked(lane, first);
  parking_.RefillLater(lane, first);
}

void HeldJobs::AdmitParked(LaneKey lane, OutboxReader::Parked read, Report& report) {
  const std::optional<Sequence> next = parking_.Cut(lane, read);
  if (next && *next > parking_.frontier()) parking_.RefillLater(lane, *next);
  std::vector<Sequence> loaded;
  for (StoredJob& stored : read.jobs) {
    const Sequence sequence = stored.job->sequence;
    const auto [entry, is_new] = window_.Add(sequence);
    if (!is_new) continue;
    parking_.out_of_memory().Subtract();
    if (!stored.unreadable.empty()) {
      Bury(std::move(stored), entry, report);
      continue;
    }
    loaded.push_back(sequence);
    // As it was parked, whatever lanes it would have now: the connection may have kept another order then, or
    // the row is damaged.
    entry.lanes = stored.LanesWith(lane);
    entry.parked = true;
    window_.Fill(entry, std::move(stored.job));
    if (entry.lanes.size() > 1) lanes_.Join(sequence, entry.lanes);
  }
  LanesOpened opened;
  lanes_.Refilled(lane, loaded, next, opened);
  Open(opened);
}

void HeldJobs::Wake(Sequence sequence, std::optional<StoredJob> stored, Timestamp now, Milliseconds longest,
                    Report& report) {
  Window::Entry& entry = window_.At(sequence);
  if (!stored) return Release(sequence, entry);
  if (!stored->unreadable.empty()) return Bury(std::move(*stored), entry, report);
  const std::optional<Timestamp> due = std::exchange(stored->job->due, std::nullopt);
  if (due && *due > now && *due <= now + longest) return window_.Defer(sequence, entry, due);
  stored->job->batch_max = std::exchange(entry.batch_max, std::nullopt);
  BringBack(entry, std::move(stored->job));
}

void HeldJobs::Bury(StoredJob stored, Window::Entry& entry, Report& report) {
  window_.Settle(stored.job->sequence, entry);
  report.outcomes.push_back(SettleUnreadable(std::move(stored)));
}

void HeldJobs::Acquit(Sequence sequence) {
  Window::Entry* entry = window_.Find(sequence);
  if (entry == nullptr || entry->job) return;
  entry->acquitted = true;
  window_.MarkSuspect(sequence, *entry, false);
}

void HeldJobs::Accuse(Sequence sequence, Suspicion suspicion) {
  Window::Entry* entry = window_.Find(sequence);
  if (entry == nullptr || !entry->job) return;
  entry->acquitted = false;
  entry->job->suspicion = suspicion;
  window_.MarkSuspect(sequence, *entry, true);
}

// One that has kept its place in its lanes.
void HeldJobs::BringBack(Window::Entry& entry, std::unique_ptr<QueuedJob> job) {
  const Sequence sequence = job->sequence;
  if (std::exchange(entry.acquitted, false)) ForgetSuspicion(*job);
  window_.Fill(entry, std::move(job));
  if (lanes_.IsReady(sequence, entry.lanes)) departures_.Add(entry);
}

// --- coming back

bool HeldJobs::StartSettling(QueuedJob& job) {
  Window::Entry* entry = window_.Find(job.sequence);
  const auto redriven = entry == nullptr ? std::nullopt : std::exchange(entry->redriven, std::nullopt);
  if (redriven) {
    job.ForgetFailures();
    job.redriven = redriven;
    job.redriven_boot = entry->redriven_boot;
  }
  window_.MoveTimes(job);
  if (entry == nullptr) return false;
  window_.Settle(job.sequence, *entry);
  return true;
}

void HeldJobs::Hold(Sequence sequence, Report& report) {
  std::vector<Sequence> evicted;
  lanes_.Hold(sequence, window_.At(sequence).lanes, evicted);
  for (const Sequence follower : evicted) Evict(follower, report);
}

std::unique_ptr<const LaneList> HeldJobs::LanesToStow(Sequence sequence) const {
  const Window::Entry* entry = window_.Find(sequence);
  if (entry == nullptr || entry->removed || entry->acquitted) return nullptr;
  return std::make_unique<const LaneList>(entry->lanes);
}

// To be read back when the lane opens.
void HeldJobs::Evict(Sequence sequence, Report& report) {
  const Window::Entry& entry = window_.At(sequence);
  if (entry.parked) {
    parking_.out_of_memory().Add();
  } else {
    parking_.Mark(sequence, entry.lanes.front(), entry.lanes, report);
  }
  window_.Erase(sequence);
}

void HeldJobs::OnCommitted(Outcome outcome) {
  const Sequence sequence = outcome.job->sequence;
  Window::Entry* entry = window_.Find(sequence);
  if (entry == nullptr) {  // it rode behind one that was deferred, and is parked unless it ended
    const bool ended = outcome.kind == OutcomeKind::kDead || outcome.kind == OutcomeKind::kDelivered;
    if (ended) parking_.out_of_memory().Subtract();
    return;
  }
  if (entry->state() != State::kSettling) return OnCommittedLate(outcome, *entry);
  if (std::exchange(outcome.job->stowed, false)) entry->parked = false;  // as OutcomeWriter leaves its row
  if (entry->removed && outcome.kind != OutcomeKind::kDeferred) return Release(sequence, *entry);
  switch (outcome.kind) {
    case OutcomeKind::kDelivered:
    case OutcomeKind::kDead:
      return Release(sequence, *entry);
    case OutcomeKind::kDeferred:
      return OnDeferred(outcome, *entry);
    case OutcomeKind::kReturned:
      lanes_.Stop(sequence, entry->lanes);
      return BringBack(*entry, std::move(outcome.job));
  }
}

void HeldJobs::OnDeferred(const Outcome& outcome, Window::Entry& entry) {
  const QueuedJob& job = *outcome.job;
  // Of a removed one the row tells at once whether it is gone, or was redriven meanwhile and has the time of
  // this attempt.
  const bool removed = std::exchange(entry.removed, false);
  if (outcome.stow) entry.parked = false;
  if (outcome.stow && !removed && !entry.acquitted && lanes_.Forget(job.sequence, entry.lanes)) {
    stowed_.OnLeft({*job.due, job.sequence}, entry.lanes);
    return window_.Erase(job.sequence);
  }
  entry.batch_max = job.batch_max;
  window_.MarkSuspect(job.sequence, entry, !entry.acquitted && job.suspicion != Suspicion::kNone);
  window_.Defer(job.sequence, entry, removed ? std::nullopt : job.due);
}

// The job was given up while it was out, cancelled, redriven and read back before this outcome was written:
// it is another life of the job that is held.
void HeldJobs::OnCommittedLate(const Outcome& outcome, Window::Entry& entry) {
  const bool ended = outcome.kind == OutcomeKind::kDead || outcome.kind == OutcomeKind::kDelivered;
  if (!ended) return;
  if (entry.state() != State::kInFlight) return Release(outcome.job->sequence, entry);
  entry.removed = true;
}

// --- out of memory

void HeldJobs::Remove(Sequence sequence) {
  Window::Entry* entry = window_.Find(sequence);
  if (entry == nullptr) {
    parking_.out_of_memory().Doubt();
    stowed_.OnTakenAway();
    return;
  }
  // What is out comes back by itself: its outcome then only adds the attempt.
  entry->removed = entry->state() == State::kInFlight || entry->state() == State::kSettling;
  if (!entry->removed) Release(sequence, *entry);
}

void HeldJobs::Release(Sequence sequence, Window::Entry& entry) {
  const LaneList lanes = std::move(entry.lanes);
  window_.Erase(sequence);
  LanesOpened opened;
  lanes_.Release(sequence, lanes, opened);
  Open(opened);
}

void HeldJobs::Open(const LanesOpened& opened) {
  for (const Sequence sequence : opened.ready) {
    Window::Entry& entry = window_.At(sequence);
    if (entry.state() == State::kWaiting) departures_.Add(entry);
  }
  parking_.RefillSoon(opened.refill);
}

// --- looking at it

std::optional<JobPlace> HeldJobs::Place(Sequence sequence) const {
  const Window::Entry* entry = window_.Find(sequence);
  if (entry == nullptr) return std::nullopt;
  switch (entry->state()) {
    case State::kReady:
      return JobPlace{JobState::kReady, std::nullopt};
    case State::kInFlight:
    case State::kSettling:
      return JobPlace{JobState::kInFlight, std::nullopt};
    case State::kDeferred:
      return JobPlace{JobState::kDeferred, lanes_.Blocker(sequence, entry->lanes)};
    case State::kWaiting:
      return JobPlace{JobState::kBlocked, lanes_.Blocker(sequence, entry->lanes)};
  }
  return std::nullopt;
}

void HeldJobs::CheckInvariants() const {
  window_.CheckInvariants();
  lanes_.CheckInvariants();
  parking_.CheckInvariants();
  departures_.CheckInvariants();
  std::size_t places = 0;
  for (const auto& [number, entry] : window_.entries()) {
    places += entry.lanes.size();
    // Nobody waits whose turn it is.
    CHECK(entry.state() != State::kWaiting || !lanes_.IsReady(Sequence{number}, entry.lanes));
  }
  for (const auto& [lane, jobs] : lanes_.Held()) {
    places -= jobs.size();
    for (const Sequence sequence : jobs) CHECK(window_.Find(sequence) != nullptr);
    const bool may_wait_for_kept = stowed_.MayKeep(LaneList(lane));
    CHECK((!lanes_.RefillFrom(lane) || parking_.WillRefill(lane) || may_wait_for_kept));
  }
  CHECK(places == 0);
}

}  // namespace outboxd
