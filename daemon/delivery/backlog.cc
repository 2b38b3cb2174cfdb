#include "daemon/delivery/backlog.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "core/check.h"
#include "core/job.h"
#include "core/policy.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/clerk/report.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/delivery/held_jobs.h"
#include "daemon/delivery/look_ahead.h"
#include "daemon/delivery/parking.h"
#include "daemon/delivery/stowed_jobs.h"
#include "daemon/delivery/window.h"
#include "storage/outbox_reader.h"

namespace outboxd {
namespace {

using State = Window::State;

constexpr std::size_t kReadRows = 1000;      // read back at once
constexpr std::size_t kExaminedRows = 5000;  // looked at while doing so
constexpr std::size_t kRetriesLoaded = 256;  // deferred jobs read back in one Read()
// Rows being marked; while the disk takes no marks, no more rows are read to be marked.
constexpr std::size_t kMarksMax = 4096;
constexpr Milliseconds kRecountInterval{1000};

}  // namespace

Backlog::Backlog(HeldJobs& held, std::shared_ptr<const Endpoint> endpoint, const LimitsConfig& limits)
    : held_(held), endpoint_(std::move(endpoint)), limits_(limits), look_ahead_(held) {}

Result<void> Backlog::Load(OutboxReader& reader, Sequence tail, Timestamp now) {
  tail_ = tail;
  const std::string& name = endpoint_->config.name;
  RETURN_IF_ERROR(reader.ReadDeferred(
      name, [&](const StoredJob& stored) { held_.AdmitDeferred(stored, LanesFor(stored.job->job)); }));
  RETURN_IF_ERROR(held_.stowed().Load(reader, name, now));
  ASSIGN_OR_RETURN(const std::vector<OutboxReader::ParkedLane> parked, reader.ReadParkedLanes(name));
  for (const OutboxReader::ParkedLane& lane : parked) held_.FindParked(lane.lane, lane.first);
  return CountParked(reader, now);
}

void Backlog::Configure(std::shared_ptr<const Endpoint> endpoint, const LimitsConfig& limits) {
  limits_ = limits;
  endpoint_ = std::move(endpoint);
  look_ahead_.End();
}

LaneList Backlog::LanesFor(const Job& job) const {
  if (endpoint_->config.order == LaneOrder::kNone) return {};
  return LanesOf(job);
}

// Without those that were read ahead.
Window::Part Backlog::InTurn() const {
  const Window& window = held_.window();
  return {window.jobs() - window.ahead().jobs, window.bytes() - window.ahead().bytes};
}

bool Backlog::HasRoom() const {
  const Window::Part in_turn = InTurn();
  return in_turn.jobs < limits_.window_jobs && in_turn.bytes < limits_.window_bytes;
}

bool Backlog::HasRetryRoom() const {
  const Window::Part in_turn = InTurn();
  return in_turn.jobs < limits_.window_jobs + kRetriesLoaded &&
         in_turn.bytes < limits_.window_bytes + limits_.window_bytes / 4 + limits_.line_bytes;
}

// However many are due, half of the window is for the others; suspects, who leave seldom, have an eighth of
// their own and no more. One at least.
bool Backlog::HasWakeRoom(bool for_suspect) const {
  const Window::Part& woken = held_.window().woken(for_suspect);
  const std::uint64_t part = for_suspect ? 8 : 2;
  const bool is_within = woken.jobs < (limits_.window_jobs + part - 1) / part &&
                         woken.bytes < (limits_.window_bytes + part - 1) / part;
  return HasRetryRoom() && (woken.jobs == 0 || is_within);
}

// Of those that there is room for.
std::optional<Window::Due> Backlog::NextDue(Timestamp now) const {
  std::optional<Window::Due> next;
  for (const bool is_suspect : {false, true}) {
    if (!HasWakeRoom(is_suspect)) continue;
    const std::optional<Window::Due> due = held_.window().NextDue(is_suspect, now, LongestWait());
    if (due && (!next || due->at < next->at)) next = due;
  }
  return next;
}

// Rows that are looked at again wait for the marks under way, or they would be parked twice.
bool Backlog::MayReadBack() const {
  const Parking& parking = held_.parking();
  return IsBehind() && HasRoom() && parking.marks_under_way() < kMarksMax &&
         (cursor_ >= parking.frontier() || !parking.IsMarking());
}

Milliseconds Backlog::LongestWait() const {
  const RetryPolicy& retry = endpoint_->config.retry;
  return std::max(retry.cap, retry.retry_after_cap);
}

void Backlog::OnAccepted(std::vector<std::unique_ptr<QueuedJob>> jobs, Sequence last, Report& report) {
  const bool caught_up = !IsBehind();
  tail_ = std::max(tail_, last);
  if (!caught_up) return;
  Sequence through = last;
  for (std::unique_ptr<QueuedJob>& job : jobs) {
    if (job->sequence <= cursor_) continue;  // read back from disk before the news came
    LaneList lanes = LanesFor(job->job);
    if (!HasRoom() || held_.stowed().MayKeep(lanes)) {
      through = Sequence{ToNumber(job->sequence) - 1};
      break;
    }
    StoredJob stored;
    stored.job = std::move(job);
    held_.Admit(std::move(stored), std::move(lanes), report);
  }
  MoveCursor(std::max(cursor_, through));
}

Result<void> Backlog::AdmitRead(OutboxReader& reader, StoredJob stored, Report& report) {
  LaneList lanes = LanesFor(stored.job->job);
  if (held_.stowed().MayKeep(lanes) && stored.unreadable.empty()) {
    const Sequence sequence = stored.job->sequence;
    if (held_.window().Find(sequence) == nullptr) {
      ASSIGN_OR_RETURN(const std::optional<LaneKey> waits, WaitsOnDiskIn(reader, sequence, lanes));
      if (waits) {
        held_.Park(sequence, *waits, lanes, report);
        return {};
      }
    }
    RETURN_IF_ERROR(BringTurns(reader, stored, lanes, report));
    RETURN_IF_ERROR(FindParkedIn(reader, lanes));
  }
  held_.Admit(std::move(stored), std::move(lanes), report);
  return {};
}

// The first job that keeps `lane`, waits elsewhere and is not in memory.
Result<std::optional<Sequence>> Backlog::FirstKept(OutboxReader& reader, LaneKey lane) {
  for (Sequence after{};;) {
    ASSIGN_OR_RETURN(const std::optional<Sequence> found,
                     reader.FindKept(endpoint_->config.name, lane, after));
    if (!found || held_.window().Find(*found) == nullptr) return found;
    after = *found;
  }
}

// The first of `lanes` in which one waits, before `sequence`, that memory does not know.
Result<std::optional<LaneKey>> Backlog::WaitsOnDiskIn(OutboxReader& reader, Sequence sequence,
                                                      std::span<const LaneKey> lanes) {
  for (const LaneKey lane : lanes) {
    ASSIGN_OR_RETURN(std::optional<Sequence> before, FirstKept(reader, lane));
    if (!before || *before >= sequence) before = held_.parking().FirstBeingMarked(lane);
    if (before && *before < sequence) return std::optional(lane);
  }
  return std::optional<LaneKey>();
}

// Stowed ones keep the turn through their failures.
Result<void> Backlog::BringTurns(OutboxReader& reader, const StoredJob& stored,
                                 std::span<const LaneKey> lanes, Report& report) {
  if (!stored.job->redriven) return {};
  for (const LaneKey lane : lanes) {
    ASSIGN_OR_RETURN(const std::optional<Sequence> kept, FirstKept(reader, lane));
    if (!kept || *kept <= stored.job->sequence) continue;
    ASSIGN_OR_RETURN(const std::optional<StoredJob> later, reader.ReadOne(*kept));
    if (later && later->job->due) RETURN_IF_ERROR(Bring(reader, *later, report));
  }
  return {};
}

// In lanes of which memory knows no parked rows: the one that kept them is gone, and was not told of yet.
Result<void> Backlog::FindParkedIn(OutboxReader& reader, std::span<const LaneKey> lanes) {
  for (const LaneKey lane : lanes) {
    const std::optional<Sequence> after = held_.lanes().UnknownBehind(lane);
    if (!after) continue;
    ASSIGN_OR_RETURN(const std::optional<Sequence> first,
                     reader.FirstParked(endpoint_->config.name, lane, *after));
    if (first) held_.FindParked(lane, *first);
    held_.FindBeingMarked(lane);
  }
  return {};
}

// Its lanes are what the disk says, whatever lanes it would have now; jobs may be parked behind it.
Result<void> Backlog::Bring(OutboxReader& reader, const StoredJob& stored, Report& report) {
  ASSIGN_OR_RETURN(std::vector<LaneKey> kept, reader.ReadKeptLanes(stored.job->sequence));
  const LaneList lanes(std::move(kept));
  std::vector<OutboxReader::ParkedLane> parked;
  for (const LaneKey lane : std::span<const LaneKey>(lanes)) {
    ASSIGN_OR_RETURN(const std::optional<Sequence> first,
                     reader.FirstParked(endpoint_->config.name, lane, Sequence{}));
    if (first) parked.push_back({lane, *first});
  }
  held_.AdmitStowed(stored, lanes, report);
  for (const OutboxReader::ParkedLane& lane : parked) held_.FindParked(lane.lane, lane.first);
  return {};
}

void Backlog::MoveCursor(Sequence through) {
  cursor_ = through;
  held_.parking().MoveFrontier(through);
}

Result<void> Backlog::Read(OutboxReader& reader, Timestamp now, Report& report) {
  RETURN_IF_ERROR(LookAtStowed(reader, now));
  RETURN_IF_ERROR(WakeDeferred(reader, now, report));
  RETURN_IF_ERROR(Refill(reader, report));
  EstimatedRows& out_of_memory = held_.parking().out_of_memory();
  if (held_.lanes().LaneCount() == 0 && !held_.stowed().any()) out_of_memory.Clear();
  // Marks under way are counted but not on disk.
  if (!held_.parking().IsMarking() && out_of_memory.MustRecount(now, kRecountInterval))
    RETURN_IF_ERROR(CountParked(reader, now));
  RETURN_IF_ERROR(ReadBack(reader, report));
  return IsShutOut() ? look_ahead_.Read(reader, AheadTerms(now), report) : Result<void>();
}

// Marks under way are of rows that may be behind a stowed one, and are not found on disk.
Result<void> Backlog::LookAtStowed(OutboxReader& reader, Timestamp now) {
  StowedJobs& stowed = held_.stowed();
  if (!stowed.any() || held_.parking().IsMarking()) return {};
  const std::string& name = endpoint_->config.name;
  ASSIGN_OR_RETURN(const bool has_ended, stowed.HasEnded(reader, name, now));
  if (!has_ended && !stowed.HasTakenAway()) return {};
  ASSIGN_OR_RETURN(const std::vector<OutboxReader::ParkedLane> parked, reader.ReadParkedLanes(name));
  for (const OutboxReader::ParkedLane& lane : parked) held_.FindParked(lane.lane, lane.first);
  stowed.OnLookedFor();
  if (has_ended) stowed.End();
  return {};
}

Result<void> Backlog::WakeDeferred(OutboxReader& reader, Timestamp now, Report& report) {
  for (std::size_t count = 0; count < kRetriesLoaded; ++count) {
    ASSIGN_OR_RETURN(const bool is_woken, WakeNext(reader, now, report));
    if (!is_woken) break;
  }
  return WakeLate(reader, now, report);
}

// The one that is due first, wherever it waits.
Result<bool> Backlog::WakeNext(OutboxReader& reader, Timestamp now, Report& report) {
  const std::optional<Window::Due> next = NextDue(now);
  is_stowed_stuck_ = false;
  if (HasWakeRoom(false) || HasWakeRoom(true)) {
    ASSIGN_OR_RETURN(const std::optional<StowedJobs::Stowed> stowed,
                     held_.stowed().Next(reader, endpoint_->config.name));
    if (stowed && stowed->due <= now && (!next || stowed->due < next->at)) {
      ASSIGN_OR_RETURN(const bool is_passed, WakeNextStowed(reader, *stowed, now, report));
      is_stowed_stuck_ = !is_passed;
      if (is_passed) return true;
    }
  }
  if (!next || next->at > now) return false;
  ASSIGN_OR_RETURN(std::optional<StoredJob> stored, reader.ReadOne(next->sequence));
  held_.Wake(next->sequence, std::move(stored), now, LongestWait(), report);
  return true;
}

// Where there is no room for its kind, it comes into memory as a deferred job, so that those behind it are
// seen. False when there are many of these already.
Result<bool> Backlog::WakeNextStowed(OutboxReader& reader, const StowedJobs::Stowed& next, Timestamp now,
                                     Report& report) {
  if (!HasWakeRoom(false) || !HasWakeRoom(true)) {
    ASSIGN_OR_RETURN(const std::optional<StoredJob> stored, reader.ReadOne(next.sequence));
    const bool is_there = stored && stored->job->stowed && !held_.window().Find(next.sequence);
    if (is_there && !HasWakeRoom(stored->job->suspicion != Suspicion::kNone)) {
      if (held_.window().In(State::kDeferred) >= 2UL * limits_.deferred_jobs) return false;
      RETURN_IF_ERROR(Bring(reader, *stored, report));
      held_.stowed().Pass(next);
      return true;
    }
  }
  RETURN_IF_ERROR(WakeStowed(reader, next.sequence, now, report));
  held_.stowed().Pass(next);
  return true;
}

Result<void> Backlog::WakeStowed(OutboxReader& reader, Sequence sequence, Timestamp now, Report& report) {
  if (held_.window().Find(sequence) != nullptr) return {};
  ASSIGN_OR_RETURN(std::optional<StoredJob> stored, reader.ReadOne(sequence));
  if (!stored || !stored->job->stowed) return {};
  RETURN_IF_ERROR(Bring(reader, *stored, report));
  held_.Wake(sequence, std::move(stored), now, LongestWait(), report);
  return {};
}

Result<void> Backlog::WakeLate(OutboxReader& reader, Timestamp now, Report& report) {
  ASSIGN_OR_RETURN(const std::vector<Sequence> late,
                   held_.stowed().TooLate(reader, endpoint_->config.name, now, now + LongestWait()));
  for (const Sequence sequence : late) {
    if (!HasWakeRoom(false) || !HasWakeRoom(true)) return {};
    RETURN_IF_ERROR(WakeStowed(reader, sequence, now, report));
  }
  return {};
}

Result<void> Backlog::Refill(OutboxReader& reader, Report& report) {
  Parking& parking = held_.parking();
  for (; HasRetryRoom(); parking.PopRefill()) {
    const std::optional<LaneKey> lane = parking.NextRefill();
    if (!lane) return {};
    const std::optional<Sequence> from = held_.lanes().RefillFrom(*lane);
    if (!from) continue;
    // One at least: the lane's last job has just made room for it.
    const std::size_t count = HasRoom() ? limits_.lane_jobs : 1;
    const std::size_t bytes_max = HasRoom() ? limits_.window_bytes - InTurn().bytes : 0;
    ASSIGN_OR_RETURN(OutboxReader::Parked parked,
                     reader.ReadParked(endpoint_->config.name, *lane, *from, count, bytes_max));
    if (held_.stowed().any()) RETURN_IF_ERROR(CutParked(reader, *lane, parked, report));
    std::vector<std::pair<Sequence, std::vector<LaneKey>>> others;
    for (StoredJob& stored : parked.jobs) {
      if (!stored.others.empty()) others.emplace_back(stored.job->sequence, stored.others);
    }
    held_.AdmitParked(*lane, std::move(parked), report);
    for (const auto& [sequence, lanes] : others) RETURN_IF_ERROR(FindParkedBehind(reader, sequence, lanes));
  }
  return {};
}

// The first of the other lanes of a parked job in which it has to wait.
Result<std::optional<LaneKey>> Backlog::WaitsIn(OutboxReader& reader, Sequence sequence,
                                                std::span<const LaneKey> lanes) {
  if (const std::optional<LaneKey> held = held_.lanes().ParksUnder(sequence, lanes)) return held;
  ASSIGN_OR_RETURN(const std::optional<LaneKey> waits, WaitsOnDiskIn(reader, sequence, lanes));
  if (waits) return waits;
  RETURN_IF_ERROR(FindParkedIn(reader, lanes));
  return held_.lanes().ParksUnder(sequence, lanes);
}

// At the first job that waits in another lane, or is to wait there from now on: who comes behind it waits for
// it. A lane that holds nobody is forgotten until then.
Result<void> Backlog::CutParked(OutboxReader& reader, LaneKey lane, OutboxReader::Parked& read,
                                Report& report) {
  ASSIGN_OR_RETURN(std::optional<Sequence> end, FirstKept(reader, lane));
  auto goes = read.jobs.begin();
  for (; goes != read.jobs.end(); ++goes) {
    const Sequence sequence = goes->job->sequence;
    if (end && sequence > *end) break;
    // Its turn has not come: to park it elsewhere now, and back again, would hold up the cursor for ever.
    if (sequence > held_.parking().frontier()) return {};
    RETURN_IF_ERROR(BringTurns(reader, *goes, goes->LanesWith(lane), report));
    if (goes->others.empty() || held_.window().Find(sequence) != nullptr) continue;
    ASSIGN_OR_RETURN(const std::optional<LaneKey> waits, WaitsIn(reader, sequence, goes->others));
    if (!waits) continue;
    held_.parking().out_of_memory().Subtract();
    held_.Park(sequence, *waits, goes->LanesWith(lane), report);
    end = sequence;
    break;
  }
  if (goes == read.jobs.end() && (!end || !read.next || *read.next < *end)) return {};
  auto rest = goes;
  if (rest != read.jobs.end() && rest->job->sequence == *end) ++rest;  // it waits elsewhere now
  if (rest != read.jobs.end()) read.next = rest->job->sequence;
  if (!held_.lanes().Holds(lane)) read.next.reset();
  read.jobs.erase(goes, read.jobs.end());
  return {};
}

// One came into memory, and with it what waits on disk behind it in `lanes`.
Result<void> Backlog::FindParkedBehind(OutboxReader& reader, Sequence sequence,
                                       std::span<const LaneKey> lanes) {
  for (const LaneKey lane : lanes) {
    ASSIGN_OR_RETURN(const std::optional<Sequence> first,
                     reader.FirstParked(endpoint_->config.name, lane, sequence));
    if (first) held_.FindParked(lane, *first);
    held_.FindBeingMarked(lane);
  }
  return {};
}

Result<void> Backlog::CountParked(OutboxReader& reader, Timestamp now) {
  ASSIGN_OR_RETURN(const std::uint64_t rows, reader.CountParked(endpoint_->config.name));
  const std::uint64_t here = held_.window().CountParked();
  held_.parking().out_of_memory().Recount(rows > here ? rows - here : 0, now);
  return {};
}

Result<void> Backlog::ReadBack(OutboxReader& reader, Report& report) {
  if (!MayReadBack()) return {};
  const Window::Part in_turn = InTurn();
  const std::size_t count = std::min<std::size_t>(kReadRows, limits_.window_jobs - in_turn.jobs);
  ASSIGN_OR_RETURN(OutboxReader::Page page,
                   reader.ReadAfter(endpoint_->config.name, cursor_, count,
                                    limits_.window_bytes - in_turn.bytes, kExaminedRows));
  for (StoredJob& stored : page.jobs) {
    const Sequence before{ToNumber(stored.job->sequence) - 1};
    Result<void> admitted = AdmitRead(reader, std::move(stored), report);
    if (admitted) continue;
    MoveCursor(std::max(cursor_, before));  // the ones before it may be on their way to be parked
    return admitted;
  }
  MoveCursor(page.at_end ? std::max(tail_, page.through) : page.through);
  return {};
}

std::optional<Timestamp> Backlog::NextRead(Timestamp now) const {
  const std::optional<Timestamp> waiting = NextWaiting(now);
  const std::optional<Timestamp> ahead = IsShutOut() ? look_ahead_.NextRead(AheadTerms(now)) : std::nullopt;
  return waiting && ahead ? std::min(waiting, ahead) : std::max(waiting, ahead);
}

std::optional<Timestamp> Backlog::NextWaiting(Timestamp now) const {
  if (MayReadBack()) return now;
  if (!HasRetryRoom()) return std::nullopt;
  if (held_.parking().NextRefill()) return now;
  if (!HasWakeRoom(false) && !HasWakeRoom(true)) return std::nullopt;
  const std::optional<Window::Due> next = NextDue(now);
  const std::optional<Timestamp> stowed = is_stowed_stuck_ ? std::nullopt : held_.stowed().NextDue(now);
  if (!next) return stowed;
  const Timestamp at = std::max(now, next->at);
  return stowed ? std::min(at, *stowed) : at;
}

void Backlog::CheckInvariants() const {
  CHECK(cursor_ <= held_.parking().frontier());
}

}  // namespace outboxd
