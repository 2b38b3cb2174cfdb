#include "daemon/delivery/stowed_jobs.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/job.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "storage/outbox_reader.h"

namespace outboxd {
namespace {

constexpr std::size_t kTooLateAtOnce = 256;
constexpr Milliseconds kLateInterval{1000};
constexpr Milliseconds kStowedInterval = std::chrono::seconds(10);
constexpr Milliseconds kDoubtedInterval{1000};

bool HasCome(std::optional<Timestamp> last, Milliseconds interval, Timestamp now) {
  return !last || now < *last || now >= *last + interval;
}

}  // namespace

Result<void> StowedJobs::Load(OutboxReader& reader, std::string_view connection, Timestamp now) {
  ASSIGN_OR_RETURN(const std::uint64_t rows, reader.CountStowed(connection));
  rows_.Recount(rows, now);
  looked_ = now;
  ASSIGN_OR_RETURN(any_, reader.HasKept(connection));
  return any_ ? reader.ReadKept([this](LaneKey lane) { kept_.Add(std::span(&lane, 1)); }) : Result<void>();
}

void StowedJobs::OnKept(std::span<const LaneKey> lanes) {
  any_ = true;
  kept_.Add(lanes);
}

void StowedJobs::OnLeft(Stowed job, std::span<const LaneKey> lanes) {
  OnKept(lanes);
  rows_.Add();
  if (job <= passed_) {
    // Others of its millisecond may be passed once more: they are found in memory.
    passed_ = Stowed{job.due - Milliseconds(1), Sequence{}};
    is_next_known_ = false;
  } else if (is_next_known_ && (!next_ || job < *next_)) {
    next_ = job;
  }
}

Result<std::optional<StowedJobs::Stowed>> StowedJobs::Next(OutboxReader& reader,
                                                           std::string_view connection) {
  if (!any_) return std::optional<Stowed>();
  if (!is_next_known_) {
    ASSIGN_OR_RETURN(next_, reader.ReadNextStowed(connection, passed_));
    is_next_known_ = true;
  }
  return next_;
}

void StowedJobs::Pass(Stowed job) {
  passed_ = std::max(passed_, job);
  is_next_known_ = false;
}

std::optional<Timestamp> StowedJobs::NextDue(Timestamp now) const {
  if (!any_) return std::nullopt;
  if (!is_next_known_) return now;
  return next_ ? std::optional(std::max(now, next_->due)) : std::nullopt;
}

Result<std::vector<Sequence>> StowedJobs::TooLate(OutboxReader& reader, std::string_view connection,
                                                  Timestamp now, Timestamp latest) {
  if (!any_ || !HasCome(looked_late_, kLateInterval, now)) return std::vector<Sequence>();
  looked_late_ = now;
  return reader.ReadStowedAfter(connection, latest, kTooLateAtOnce);
}

void StowedJobs::OnTakenAway() {
  rows_.Doubt();
  has_taken_away_ = any_;
}

Result<bool> StowedJobs::HasEnded(OutboxReader& reader, std::string_view connection, Timestamp now) {
  const Milliseconds interval = rows_.is_doubted() ? kDoubtedInterval : kStowedInterval;
  if (!any_ || !HasCome(looked_, interval, now)) return false;
  looked_ = now;
  ASSIGN_OR_RETURN(const bool are_there, reader.HasKept(connection));
  if (are_there && rows_.MustRecount(now, kDoubtedInterval)) {
    ASSIGN_OR_RETURN(const std::uint64_t rows, reader.CountStowed(connection));
    rows_.Recount(rows, now);
  }
  return !are_there;
}

void StowedJobs::End() {
  any_ = false;
  has_taken_away_ = false;
  kept_.Clear();
  rows_.Clear();
}

}  // namespace outboxd
