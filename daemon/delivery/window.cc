#include "daemon/delivery/window.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "core/check.h"
#include "core/job.h"
#include "core/job_cost.h"
#include "core/time.h"
#include "core/ulid.h"

namespace outboxd {

std::pair<Window::Entry&, bool> Window::Add(Sequence sequence) {
  const auto [place, is_new] = entries_.try_emplace(ToNumber(sequence));
  if (is_new) Include(counts_, place->second);
  return {place->second, is_new};
}

Window::Entry* Window::Find(Sequence sequence) {
  const auto found = entries_.find(ToNumber(sequence));
  return found == entries_.end() ? nullptr : &found->second;
}

const Window::Entry* Window::Find(Sequence sequence) const {
  const auto found = entries_.find(ToNumber(sequence));
  return found == entries_.end() ? nullptr : &found->second;
}

Window::Entry& Window::At(Sequence sequence) {
  Entry* entry = Find(sequence);
  CHECK(entry != nullptr);
  return *entry;
}

void Window::Erase(Sequence sequence) {
  const auto found = entries_.find(ToNumber(sequence));
  CHECK(found != entries_.end());
  ForgetDue(sequence, found->second);
  Exclude(counts_, found->second);
  entries_.erase(found);
}

// The only place where a state changes, and with it the counts.
void Window::Move(Entry& entry, State to, std::uint32_t bytes) {
  Exclude(counts_, entry);
  const bool is_due = entry.state_ == State::kDeferred || entry.is_woken_;
  entry.is_woken_ = is_due && to != State::kDeferred;
  entry.is_ahead_ = entry.is_ahead_ && to != State::kDeferred;
  entry.state_ = to;
  entry.bytes_ = bytes;
  Include(counts_, entry);
}

// `change` adds an amount to a count, or takes it away.
template <typename Change>
void Window::Recount(Counts& counts, const Entry& entry, Change change) {
  change(counts.jobs[static_cast<std::size_t>(entry.state_)], 1);
  change(counts.bytes, entry.bytes_);
  if (entry.is_suspect_) change(counts.suspects, 1);
  const auto change_part = [&](Part& part) {
    change(part.jobs, 1);
    change(part.bytes, entry.bytes_);
  };
  if (entry.is_woken_) change_part(counts.woken[entry.is_suspect_ ? 1 : 0]);
  if (entry.is_ahead_) change_part(counts.ahead);
}

void Window::Include(Counts& counts, const Entry& entry) {
  Recount(counts, entry, [](std::size_t& count, std::size_t amount) { count += amount; });
}

void Window::Exclude(Counts& counts, const Entry& entry) {
  Recount(counts, entry, [](std::size_t& count, std::size_t amount) { count -= amount; });
}

void Window::ForgetDue(Sequence sequence, Entry& entry) {
  if (entry.state_ == State::kDeferred) CHECK(DueOf(entry).erase({entry.due_, sequence}) == 1);
}

void Window::Fill(Entry& entry, std::unique_ptr<QueuedJob> job) {
  CHECK(!entry.job && entry.state_ != State::kReady && entry.state_ != State::kInFlight);
  ForgetDue(job->sequence, entry);
  const std::size_t cost = SendCost(job->job);
  entry.send_cost_ = static_cast<std::uint32_t>(cost);
  Move(entry, State::kWaiting, static_cast<std::uint32_t>(WindowCost(job->job.line.size(), cost)));
  MarkSuspect(job->sequence, entry, job->suspicion != Suspicion::kNone);
  MoveTimes(*job);
  entry.job = std::move(job);
}

void Window::FollowClock(Milliseconds offset) {
  clock_offset_ = offset;
  for (auto& [sequence, entry] : entries_) {
    if (entry.job) MoveTimes(*entry.job);
  }
}

void Window::MarkSuspect(Sequence sequence, Entry& entry, bool is_suspect) {
  if (entry.is_suspect_ == is_suspect) return;
  ForgetDue(sequence, entry);
  Exclude(counts_, entry);
  entry.is_suspect_ = is_suspect;
  Include(counts_, entry);
  if (entry.state_ == State::kDeferred) DueOf(entry).emplace(entry.due_, sequence);
}

void Window::MarkAhead(Entry& entry) {
  Exclude(counts_, entry);
  entry.is_ahead_ = true;
  Include(counts_, entry);
}

void Window::MakeReady(Entry& entry) {
  CHECK(entry.state_ == State::kWaiting && entry.job);
  Move(entry, State::kReady, entry.bytes_);
}

void Window::MakeWait(Entry& entry) {
  CHECK(entry.state_ == State::kReady);
  Move(entry, State::kWaiting, entry.bytes_);
}

std::unique_ptr<QueuedJob> Window::Send(Entry& entry) {
  CHECK(entry.state_ == State::kReady);
  Move(entry, State::kInFlight, entry.bytes_);
  return std::move(entry.job);
}

std::unique_ptr<QueuedJob> Window::Settle(Sequence sequence, Entry& entry) {
  CHECK(entry.state_ != State::kSettling && (entry.state_ != State::kWaiting || !entry.job));
  ForgetDue(sequence, entry);
  Move(entry, State::kSettling, entry.bytes_);
  return std::move(entry.job);
}

void Window::Defer(Sequence sequence, Entry& entry, std::optional<Timestamp> due) {
  CHECK(!entry.job && entry.state_ != State::kInFlight);
  ForgetDue(sequence, entry);
  Move(entry, State::kDeferred, 0);
  entry.due_ = due;
  DueOf(entry).emplace(due, sequence);
}

std::optional<Window::Due> Window::NextDue(bool of_suspects, Timestamp now, Milliseconds longest) const {
  const DueSet& waiting = due_[of_suspects ? 1 : 0];
  if (waiting.empty()) return std::nullopt;
  const auto is_over = [&](std::optional<Timestamp> due) { return !due || *due > now + longest; };
  if (const auto& [due, sequence] = *waiting.rbegin(); is_over(due)) return Due{sequence, now};
  const auto& [due, sequence] = *waiting.begin();
  return Due{sequence, due.value_or(now)};
}

std::optional<Window::Due> Window::NextDue(Timestamp now, Milliseconds longest) const {
  const std::optional<Due> suspect = NextDue(true, now, longest);
  const std::optional<Due> other = NextDue(false, now, longest);
  return suspect && (!other || suspect->at < other->at) ? suspect : other;
}

std::size_t Window::CountParked() const {
  return static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(), [](const auto& entry) { return entry.second.parked; }));
}

void Window::CheckInvariants() const {
  Counts counts;
  for (const auto& [sequence, entry] : entries_) {
    Include(counts, entry);
    CHECK((entry.job != nullptr) == (entry.state_ == State::kWaiting || entry.state_ == State::kReady));
    CHECK(!entry.job || ToNumber(entry.job->sequence) == sequence);
    CHECK(!entry.job || entry.is_suspect_ == (entry.job->suspicion != Suspicion::kNone));
    CHECK(!entry.removed || entry.state_ == State::kInFlight || entry.state_ == State::kSettling);
    CHECK((entry.state_ == State::kDeferred) ==
          due_[entry.is_suspect_ ? 1 : 0].contains({entry.due_, Sequence{sequence}}));
    CHECK(entry.state_ != State::kDeferred || entry.bytes_ == 0);
  }
  CHECK(counts == counts_);
  CHECK(due_[0].size() + due_[1].size() == In(State::kDeferred));
}

}  // namespace outboxd
