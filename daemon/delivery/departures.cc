#include "daemon/delivery/departures.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "core/batch.h"
#include "core/check.h"
#include "core/job.h"
#include "core/ruling.h"
#include "core/time.h"
#include "core/ulid.h"
#include "core/verdict.h"
#include "daemon/delivery/suspect_turns.h"
#include "daemon/delivery/transfer.h"
#include "daemon/delivery/window.h"

namespace outboxd {
namespace {

using State = Window::State;

// Beyond its linger; then a batch no longer waits for those that are ready as well.
constexpr Milliseconds kGatherPatience{50};

Route RouteOf(const QueuedJob& job) {
  return job.unanswered >= kFirstRepeatOnOwn ? Route::kOwn : Route::kPooled;
}

bool IsPatient(const Job& job, Milliseconds timeout) {
  return job.raw != nullptr && job.raw->timeout.value_or(timeout) > timeout;
}

}  // namespace

void Departures::Add(Window::Entry& entry) {
  window_.MakeReady(entry);
  const QueuedJob& job = *entry.job;
  if (entry.is_heavy()) {
    job.unanswered > 0 ? heavy_.push_front(job.sequence) : heavy_.push_back(job.sequence);
  } else if (job.suspicion != Suspicion::kNone) {
    suspects_.PushBack(job.uid, job.sequence);
  } else {
    Queue(job);
  }
}

void Departures::Queue(const QueuedJob& job) {
  if (job.unanswered >= kFirstRepeatOnOwn) return repeats_.PushBack(job.uid, job.sequence);
  if (job.batch_max) return parts_.push_back(job.sequence);
  if (job.unanswered > 0) return repeats_.PushBack(job.uid, job.sequence);
  UserTurns& queue = job.failures > 0 || job.attempts > 0 ? retries_ : fresh_;
  queue.PushBack(job.uid, job.sequence);
}

bool Departures::empty() const {
  return fresh_.empty() && retries_.empty() && repeats_.empty() && parts_.empty() && suspects_.empty() &&
         heavy_.empty() && patients_.empty() && gathered_.jobs.empty();
}

std::optional<Timestamp> Departures::LingersSince() const {
  return gathered_.jobs.empty() ? std::nullopt : std::optional(gathered_.since);
}

Departure Departures::Next(const Terms& terms, Expired& expired) {
  const bool is_heavys = std::exchange(heavy_turn_, true);
  const bool is_patients = std::exchange(patient_turn_, true);
  // First of all, but where the gate probes or recovers: there each may be what closes it.
  const bool is_calm = terms.company == Company::kSought && !terms.is_recovering;
  const bool is_repeats = std::exchange(repeat_turn_, is_calm || !repeat_turn_) || is_calm;
  while (!empty()) {
    const bool has_heavy = !heavy_.empty() && terms.may_send_heavy;
    Departure departure;
    if (!repeats_.empty() && is_repeats) {
      departure = SendOne([&] { return PopRepeat(terms); }, terms, expired);
      if (!departure.empty()) return departure;
    }
    if (has_heavy && is_heavys) {  // NOLINT(bugprone-branch-clone): the order of the branches is the rule
      departure = SendHeavy(terms, expired);
    } else if (!patients_.empty() && is_patients && MaySendPatient(terms)) {
      departure = SendOne([&] { return patients_.Pop(); }, terms, expired);
      patient_turn_ = departure.empty();
    } else if (!suspects_.empty() && terms.suspects == SuspectTurn::kFirst) {
      departure = SendOne([&] { return suspects_.Pop(); }, terms, expired);
    } else if (!parts_.empty() && part_turn_) {
      part_turn_ = false;
      departure = SendTogether(TakePart(terms), terms, expired);
    } else if (IsGatheredDue(terms)) {
      part_turn_ = true;
      departure = SendGathered(terms, expired);
    } else if (Window::Entry* next = PopReady(terms)) {
      if (Expire(*next, terms, expired)) continue;
      if (terms.items_max <= 1 || !FitsBatch(next->job->job)) {
        part_turn_ = true;
        return SendAlone(*next, terms);
      }
      Gather(*next, terms);
    } else if (IsGatheredFirst(terms)) {
      part_turn_ = true;
      departure = SendGathered(terms, expired);
    } else if (!parts_.empty()) {
      departure = SendTogether(TakePart(terms), terms, expired);
    } else if (has_heavy) {
      departure = SendHeavy(terms, expired);
    } else if (!patients_.empty() && patients_out_ == 0) {
      departure = SendOne([&] { return patients_.Pop(); }, terms, expired);
    } else if (!suspects_.empty() && terms.suspects == SuspectTurn::kLast) {
      departure = SendOne([&] { return suspects_.Pop(); }, terms, expired);
    } else if (!repeats_.empty()) {
      departure = SendOne([&] { return repeats_.Pop(); }, terms, expired);
    } else {
      return departure;  // the rest lingers or is not to go now, if there is any
    }
    if (!departure.empty()) return departure;
  }
  return {};
}

// Fresh jobs and those that were sent before take turns, and users within both, each in its order. But where
// the gate probes or recovers, whoever of a user stands in front may be what closed it, and a crowd like him
// behind: then the newest go first, and every second (probing) or fourth goes by its place.
std::optional<Sequence> Departures::PopNamed(const Terms& terms) {
  const std::uint32_t turn = turn_++;
  const std::uint32_t by_place_of = terms.company == Company::kRefused ? 2 : terms.is_recovering ? 4 : 1;
  const bool is_by_place = turn % by_place_of == by_place_of - 1;
  const bool is_retrys = is_by_place && turn / by_place_of % 2 == 1;
  const UserTurns::End fresh_end = is_by_place ? UserTurns::End::kOldest : UserTurns::End::kNewest;
  if (!troubled_users_.empty()) {
    const auto may_go = [&](User user) { return !IsHeldBack(user, terms); };
    if (const auto sequence = PopOfUsers(is_retrys, fresh_end, may_go)) return sequence;
    if (IsGatheredFirst(terms)) return std::nullopt;
  }
  return PopOfUsers(is_retrys, fresh_end, [](User) { return true; });
}

// Only held-back jobs are ready besides: alone they would leave while the others linger, and keep the gate
// closed to them.
bool Departures::IsGatheredFirst(const Terms& terms) const {
  const bool is_held_back = gathered_.is_of_troubled != troubled_users_.IsTheirTurn(terms.limit);
  return !gathered_.jobs.empty() && !is_held_back && !(fresh_.empty() && retries_.empty()) &&
         !troubled_users_.empty();
}

// While others have jobs that are ready. When it is the turn of those in trouble, it is not the others'.
bool Departures::IsHeldBack(User user, const Terms& terms) const {
  return troubled_users_.Has(user) != troubled_users_.IsTheirTurn(terms.limit);
}

std::optional<Sequence> Departures::PopRepeat(const Terms& terms) {
  return repeats_.Pop(UserTurns::End::kOldest, [&](User user) {
    return !troubled_users_.Has(user) || troubled_users_.IsTheirTurn(terms.limit);
  });
}

template <typename Predicate>
std::optional<Sequence> Departures::PopOfUsers(bool is_retrys, UserTurns::End fresh_end, Predicate may_go) {
  constexpr UserTurns::End kRetriesEnd = UserTurns::End::kOldest;
  if (is_retrys) {
    if (const auto sequence = retries_.Pop(kRetriesEnd, may_go)) return sequence;
  }
  if (const auto sequence = fresh_.Pop(fresh_end, may_go)) return sequence;
  return retries_.Pop(kRetriesEnd, may_go);
}

// The one named is taken from its queue.
Window::Entry* Departures::PopReady(const Terms& terms) {
  while (const std::optional<Sequence> sequence = PopNamed(terms)) {
    Window::Entry* entry = window_.Find(*sequence);
    // A gathered one that rides behind another may still be named here: it has no turn of its own.
    if (entry == nullptr || entry->state() != State::kReady || !lanes_.IsReady(*sequence, entry->lanes))
      continue;
    const QueuedJob& job = *entry->job;
    if (job.suspicion != Suspicion::kNone) {
      suspects_.PushBack(job.uid, *sequence);  // suspected since it was named
    } else if (IsPatient(job.job, terms.timeout) && !MaySendPatient(terms)) {
      patients_.PushBack(job.uid, *sequence);
    } else {
      return entry;
    }
  }
  return nullptr;
}

bool Departures::MaySendPatient(const Terms& terms) const {
  return terms.company != Company::kRefused && patients_out_ < std::max(terms.limit / 2, 1U);
}

bool Departures::Expire(Window::Entry& entry, const Terms& terms, Expired& expired) {
  if (!IsExpired(*entry.job, terms.retry, terms.now)) return false;
  expired.push_back(window_.Settle(entry.job->sequence, entry));
  return true;
}

Departure Departures::SendAlone(Window::Entry& entry, const Terms& terms) {
  lanes_.Start(entry.job->sequence, entry.lanes);
  Departure departure;
  if (entry.job->suspicion == Suspicion::kNone)
    departure.is_of_troubled = troubled_users_.OnSent(entry.job->uid);
  departure.is_patient = IsPatient(entry.job->job, terms.timeout);
  patients_out_ += departure.is_patient ? 1 : 0;
  departure.route = RouteOf(*entry.job);
  departure.cost = entry.send_cost();
  departure.is_heavy = entry.is_heavy();
  departure.job = window_.Send(entry);
  return departure;
}

std::optional<Sequence> Departures::PopFront(std::deque<Sequence>& queue) {
  if (queue.empty()) return std::nullopt;
  const Sequence sequence = queue.front();
  queue.pop_front();
  return sequence;
}

Departure Departures::SendHeavy(const Terms& terms, Expired& expired) {
  Departure departure = SendOne([&] { return PopFront(heavy_); }, terms, expired);
  heavy_turn_ = departure.empty();
  return departure;
}

// The first of those that `pop` names that is ready, by itself.
template <typename Pop>
Departure Departures::SendOne(Pop pop, const Terms& terms, Expired& expired) {
  while (const std::optional<Sequence> sequence = pop()) {
    Window::Entry* entry = window_.Find(*sequence);
    if (entry == nullptr || entry->state() != State::kReady || !lanes_.IsReady(*sequence, entry->lanes) ||
        Expire(*entry, terms, expired))
      continue;
    return SendAlone(*entry, terms);
  }
  return {};
}

// --- batches

bool Departures::FitsGathered(const Job& job, const Terms& terms) const {
  return gathered_.jobs.size() < terms.items_max &&
         gathered_.bytes + BatchItemBytesMax(job) <= terms.batch.max_bytes;
}

void Departures::Gather(Window::Entry& entry, const Terms& terms) {
  const Sequence sequence = entry.job->sequence;
  const Job& job = entry.job->job;
  const bool is_troubled = troubled_users_.Has(entry.job->uid);
  if (gathered_.jobs.empty()) {
    gathered_.bytes = kBatchFrameBytes;
    gathered_.since = terms.now;
    gathered_.is_of_troubled = is_troubled;
  } else if (!FitsGathered(job, terms) || is_troubled != gathered_.is_of_troubled) {
    gathered_.full = true;
    fresh_.PushFront(entry.job->uid, sequence);
    return;
  }
  gathered_.jobs.push_back(sequence);
  gathered_.bytes += BatchItemBytesMax(job);
  gathered_.full = gathered_.jobs.size() >= terms.items_max;
  const bool leads = terms.batch.same_lane && entry.lanes.size() == 1 && !IsFence(job);
  if (leads) GatherFollowers(sequence, entry.lanes.front(), terms);
}

void Departures::GatherFollowers(Sequence sequence, LaneKey lane, const Terms& terms) {
  for (const Sequence follower : lanes_.Behind(sequence, lane)) {
    Window::Entry* entry = window_.Find(follower);
    if (entry == nullptr || entry->state() != State::kWaiting || entry->lanes.size() != 1 ||
        entry->job->batch_max)
      return;
    const Job& job = entry->job->job;
    if (!FitsBatch(job) || IsFence(job) || !FitsGathered(job, terms)) return;
    window_.MakeReady(*entry);
    gathered_.jobs.push_back(follower);
    gathered_.bytes += BatchItemBytesMax(job);
  }
}

bool Departures::IsGatheredDue(const Terms& terms) const {
  if (gathered_.jobs.empty()) return false;
  // Fewer may share a request than when they gathered, or none.
  const bool is_enough = gathered_.full || gathered_.jobs.size() >= terms.items_max;
  if (is_enough || terms.now < gathered_.since || terms.company == Company::kRefused) return true;
  const bool others = !fresh_.empty() || !retries_.empty();
  return terms.now - gathered_.since >= terms.batch.linger + (others ? kGatherPatience : Milliseconds(0));
}

// As many as the smallest allowance among them. Of both halves the jobs came back in order.
std::vector<Sequence> Departures::TakePart(const Terms& terms) {
  std::vector<Sequence> together;
  std::size_t count_max = terms.company == Company::kRefused ? 1 : terms.items_max;
  while (!parts_.empty() && together.size() < count_max) {
    const Sequence sequence = parts_.front();
    const Window::Entry* entry = window_.Find(sequence);
    const bool is_ready = entry != nullptr && entry->state() == State::kReady;
    const std::size_t own_max = is_ready ? entry->job->batch_max.value_or(count_max) : count_max;
    if (is_ready && together.size() >= own_max) break;
    parts_.pop_front();
    if (!is_ready) continue;
    together.push_back(sequence);
    count_max = std::min(count_max, own_max);
  }
  return together;
}

// Each has its lane's turn, or follows one of its lane in the same batch.
Departure Departures::SendTogether(std::span<const Sequence> jobs, const Terms& terms, Expired& expired) {
  std::vector<std::unique_ptr<QueuedJob>> joined;
  std::set<LaneKey> lanes;  // of a batch with followers
  Departure departure;
  joined.reserve(jobs.size());
  for (const Sequence sequence : jobs) {
    Window::Entry* entry = window_.Find(sequence);
    if (entry == nullptr) continue;
    const bool has_lane = !entry->lanes.empty();
    // One that expired, was redriven and gathered again stands there twice; the first takes it along.
    if (entry->state() != State::kReady || Expire(*entry, terms, expired)) {
      if (has_lane) lanes.erase(entry->lanes.front());  // its followers wait until it is written down
      continue;
    }
    const bool has_turn = lanes_.IsReady(sequence, entry->lanes);
    if (!has_turn && !(has_lane && lanes.contains(entry->lanes.front()))) {
      window_.MakeWait(*entry);
      continue;
    }
    if (terms.batch.same_lane && has_lane) lanes.insert(entry->lanes.front());
    if (has_turn) lanes_.Start(sequence, entry->lanes);
    departure.cost += entry->send_cost();
    joined.push_back(window_.Send(*entry));
  }
  if (joined.empty()) return departure;
  departure.is_of_troubled = troubled_users_.OnSent(joined.front()->uid);
  departure.route = RouteOf(*joined.front());
  if (joined.size() == 1) {
    departure.job = std::move(joined.front());
  } else {
    departure.batch = std::move(joined);
  }
  return departure;
}

// As many as may share a request now. The others lose their place in the batch, not in the queue.
Departure Departures::SendGathered(const Terms& terms, Expired& expired) {
  const std::vector<Sequence> gathered = std::exchange(gathered_, {}).jobs;
  const std::size_t count_max = terms.company == Company::kRefused ? 1 : terms.items_max;
  for (std::span<const Sequence> jobs = gathered; !jobs.empty();) {
    const std::size_t count = std::min(count_max, jobs.size());
    Departure departure = SendTogether(jobs.first(count), terms, expired);
    jobs = jobs.subspan(count);
    if (departure.empty()) continue;
    Disband(jobs);
    return departure;
  }
  return {};
}

void Departures::Disband(std::span<const Sequence> jobs) {
  for (auto job = jobs.rbegin(); job != jobs.rend(); ++job) {
    Window::Entry* entry = window_.Find(*job);
    if (entry == nullptr || entry->state() != State::kReady) continue;
    if (lanes_.IsReady(*job, entry->lanes)) {
      fresh_.PushFront(entry->job->uid, *job);
    } else {
      window_.MakeWait(*entry);
    }
  }
}

// --- upkeep

void Departures::OnReturned(const Transfer& transfer) {
  patients_out_ -= transfer.is_patient ? 1 : 0;
  if (transfer.is_of_troubled) troubled_users_.OnReturned();
}

void Departures::Sweep(const Terms& terms, Expired& expired) {
  const auto is_over = [&](Sequence sequence) {
    Window::Entry* entry = window_.Find(sequence);
    return entry == nullptr || entry->state() != State::kReady || Expire(*entry, terms, expired);
  };
  for (std::deque<Sequence>* queue : {&parts_, &heavy_}) std::erase_if(*queue, is_over);
  for (UserTurns* queue : {&repeats_, &fresh_, &retries_, &suspects_, &patients_}) queue->EraseIf(is_over);
  // Gathered ones stay named: the bytes count with them, and their followers need to know.
  for (const Sequence sequence : gathered_.jobs) static_cast<void>(is_over(sequence));
}

void Departures::CheckInvariants() const {
  std::set<Sequence> named(gathered_.jobs.begin(), gathered_.jobs.end());
  for (const std::deque<Sequence>* queue : {&parts_, &heavy_}) named.insert(queue->begin(), queue->end());
  for (const UserTurns* queue : {&repeats_, &fresh_, &retries_, &suspects_, &patients_})
    queue->ForEach([&](Sequence sequence) { named.insert(sequence); });
  std::size_t ready = 0;
  for (const Sequence sequence : named) {
    const Window::Entry* entry = window_.Find(sequence);
    ready += entry != nullptr && entry->state() == State::kReady;
  }
  CHECK(ready == window_.In(State::kReady));
  CHECK(gathered_.jobs.empty() || gathered_.bytes >= kBatchFrameBytes);
}

}  // namespace outboxd
