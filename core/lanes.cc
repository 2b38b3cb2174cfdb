#include "core/lanes.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <iterator>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/job.h"
#include "core/ulid.h"

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
  return !lane.turn && !lane.jobs.empty() && lane.jobs.front() == sequence &&
         (!lane.parked_from || sequence < *lane.parked_from);
}

// A job before all those held (a redriven one) is not parked unless others before it are.
bool Lanes::Parks(const Lane& lane, Sequence sequence) const {
  if (lane.parked_from && *lane.parked_from < sequence) return true;
  const bool last = lane.jobs.empty() || lane.jobs.back() < sequence;
  const auto before = last ? lane.jobs.end() : std::lower_bound(lane.jobs.begin(), lane.jobs.end(), sequence);
  if (before == lane.jobs.begin()) return false;
  return lane.troubled || static_cast<std::size_t>(before - lane.jobs.begin()) >= lane_jobs_max_;
}

bool Lanes::HasTurn(Sequence sequence, std::span<const LaneKey> lanes) const {
  return std::all_of(lanes.begin(), lanes.end(), [&](LaneKey key) {
    const auto lane = lanes_.find(key);
    return lane != lanes_.end() && lane->second.turn == sequence;
  });
}

// In all of its lanes or in none: a job never keeps one lane while it waits for another.
bool Lanes::GiveTurn(Sequence sequence, std::span<const LaneKey> lanes) {
  const bool first =
      std::all_of(lanes.begin(), lanes.end(), [&](LaneKey key) { return IsFirst(lanes_[key], sequence); });
  if (!first) return false;
  for (const LaneKey key : lanes) lanes_[key].turn = sequence;
  return true;
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
    if (!IsFirst(lane, sequence)) return Admission::kWaits;
    lane.turn = sequence;
    return Admission::kReady;
  }
  if (const std::optional<LaneKey> under = ParksUnder(sequence, lanes)) {
    MarkParked(*under, sequence);
    return Admission::kPark;
  }
  Join(sequence, lanes);
  return GiveTurn(sequence, lanes) ? Admission::kReady : Admission::kWaits;
}

void Lanes::Join(Sequence sequence, std::span<const LaneKey> lanes) {
  pinned_.emplace(ToNumber(sequence), std::vector<LaneKey>(lanes.begin(), lanes.end()));
  for (const LaneKey key : lanes) InsertSorted(lanes_[key].jobs, sequence);
}

std::optional<LaneKey> Lanes::ParksUnder(Sequence sequence, std::span<const LaneKey> lanes) const {
  const auto parks = [&](LaneKey key) {
    const auto lane = lanes_.find(key);
    return lane != lanes_.end() && Parks(lane->second, sequence);
  };
  const auto found = std::find_if(lanes.begin(), lanes.end(), parks);
  return found == lanes.end() ? std::nullopt : std::optional(*found);
}

bool Lanes::IsReady(Sequence sequence, std::span<const LaneKey> lanes) const {
  return std::all_of(lanes.begin(), lanes.end(), [&](LaneKey key) {
    const auto lane = lanes_.find(key);
    return lane != lanes_.end() && lane->second.turn == sequence && !lane->second.active;
  });
}

void Lanes::Start(Sequence sequence, std::span<const LaneKey> lanes) {
  for (const LaneKey key : lanes) {
    const auto lane = lanes_.find(key);
    CHECK(lane != lanes_.end() && lane->second.turn == sequence && !lane->second.active);
    lane->second.active = true;
  }
}

void Lanes::Stop(Sequence sequence, std::span<const LaneKey> lanes) {
  for (const LaneKey key : lanes) {
    const auto lane = lanes_.find(key);
    if (lane != lanes_.end() && lane->second.turn == sequence) lane->second.active = false;
  }
}

void Lanes::Hold(Sequence sequence, std::span<const LaneKey> lanes, std::vector<Sequence>& evicted) {
  if (!HasTurn(sequence, lanes)) {
    for (const LaneKey key : lanes) InsertSorted(lanes_[key].jobs, sequence);
    // Its time is kept elsewhere: as a parked row it would lose it.
    if (!GiveTurn(sequence, lanes))
      pinned_.emplace(ToNumber(sequence), std::vector<LaneKey>(lanes.begin(), lanes.end()));
  }
  Stop(sequence, lanes);
  for (const LaneKey key : lanes) {
    Lane& lane = lanes_[key];
    lane.troubled = true;
    const auto follows = [&](Sequence other) {
      return other > sequence && other != lane.turn && !pinned_.contains(ToNumber(other));
    };
    const auto first = std::find_if(lane.jobs.begin(), lane.jobs.end(), follows);
    if (first == lane.jobs.end()) continue;
    lane.parked_from = lane.parked_from ? std::min(*lane.parked_from, *first) : *first;
    std::copy_if(first, lane.jobs.end(), std::back_inserter(evicted), follows);
    lane.jobs.erase(std::remove_if(first, lane.jobs.end(), follows), lane.jobs.end());
  }
}

void Lanes::Announce(Map::iterator place, LanesOpened& opened) {
  Lane& lane = place->second;
  if (lane.turn) return;
  if (RefillFrom(lane)) {
    opened.refill.push_back(place->first);
    return;
  }
  if (lane.jobs.empty()) return;
  const Sequence head = lane.jobs.front();
  const auto pinned = pinned_.empty() ? pinned_.end() : pinned_.find(ToNumber(head));
  const std::span<const LaneKey> lanes =
      pinned == pinned_.end() ? std::span<const LaneKey>(&place->first, 1) : pinned->second;
  if (GiveTurn(head, lanes)) opened.ready.push_back(head);
}

void Lanes::Leave(Lane& lane, Sequence sequence) {
  const auto place = std::lower_bound(lane.jobs.begin(), lane.jobs.end(), sequence);
  if (place != lane.jobs.end() && *place == sequence) lane.jobs.erase(place);
  if (lane.turn == sequence) {
    lane.turn.reset();
    lane.active = false;
  }
  if (!lane.turn) lane.troubled = false;
}

void Lanes::Release(Sequence sequence, std::span<const LaneKey> lanes, LanesOpened& opened) {
  if (!pinned_.empty()) pinned_.erase(ToNumber(sequence));
  if (lanes.size() == 1) {
    const auto found = lanes_.find(lanes[0]);
    if (found == lanes_.end()) return;
    Leave(found->second, sequence);
    Announce(found, opened);
    EraseIfIdle(found);
    return;
  }
  for (const LaneKey key : lanes) {
    if (const auto found = lanes_.find(key); found != lanes_.end()) Leave(found->second, sequence);
  }
  for (const LaneKey key : lanes) {
    const auto found = lanes_.find(key);
    if (found == lanes_.end()) continue;
    Announce(found, opened);
    EraseIfIdle(found);
  }
}

bool Lanes::Forget(Sequence sequence, std::span<const LaneKey> lanes) {
  const bool is_alone = std::all_of(lanes.begin(), lanes.end(), [&](LaneKey key) {
    const auto lane = lanes_.find(key);
    return lane != lanes_.end() && lane->second.jobs.size() == 1 && lane->second.jobs.front() == sequence &&
           !lane->second.active;
  });
  if (!is_alone) return false;
  for (const LaneKey key : lanes) lanes_.erase(key);
  pinned_.erase(ToNumber(sequence));
  return true;
}

void Lanes::MarkParked(LaneKey lane, Sequence from) {
  std::optional<Sequence>& parked_from = lanes_[lane].parked_from;
  parked_from = parked_from ? std::min(*parked_from, from) : from;
}

bool Lanes::Holds(LaneKey lane) const {
  const auto found = lanes_.find(lane);
  return found != lanes_.end() && !found->second.jobs.empty();
}

std::optional<Sequence> Lanes::UnknownBehind(LaneKey lane) const {
  const auto found = lanes_.find(lane);
  if (found == lanes_.end()) return Sequence{};
  if (found->second.parked_from) return std::nullopt;
  return found->second.jobs.empty() ? Sequence{} : found->second.jobs.back();
}

std::optional<Sequence> Lanes::RefillFrom(LaneKey lane) const {
  const auto found = lanes_.find(lane);
  return found == lanes_.end() ? std::nullopt : RefillFrom(found->second);
}

std::optional<Sequence> Lanes::RefillFrom(const Lane& lane) {
  if (!lane.parked_from || lane.turn) return std::nullopt;
  if (!lane.jobs.empty() && lane.jobs.front() < *lane.parked_from) return std::nullopt;
  return lane.parked_from;
}

void Lanes::Refilled(LaneKey key, std::span<const Sequence> loaded, std::optional<Sequence> next,
                     LanesOpened& opened) {
  const auto place = lanes_.try_emplace(key).first;
  Lane& lane = place->second;
  for (const Sequence sequence : loaded) InsertSorted(lane.jobs, sequence);
  const bool moved_on = !lane.parked_from || !next || *lane.parked_from < *next;
  lane.parked_from = next;
  if (moved_on || !RefillFrom(lane)) Announce(place, opened);
  EraseIfIdle(place);
}

std::span<const Sequence> Lanes::Behind(Sequence sequence, LaneKey key) const {
  const auto found = lanes_.find(key);
  if (found == lanes_.end()) return {};
  const auto& [jobs, turn, parked_from, active, troubled] = found->second;
  const auto first = std::upper_bound(jobs.begin(), jobs.end(), sequence);
  const auto end = parked_from ? std::lower_bound(first, jobs.end(), *parked_from) : jobs.end();
  return {first, end};
}

bool Lanes::HasFollowers(Sequence sequence, std::span<const LaneKey> lanes) const {
  return std::any_of(lanes.begin(), lanes.end(), [&](LaneKey key) {
    const auto lane = lanes_.find(key);
    if (lane == lanes_.end()) return false;
    const std::vector<Sequence>& jobs = lane->second.jobs;
    return lane->second.parked_from || (!jobs.empty() && jobs.back() > sequence);
  });
}

std::optional<Sequence> Lanes::Blocker(Sequence sequence, std::span<const LaneKey> lanes) const {
  for (const LaneKey key : lanes) {
    const auto found = lanes_.find(key);
    if (found == lanes_.end()) continue;
    const Lane& lane = found->second;
    if (lane.turn == sequence) continue;
    if (lane.turn) return lane.turn;
    if (!lane.jobs.empty() && lane.jobs.front() < sequence) return lane.jobs.front();
  }
  return std::nullopt;
}

std::vector<std::pair<LaneKey, std::span<const Sequence>>> Lanes::Held() const {
  std::vector<std::pair<LaneKey, std::span<const Sequence>>> held;
  held.reserve(lanes_.size());
  for (const auto& [key, lane] : lanes_) held.emplace_back(key, lane.jobs);
  return held;
}

void Lanes::CheckInvariants() const {
  for (const auto& [key, lane] : lanes_) {
    CHECK(std::adjacent_find(lane.jobs.begin(), lane.jobs.end(), std::greater_equal()) == lane.jobs.end());
    CHECK(!lane.jobs.empty() || lane.parked_from);
    if (lane.turn) {
      CHECK(std::binary_search(lane.jobs.begin(), lane.jobs.end(), *lane.turn));
      continue;
    }
    CHECK(!lane.active);
    if (lane.jobs.empty() || !IsFirst(lane, lane.jobs.front())) continue;
    const Sequence head = lane.jobs.front();
    const auto pinned = pinned_.find(ToNumber(head));
    CHECK(pinned != pinned_.end());  // or it would have the turn
    CHECK(std::any_of(pinned->second.begin(), pinned->second.end(),
                      [&](LaneKey other) { return !IsFirst(lanes_.at(other), head); }));
  }
  for (const auto& [sequence, keys] : pinned_) {
    for (const LaneKey key : keys) {
      const auto lane = lanes_.find(key);
      CHECK(lane != lanes_.end());
      CHECK(std::binary_search(lane->second.jobs.begin(), lane->second.jobs.end(), Sequence{sequence}));
    }
  }
}

void Lanes::EraseIfIdle(Map::iterator place) {
  const Lane& lane = place->second;
  if (lane.jobs.empty() && !lane.turn && !lane.parked_from) lanes_.erase(place);
}

}  // namespace outboxd
