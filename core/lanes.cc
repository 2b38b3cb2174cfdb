#include "core/lanes.h"

#include <algorithm>
#include <cassert>

namespace outboxd {
namespace {

void InsertSorted(std::vector<Sequence>& jobs, Sequence sequence) {
  if (jobs.empty() || jobs.back() < sequence) {
    jobs.push_back(sequence);
    return;
  }
  const auto place = std::lower_bound(jobs.begin(), jobs.end(), sequence);
  if (*place != sequence) jobs.insert(place, sequence);
}

}  // namespace

bool Lanes::IsFirst(const Lane& lane, Sequence sequence) const {
  return lane.active == Sequence{} && !lane.jobs.empty() && lane.jobs.front() == sequence &&
         (!lane.parked_from || sequence < *lane.parked_from);
}

// A job before those held (a redriven one) is never parked: it goes first.
bool Lanes::Parks(const Lane& lane, Sequence sequence) const {
  const bool last = lane.jobs.empty() || lane.jobs.back() < sequence;
  const bool behind_parked = lane.parked_from && *lane.parked_from < sequence;
  return last && (behind_parked || lane.troubled || lane.jobs.size() >= lane_jobs_max_);
}

Admission Lanes::Admit(Sequence sequence, std::span<const LaneKey> lanes) {
  if (lanes.empty()) return Admission::kReady;
  if (lanes.size() == 1) {
    Lane& lane = lanes_[lanes[0]];
    if (Parks(lane, sequence)) {
      lane.parked_from = lane.parked_from ? std::min(*lane.parked_from, sequence) : sequence;
      return Admission::kPark;
    }
    InsertSorted(lane.jobs, sequence);
    return IsFirst(lane, sequence) ? Admission::kReady : Admission::kWaits;
  }
  several_.emplace(ToNumber(sequence), std::vector<LaneKey>(lanes.begin(), lanes.end()));
  for (const LaneKey key : lanes) InsertSorted(lanes_[key].jobs, sequence);
  return IsReady(sequence, lanes) ? Admission::kReady : Admission::kWaits;
}

bool Lanes::IsReady(Sequence sequence, std::span<const LaneKey> lanes) const {
  return std::all_of(lanes.begin(), lanes.end(), [&](LaneKey key) {
    const auto lane = lanes_.find(key);
    return lane != lanes_.end() && IsFirst(lane->second, sequence);
  });
}

void Lanes::Start(Sequence sequence, std::span<const LaneKey> lanes) {
  assert(IsReady(sequence, lanes));
  for (const LaneKey key : lanes) lanes_[key].active = sequence;
}

void Lanes::Stop(Sequence sequence, std::span<const LaneKey> lanes) {
  for (const LaneKey key : lanes) {
    Lane& lane = lanes_[key];
    if (lane.active == sequence) lane.active = Sequence{};
  }
}

void Lanes::Hold(Sequence sequence, std::span<const LaneKey> lanes, std::vector<Sequence>& evicted) {
  Stop(sequence, lanes);
  for (const LaneKey key : lanes) {
    Lane& lane = lanes_[key];
    lane.troubled = true;
    const auto follows = [&](Sequence other) { return other > sequence && !several_.contains(ToNumber(other)); };
    const auto first = std::find_if(lane.jobs.begin(), lane.jobs.end(), follows);
    if (first == lane.jobs.end()) continue;
    lane.parked_from = lane.parked_from ? std::min(*lane.parked_from, *first) : *first;
    std::copy_if(first, lane.jobs.end(), std::back_inserter(evicted), follows);
    lane.jobs.erase(std::remove_if(first, lane.jobs.end(), follows), lane.jobs.end());
  }
}

void Lanes::Announce(LaneKey key, const Lane& lane, LanesOpened& opened) const {
  if (lane.active != Sequence{}) return;
  if (RefillFrom(key)) {
    opened.refill.push_back(key);
  } else if (!lane.jobs.empty()) {
    const Sequence head = lane.jobs.front();
    const auto several = several_.find(ToNumber(head));
    if (several == several_.end() || IsReady(head, several->second)) opened.ready.push_back(head);
  }
}

void Lanes::Release(Sequence sequence, std::span<const LaneKey> lanes, LanesOpened& opened) {
  several_.erase(ToNumber(sequence));
  for (const LaneKey key : lanes) {
    const auto found = lanes_.find(key);
    if (found == lanes_.end()) continue;
    Lane& lane = found->second;
    const auto place = std::lower_bound(lane.jobs.begin(), lane.jobs.end(), sequence);
    if (place != lane.jobs.end() && *place == sequence) lane.jobs.erase(place);
    if (lane.active == sequence) lane.active = Sequence{};
    lane.troubled = false;
  }
  for (const LaneKey key : lanes) {
    if (const auto lane = lanes_.find(key); lane != lanes_.end()) Announce(key, lane->second, opened);
    EraseIfIdle(key);
  }
}

void Lanes::MarkParked(LaneKey lane, Sequence from) {
  std::optional<Sequence>& parked_from = lanes_[lane].parked_from;
  parked_from = parked_from ? std::min(*parked_from, from) : from;
}

std::optional<Sequence> Lanes::RefillFrom(LaneKey lane) const {
  const auto found = lanes_.find(lane);
  if (found == lanes_.end() || !found->second.parked_from || found->second.active != Sequence{}) return std::nullopt;
  const std::vector<Sequence>& jobs = found->second.jobs;
  if (!jobs.empty() && jobs.front() < *found->second.parked_from) return std::nullopt;
  return found->second.parked_from;
}

void Lanes::Refilled(LaneKey key, std::span<const Sequence> loaded, std::optional<Sequence> next, LanesOpened& opened) {
  Lane& lane = lanes_[key];
  for (const Sequence sequence : loaded) InsertSorted(lane.jobs, sequence);
  lane.parked_from = next;
  if (!RefillFrom(key)) Announce(key, lane, opened);
  EraseIfIdle(key);
}

std::optional<Sequence> Lanes::Blocker(Sequence sequence, std::span<const LaneKey> lanes) const {
  for (const LaneKey key : lanes) {
    const auto found = lanes_.find(key);
    if (found == lanes_.end()) continue;
    const Lane& lane = found->second;
    if (lane.active != Sequence{} && lane.active != sequence) return lane.active;
    if (!lane.jobs.empty() && lane.jobs.front() < sequence) return lane.jobs.front();
  }
  return std::nullopt;
}

void Lanes::EraseIfIdle(LaneKey key) {
  const auto found = lanes_.find(key);
  if (found == lanes_.end()) return;
  const Lane& lane = found->second;
  if (lane.jobs.empty() && lane.active == Sequence{} && !lane.parked_from) lanes_.erase(found);
}

}  // namespace outboxd
