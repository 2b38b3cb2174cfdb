#include "daemon/delivery/look_ahead.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "config/config.h"
#include "core/job.h"
#include "core/job_cost.h"
#include "core/policy.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "core/user_shares.h"
#include "daemon/clerk/report.h"
#include "daemon/delivery/held_jobs.h"
#include "daemon/delivery/window.h"
#include "storage/outbox_reader.h"

namespace outboxd {
namespace {

constexpr std::size_t kAheadJobs = 256;            // of all users
constexpr std::size_t kUserJobs = 64;              // who has so many in memory, however they came, has enough
constexpr std::size_t kRowsAhead = 1000;           // in one Read()
constexpr Milliseconds kInterval{1000};            // of passes at least, and after a halt at most
constexpr std::uint64_t kRowsPerMillisecond = 10;  // between the beginnings of two passes

// A window smaller than usual has smaller parts.
std::size_t PartOf(const LimitsConfig& limits, std::size_t usual, std::uint32_t part) {
  return std::min<std::size_t>(usual, limits.window_jobs / part);
}

}  // namespace

bool LookAhead::HasRoom(const LimitsConfig& limits, std::size_t bytes) const {
  const Window::Part& ahead = held_.window().ahead();
  return ahead.jobs < PartOf(limits, kAheadJobs, 2) && ahead.bytes + bytes <= limits.window_bytes / 8;
}

std::size_t LookAhead::Share(User user, const LimitsConfig& limits) const {
  if (held_.departures().troubled_users().Has(user)) return 1;
  return std::max<std::size_t>(PartOf(limits, kUserJobs, 8), 1);
}

std::optional<Timestamp> LookAhead::NextRead(const Terms& terms) const {
  if (IsHalted(terms.now)) return *halted_ + kInterval;
  if (!HasRoom(terms.limits, 1)) return std::nullopt;
  if (is_under_way_ && std::max(position_, terms.cursor) < terms.tail) return terms.now;
  if (!begun_ || terms.now < *begun_) return terms.now;
  return std::max(terms.now, *begun_ + std::max(kInterval, Milliseconds(rows_ / kRowsPerMillisecond)));
}

Result<void> LookAhead::Read(OutboxReader& reader, const Terms& terms, Report& report) {
  const std::optional<Timestamp> next = NextRead(terms);
  if (!next || *next > terms.now) return {};
  halted_.reset();
  if (!is_under_way_ || std::max(position_, terms.cursor) >= terms.tail) {
    Begin(terms);
    ASSIGN_OR_RETURN(is_under_way_, MayAnybodyGain(reader, terms.limits));
    if (!is_under_way_) return {};
  }
  position_ = std::max(position_, terms.cursor);
  ASSIGN_OR_RETURN(OutboxReader::Page page, reader.ReadAfter(terms.connection.name, position_, kRowsAhead,
                                                             terms.limits.window_bytes / 8, kRowsAhead));
  const Sequence through = page.at_end ? terms.tail : page.through;
  rows_ += std::min<std::uint64_t>(kRowsAhead, ToNumber(std::max(through, position_)) - ToNumber(position_));
  HeldByUser held = CountHeld();
  for (StoredJob& stored : page.jobs) {
    const QueuedJob& job = *stored.job;
    const Sequence sequence = job.sequence;
    Held& users = held[job.uid];
    if (sequence > terms.tail) return {};
    const bool may_gain = users.jobs < Share(job.uid, terms.limits);
    if (!HasRoom(terms.limits, 1) || (!may_gain && MustWaitFor(job.uid, users))) {
      Halt(terms.now);
      return {};
    }
    position_ = sequence;
    if (!stored.unreadable.empty() || held_.window().Find(sequence) != nullptr) continue;
    LaneList lanes = terms.connection.order == LaneOrder::kNone ? LaneList() : LanesOf(job.job);
    const bool fits = may_gain && !passed_.MayHaveAny(lanes) && HasRoom(terms.limits, WindowCost(job.job));
    ASSIGN_OR_RETURN(const bool may_take,
                     fits ? MayTake(reader, terms, sequence, lanes) : Result<bool>(false));
    if (!may_take) {
      passed_.Add(lanes);
      continue;
    }
    users = {users.jobs + 1, true};
    held_.Admit(std::move(stored), std::move(lanes), report);
    held_.MarkAhead(sequence);
  }
  position_ = page.at_end ? terms.tail : std::min(page.through, terms.tail);
  return {};
}

// Reading a page for each job that leaves would cost too much.
void LookAhead::Halt(Timestamp now) {
  halted_ = now;
  go_on_at_ = held_.window().ahead().jobs / 2;
}

bool LookAhead::IsHalted(Timestamp now) const {
  return halted_ && now >= *halted_ && now < *halted_ + kInterval && held_.window().ahead().jobs > go_on_at_;
}

// What is passed over comes only with the next pass.
bool LookAhead::MustWaitFor(User user, const Held& held) const {
  return held.is_ahead && !held_.departures().troubled_users().Has(user);
}

void LookAhead::Begin(const Terms& terms) {
  position_ = terms.cursor;
  rows_ = 0;
  begun_ = terms.now;
  passed_.Clear();
}

LookAhead::HeldByUser LookAhead::CountHeld() const {
  HeldByUser held;
  for (const auto& [sequence, entry] : held_.window().entries()) {
    if (!entry.job) continue;
    Held& users = held[entry.job->uid];
    ++users.jobs;
    users.is_ahead = users.is_ahead || entry.is_ahead();
  }
  return held;
}

Result<bool> LookAhead::MayAnybodyGain(OutboxReader& reader, const LimitsConfig& limits) const {
  ASSIGN_OR_RETURN(const std::vector<User> users, reader.ReadUsers());
  const HeldByUser held = CountHeld();
  return std::any_of(users.begin(), users.end(), [&](User user) {
    const auto found = held.find(user);
    return found == held.end() || found->second.jobs < Share(user, limits);
  });
}

// Nothing before it in its lanes is on disk alone, and it would not be sent there itself.
Result<bool> LookAhead::MayTake(OutboxReader& reader, const Terms& terms, Sequence sequence,
                                const LaneList& lanes) {
  if (held_.lanes().ParksUnder(sequence, lanes)) return false;
  if (!held_.stowed().MayKeep(lanes)) return true;
  for (const LaneKey lane : std::span<const LaneKey>(lanes)) {
    ASSIGN_OR_RETURN(const std::optional<Sequence> kept,
                     reader.FindKept(terms.connection.name, lane, Sequence{}));
    if (kept || held_.parking().FirstBeingMarked(lane)) return false;
    const std::optional<Sequence> after = held_.lanes().UnknownBehind(lane);
    if (!after) continue;
    ASSIGN_OR_RETURN(const std::optional<Sequence> parked,
                     reader.FirstParked(terms.connection.name, lane, *after));
    if (parked) return false;
  }
  return true;
}

}  // namespace outboxd
