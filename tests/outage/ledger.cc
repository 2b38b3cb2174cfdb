#include "tests/outage/ledger.h"

#include <algorithm>
#include <string>
#include <utility>

#include "tests/simulation/violation.h"

namespace outboxd::outage {
namespace {

using simulation::Demand;

// A gate takes a few seconds to find its pace; and a tenth more than the rate asks for is not starvation.
constexpr std::chrono::seconds kPatience{30};
constexpr double kUnhurried = 1.1;
constexpr double kBulk = 0.95;
// What may be in memory beyond window_jobs: retries that are due.
constexpr std::uint64_t kRetriesBesideWindow = 256;
// Jobs of one customer in memory, at the most: each waits for those that were ready when the one before it
// was settled.
constexpr std::uint64_t kTurnsInMemory = 6;

std::string Job(std::uint64_t number) {
  return "job " + std::to_string(number);
}

Milliseconds TimeFor(double jobs, double per_second) {
  return std::chrono::ceil<Milliseconds>(std::chrono::duration<double>(jobs / per_second));
}

// Of a job for its next attempt.
Milliseconds LongestWait(const RetryPolicy& retry, std::uint32_t attempts) {
  Milliseconds wait = retry.base;
  for (std::uint32_t attempt = 1; attempt < attempts && wait < retry.cap; ++attempt) wait *= 2;
  return std::min(wait, retry.cap);
}

}  // namespace

Ledger::Ledger(const Crowd& crowd, ConnectionConfig config, LimitsConfig limits, std::uint64_t backlog)
    : crowd_(crowd),
      config_(std::move(config)),
      limits_(limits),
      backlog_(backlog),
      customers_(crowd.CustomerCount()) {
  fates_.resize(2 * backlog);  // touched now, so that none of it counts as the daemon's growth
  fates_.clear();
}

std::chrono::seconds Ledger::MaxAgeOf(std::uint64_t number) const {
  return crowd_.MaxAgeOf(number).value_or(config_.retry.max_age);
}

void Ledger::OnAccepted(std::uint64_t count, std::uint64_t waiting, Timestamp now) {
  for (std::uint64_t left = count; left > 0; --left) {
    const std::uint64_t number = ++figures_.accepted;
    fates_.push_back(Fate::kWaits);
    Customer& customer = customers_[crowd_.CustomerOf(number)];
    ++customer.jobs;
    if (customer.was_tried) ++jobs_of_tried_;
    if (number > backlog_) fresh_.push_back({now, waiting});
  }
  OnSettled(waiting);
}

void Ledger::OnApiDown(Timestamp now, Timestamp until) {
  down_since_ = now;
  down_until_ = until;
}

void Ledger::OnRequest(std::uint64_t jobs, Timestamp now) {
  Demand(!is_closed_ || jobs == 1, "a batch leaves through a closed gate");
  Demand(jobs == 1 || config_.batch.mode != BatchMode::kOff, "a batch leaves though there are to be none");
  Demand(config_.batch.mode != BatchMode::kAuto || jobs <= 2 * largest_taken_,
         "a batch of " + std::to_string(jobs) + " leaves, though the largest taken has " +
             std::to_string(largest_taken_));
  ++out_;
  figures_.most_jobs = std::max(figures_.most_jobs, jobs);
  if (opened_) ++figures_.requests;
  CheckRate(now);
  CheckRamp(now);
}

void Ledger::OnRequestAnswered(std::uint64_t jobs, bool well) {
  --out_;
  if (!well) return;
  if (opened_) ++successes_;
  largest_taken_ = std::max(largest_taken_, jobs);
}

void Ledger::OnSent(const QueuedJob& job, std::uint64_t number, Timestamp now) {
  Demand(number >= 1 && number <= figures_.accepted, Job(number) + " was never accepted");
  Fate& fate = fates_[number - 1];
  Customer& customer = customers_[crowd_.CustomerOf(number)];
  Demand(fate == Fate::kWaits || fate == Fate::kTried,
         Job(number) + " leaves again, though it is out or delivered");
  Demand(job.job.customer == std::to_string(crowd_.CustomerOf(number)),
         Job(number) + " is of another customer than its line said");
  Demand(!customer.is_out, Job(number) + " leaves beside another of its customer");
  Demand(number > customer.last, Job(number) + " leaves after a later one of its customer was delivered");
  Demand(now - job.stamp.accepted <= MaxAgeOf(number), Job(number) + " is sent beyond its max age");
  if (is_closed_) {
    Demand(probe_ == 0, "a second request leaves through a closed gate");
    probe_ = number;
  }
  figures_.most_attempts = std::max<std::uint64_t>(figures_.most_attempts, job.attempts + 1);
  customer.is_out = true;
  if (fate == Fate::kTried) CheckRetry(number, now);
  if (fate == Fate::kWaits) CheckTurn(number, customer);
  fate = Fate::kOut;
}

// The config's promise for every stretch of time, short or long: rate_limit times its length, and a tenth of
// a second's worth.
void Ledger::CheckRate(Timestamp now) {
  const double since = std::chrono::duration<double>(now - last_sent_).count();
  bucket_ = std::max(0.0, bucket_ - since * config_.rate_limit) + 1;
  last_sent_ = now;
  Demand(bucket_ <= std::max(1.0, config_.rate_limit / 10) + 0.001,
         "more requests leave than rate_limit allows");
}

// From the first success on one request, and then one more at most for each that was answered well.
void Ledger::CheckRamp(Timestamp now) {
  Demand(out_ <= config_.max_in_flight, "more requests are out than max_in_flight allows");
  figures_.most_out = std::max(figures_.most_out, out_);
  if (!opened_) return;
  Demand(out_ <= successes_ + 1,
         std::to_string(out_) + " requests are out after " + std::to_string(successes_) + " successes");
  if (now < *opened_ + std::chrono::minutes(1)) ++figures_.first_minute;
  if (now >= *opened_ + std::chrono::seconds(1)) return;
  ++figures_.first_second;
  figures_.most_out_first_second = std::max(figures_.most_out_first_second, out_);
}

// Oldest first, as far as memory holds, but for customers whose first job is deferred.
void Ledger::CheckTurn(std::uint64_t number, const Customer& customer) {
  const std::uint64_t most = limits_.window_jobs + kRetriesBesideWindow;
  const std::uint64_t before = number - 1;
  const std::uint64_t ahead_of = before - std::min(settled_, before);
  figures_.most_ahead_of = std::max(figures_.most_ahead_of, ahead_of);
  Demand(ahead_of <= most + jobs_of_tried_,
         Job(number) + " leaves while " + std::to_string(ahead_of) + " accepted before it are not settled");
  if (customer.was_tried) return;
  const std::uint64_t behind = settled_ - std::min(settled_, before);
  figures_.most_behind = std::max(figures_.most_behind, behind);
  Demand(behind <= kTurnsInMemory * most,
         Job(number) + " leaves after " + std::to_string(behind) + " that were accepted after it");
}

// A backlog does not starve what was tried before.
void Ledger::CheckRetry(std::uint64_t number, Timestamp now) {
  const Timestamp due = due_.extract(number).mapped();
  if (opened_)
    Demand(now <= std::max(due, *opened_) + kPatience,
           Job(number) + ", tried during the outage, was not tried again in time");
}

void Ledger::OnAnswered(const QueuedJob& job, std::uint64_t number, bool well, Timestamp now) {
  Customer& customer = customers_[crowd_.CustomerOf(number)];
  customer.is_out = false;
  const bool was_probe = number == probe_;
  if (was_probe) probe_ = 0;
  if (well) {
    fates_[number - 1] = Fate::kDelivered;
    customer.last = number;
    OnDelivered(number, customer, now);
    return;
  }
  fates_[number - 1] = Fate::kTried;
  due_[number] = now + LongestWait(config_.retry, job.attempts + 1);
  if (was_probe) ++figures_.probes;
  if (!std::exchange(customer.was_tried, true)) {
    ++figures_.tried_customers;
    jobs_of_tried_ += customer.jobs;
  }
  is_closed_ = true;
  CheckProbes(now);
}

// Waits double up to retry.cap and are drawn evenly below that: half of it on average.
void Ledger::CheckProbes(Timestamp now) const {
  const double expected = std::chrono::duration<double>(now - down_since_) / (config_.retry.cap / 2.0);
  Demand(static_cast<double>(figures_.probes) <= 30 + 1.5 * expected,
         "the closed gate lets more than its share of probes out");
}

void Ledger::OnDelivered(std::uint64_t number, const Customer& customer, Timestamp now) {
  ++figures_.delivered;
  if (!opened_) {
    opened_ = now;
    is_closed_ = false;
    figures_.noticed = now - down_until_;
    Demand(figures_.noticed <= config_.retry.cap + config_.timeout, "the API's return is noticed too late");
  }
  if (number > backlog_) return CheckWait(number, customer, now);
  figures_.drained = now - *opened_;
  if (static_cast<double>(++drained_) > kBulk * static_cast<double>(backlog_)) return;
  figures_.bulk_drained = now - *opened_;
  figures_.bulk = figures_.delivered;
}

// A job waits for those before it, at the rate limit's pace, and for nobody else.
void Ledger::CheckWait(std::uint64_t number, const Customer& customer, Timestamp now) {
  const Fresh& fresh = fresh_[number - backlog_ - 1];
  const Timestamp since = std::max(fresh.accepted, *opened_);
  Milliseconds longest =
      TimeFor(static_cast<double>(fresh.ahead) * kUnhurried, config_.rate_limit) + kPatience;
  if (customer.was_tried) longest += config_.retry.cap;
  Demand(now - since <= longest, Job(number) + " waited for longer than those before it need");
  figures_.waits.push_back(now - since);
  if (crowd_.IsNew(crowd_.CustomerOf(number)))
    figures_.longest_wait_of_new = std::max(figures_.longest_wait_of_new, now - since);
}

void Ledger::CheckEnd(Database& tables, std::uint64_t first) {
  Demand(out_ == 0, "a request was never answered");
  const Result<std::int64_t> left = tables.Scalar("SELECT count(*) FROM outbox");
  Demand(left && *left == 0, "the outbox is not empty");
  Result<Statement> dead =
      tables.Prepare("SELECT seq, death, reason, dead_ms - accepted_ms FROM dead_letters");
  Demand(dead.has_value(), "the dead letters cannot be read");
  for (;;) {
    const Result<bool> row = dead->Step();
    Demand(row.has_value(), "the dead letters cannot be read");
    if (!*row) break;
    const std::uint64_t number = static_cast<std::uint64_t>(dead->Int(0)) - first + 1;
    Demand(number >= 1 && number <= figures_.accepted, "a dead letter that was never accepted");
    Demand(dead->Text(1) == "expired",
           Job(number) + " died otherwise than of its age: " + std::string(dead->Text(1)));
    Demand(!dead->Text(2).empty(), Job(number) + " died without a reason");
    Demand(Milliseconds(dead->Int(3)) > MaxAgeOf(number), Job(number) + " expired before its time");
    Demand(std::exchange(fates_[number - 1], Fate::kExpired) != Fate::kDelivered,
           Job(number) + " was delivered and died");
    ++figures_.expired;
  }
  const auto lost = std::find_if(fates_.begin(), fates_.end(), [](Fate fate) {
    return fate != Fate::kDelivered && fate != Fate::kExpired;
  });
  Demand(lost == fates_.end(),
         Job(static_cast<std::uint64_t>(lost - fates_.begin()) + 1) + " was neither delivered nor buried");
}

}  // namespace outboxd::outage
