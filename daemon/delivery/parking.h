// daemon/delivery/parking.h — the jobs of one connection that wait on disk for earlier ones of their lane.
//
// A job is parked when its row is marked with a lane of it, and with the others that it keeps. Until the mark
// is written (the clerk tells by ticket) it is under way, and none of the lanes is read past it. A lane whose
// head has left is read back ("refilled").
// Rows beyond the frontier, the highest row read so far, are not taken: rows of the lane that are not parked
// may stand before them.
// No thread, no lock: belongs to the dispatcher.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "core/job.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/clerk/report.h"
#include "storage/outbox_reader.h"

namespace outboxd {

// A number of rows on disk that may be off: an operator takes rows away without telling which. Recount() sets
// it right.
class EstimatedRows {
 public:
  void Add() { ++rows_; }
  void Subtract() { rows_ -= rows_ > 0 ? 1 : 0; }  // an estimate too low stays at none
  void Doubt() { is_doubted_ = true; }
  bool is_doubted() const { return is_doubted_; }
  // Whether it is doubted and the last recount is `interval` old.
  bool MustRecount(Timestamp now, Milliseconds interval) const;
  void Recount(std::uint64_t rows, Timestamp now);
  void Clear() { rows_ = 0; }  // there are none for certain
  std::uint64_t rows() const { return rows_; }

 private:
  std::uint64_t rows_ = 0;
  bool is_doubted_ = false;
  std::optional<Timestamp> counted_;
};

class Parking {
 public:
  // The row is to be marked; `report`, which has its ticket, takes the mark along. Counts it as out of
  // memory. `lanes` are all of the job, `lane` is the one where it waits.
  void Mark(Sequence sequence, LaneKey lane, std::span<const LaneKey> lanes, Report& report);
  // Every report up to `ticket` is written. The lanes marked with them are to be refilled.
  void OnTicket(std::uint64_t ticket);
  std::size_t marks_under_way() const { return marks_under_way_; }  // one for each lane of a row
  bool IsMarking() const { return !marks_.empty(); }
  std::optional<Sequence> FirstBeingMarked(LaneKey lane) const;

  void RefillLater(LaneKey lane, Sequence from);  // once the frontier has come to `from`, or now if it has
  void RefillSoon(std::span<const LaneKey> lanes);
  std::optional<LaneKey> NextRefill() const;
  void PopRefill() { refills_.pop_front(); }  // requires NextRefill()
  // What may be taken of the rows read for `lane`: the others are erased. Returns the first that is not
  // taken.
  std::optional<Sequence> Cut(LaneKey lane, OutboxReader::Parked& read) const;

  Sequence frontier() const { return frontier_; }
  void MoveFrontier(Sequence through);  // never back

  EstimatedRows& out_of_memory() { return out_of_memory_; }
  const EstimatedRows& out_of_memory() const { return out_of_memory_; }

  // Aborts when the marks under way are counted wrong or a refill waits although the frontier has come.
  // For tests.
  void CheckInvariants() const;
  // Whether something will have `lane` refilled: a refill, now or later, or a mark under way. Slow; for
  // tests.
  bool WillRefill(LaneKey lane) const;

 private:
  struct Marks {
    Sequence first{};
    std::size_t rows = 0;
  };
  void MarkIn(LaneKey lane, Sequence sequence, std::uint64_t ticket);

  std::map<std::pair<LaneKey, std::uint64_t>, Marks> marks_;  // by lane and ticket
  std::size_t marks_under_way_ = 0;
  std::deque<LaneKey> refills_;
  std::multimap<Sequence, LaneKey> later_refills_;  // by the parked row, all beyond the frontier
  Sequence frontier_{};
  EstimatedRows out_of_memory_;
};

}  // namespace outboxd
