#include "daemon/delivery/parking.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/check.h"
#include "core/job.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/clerk/report.h"
#include "storage/outbox.h"
#include "storage/outbox_reader.h"

namespace outboxd {

bool EstimatedRows::MustRecount(Timestamp now, Milliseconds interval) const {
  if (!is_doubted_) return false;
  return !counted_ || now < *counted_ || now >= *counted_ + interval;
}

void EstimatedRows::Recount(std::uint64_t rows, Timestamp now) {
  rows_ = rows;
  is_doubted_ = false;
  counted_ = now;
}

void Parking::Mark(Sequence sequence, LaneKey lane, std::span<const LaneKey> lanes, Report& report) {
  CHECK(report.ticket.has_value());
  Park& park = report.parks.emplace_back(Park{sequence, lane, {}});
  MarkIn(lane, sequence, *report.ticket);
  for (const LaneKey other : lanes) {
    if (other == lane) continue;
    park.others.push_back(other);
    MarkIn(other, sequence, *report.ticket);
  }
  out_of_memory_.Add();
}

void Parking::MarkIn(LaneKey lane, Sequence sequence, std::uint64_t ticket) {
  Marks& marks = marks_.try_emplace({lane, ticket}, Marks{sequence, 0}).first->second;
  marks.first = std::min(marks.first, sequence);
  ++marks.rows;
  ++marks_under_way_;
}

void Parking::OnTicket(std::uint64_t ticket) {
  std::erase_if(marks_, [&](const auto& entry) {
    const auto& [lane, written_with] = entry.first;
    if (written_with > ticket) return false;
    marks_under_way_ -= entry.second.rows;
    refills_.push_back(lane);
    return true;
  });
}

std::optional<Sequence> Parking::FirstBeingMarked(LaneKey lane) const {
  std::optional<Sequence> first;
  for (auto place = marks_.lower_bound({lane, 0}); place != marks_.end() && place->first.first == lane;
       ++place) {
    first = first ? std::min(*first, place->second.first) : place->second.first;
  }
  return first;
}

void Parking::RefillLater(LaneKey lane, Sequence from) {
  if (from > frontier_) {
    later_refills_.emplace(from, lane);
  } else {
    refills_.push_back(lane);
  }
}

void Parking::RefillSoon(std::span<const LaneKey> lanes) {
  refills_.insert(refills_.end(), lanes.begin(), lanes.end());
}

std::optional<LaneKey> Parking::NextRefill() const {
  return refills_.empty() ? std::nullopt : std::optional(refills_.front());
}

std::optional<Sequence> Parking::Cut(LaneKey lane, OutboxReader::Parked& read) const {
  std::optional<Sequence> next = FirstBeingMarked(lane);
  if (read.next) next = next ? std::min(*next, *read.next) : *read.next;
  const auto goes = [&](const StoredJob& stored) {
    return stored.job->sequence <= frontier_ && (!next || stored.job->sequence < *next);
  };
  const auto end = std::find_if_not(read.jobs.begin(), read.jobs.end(), goes);
  if (end != read.jobs.end()) next = next ? std::min(*next, end->job->sequence) : end->job->sequence;
  read.jobs.erase(end, read.jobs.end());
  return next;
}

void Parking::MoveFrontier(Sequence through) {
  frontier_ = std::max(frontier_, through);
  while (!later_refills_.empty() && later_refills_.begin()->first <= frontier_) {
    refills_.push_back(later_refills_.begin()->second);
    later_refills_.erase(later_refills_.begin());
  }
}

bool Parking::WillRefill(LaneKey lane) const {
  const auto is_lane = [&](const auto& later) { return later.second == lane; };
  return FirstBeingMarked(lane) || std::find(refills_.begin(), refills_.end(), lane) != refills_.end() ||
         std::any_of(later_refills_.begin(), later_refills_.end(), is_lane);
}

void Parking::CheckInvariants() const {
  std::size_t rows = 0;
  for (const auto& [key, marks] : marks_) {
    CHECK(marks.rows > 0);
    rows += marks.rows;
  }
  CHECK(rows == marks_under_way_);
  CHECK(later_refills_.empty() || later_refills_.begin()->first > frontier_);
}

}  // namespace outboxd
