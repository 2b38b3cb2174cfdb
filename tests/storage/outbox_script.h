// tests/storage/outbox_script.h — a fixed run of work on an outbox, step by step, and what must be in its
// tables after each.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/support/outbox_use.h"

namespace outboxd::test {

// What the tables hold. Lines differ, so they stand for the jobs.
struct Expected {
  std::set<std::string> jobs, dead;
  std::int64_t attempts = 0;
  std::int64_t delivered = 0;  // the counter
  friend bool operator==(const Expected&, const Expected&) = default;
};

inline Expected ReadTables(const std::filesystem::path& file) {
  Expected found;
  auto database = Database::Open(file, OpenMode::kReadOnly);
  REQUIRE(database);
  const auto read = [&](const char* sql, std::set<std::string>& lines) {
    auto rows = database->Prepare(sql);
    REQUIRE_MESSAGE(rows, (rows ? "" : rows.error().message));
    for (;;) {
      const auto row = rows->Step();
      REQUIRE_MESSAGE(row, (row ? "" : row.error().message));
      if (!*row) return;
      lines.insert(std::string(rows->Text(0)));
    }
  };
  read("SELECT line FROM outbox", found.jobs);
  read("SELECT line FROM dead_letters", found.dead);
  const auto attempts = database->Scalar("SELECT count(*) FROM attempts");
  REQUIRE(attempts);
  found.attempts = *attempts;
  const auto delivered = database->Scalar("SELECT ifnull(sum(delivered), 0) FROM counters");
  REQUIRE(delivered);
  found.delivered = *delivered;
  return found;
}

class OutboxScript {
 public:
  static constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

  explicit OutboxScript(std::filesystem::path file) : file_(std::move(file)) {
    steps_ = {
        [this] { return Open(); },
        [this] { return Accept(3, 20); },
        [this] { return Accept(8, 9'000); },
        [this] { return Settle(0, OutcomeKind::kDelivered); },
        [this] { return Settle(0, OutcomeKind::kDead); },
        [this] { return Settle(0, OutcomeKind::kDeferred); },
        [this] { return Settle(3, OutcomeKind::kDead); },
        [this] { return Mark(); },
        [this] { return Redrive(); },
        [this] { return Accept(20, 300); },
        [this] { return Settle(5, OutcomeKind::kDelivered); },
        [this] { return Prune(); },
        [this] { return Shrink(); },
        [this] { return Plain(outbox_->maintenance().TruncateWal()); },
        [this] { return Accept(2, 20'000); },
        [this] { return Open(); },
        [this] { return Settle(1, OutcomeKind::kDelivered); },
        [this] { return Accept(1, 20); },
    };
  }

  std::size_t Count() const { return steps_.size(); }
  // On success `expected` has moved on; on failure it is as before, and `intended` is what it would have
  // become.
  Result<void> Do(std::size_t step) {
    intended = expected;
    Result<void> done = steps_[step]();
    if (done) expected = intended;
    if (outbox_) outbox_->CheckInvariants();
    return done;
  }
  Outbox* outbox() { return outbox_ ? &*outbox_ : nullptr; }
  void Close() { outbox_.reset(); }

  Expected expected, intended;

 private:
  Result<void> Open() {
    outbox_.reset();
    ASSIGN_OR_RETURN(auto opened, Outbox::Open(file_, 7));
    outbox_.emplace(std::move(opened));
    return {};
  }

  Result<void> Accept(int count, std::size_t bytes) {
    Jobs jobs;
    WriteBatch batch;
    for (int number = 0; number < count; ++number) {
      jobs.push_back(NewJob(R"({"type":"track","id":"1","name":"n","data":{"n":)" + std::to_string(++made_) +
                            R"(,"x":")" + std::string(bytes, 'x') + R"("}})"));
      batch.accepted.push_back(jobs.back().get());
      intended.jobs.insert(jobs.back()->job.line);
    }
    Result<void> written = outbox_->Write(batch, kNow);
    if (written) std::move(jobs.begin(), jobs.end(), std::back_inserter(held_));
    return written;
  }

  Result<void> Settle(std::size_t index, OutcomeKind kind) {
    const QueuedJob& job = *held_[index];
    auto copy = NewJob(job.job.line);
    copy->sequence = job.sequence;
    copy->stamp = job.stamp;
    copy->attempts = job.attempts;
    Outcome outcome = OutcomeOf(std::move(copy), kind, 400);
    outcome.attempt->answer = std::string(900, 'a');
    ++intended.attempts;
    if (kind == OutcomeKind::kDelivered || kind == OutcomeKind::kDead) intended.jobs.erase(job.job.line);
    if (kind == OutcomeKind::kDead) intended.dead.insert(job.job.line);
    if (kind == OutcomeKind::kDelivered) ++intended.delivered;
    Result<void> written = test::Settle(*outbox_, outcome, kNow);
    if (written && kind != OutcomeKind::kDeferred)
      held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(index));
    if (written && kind == OutcomeKind::kDeferred) ++held_[index]->attempts;
    return written;
  }

  Result<void> Mark() {
    WriteBatch batch;
    batch.parks.push_back({held_[2]->sequence, LaneKey{7}, {}});
    batch.gates.emplace_back("default", GateSnapshot{});
    return outbox_->Write(batch, kNow);
  }

  Result<void> Redrive() {
    intended.jobs.insert(intended.dead.begin(), intended.dead.end());
    intended.dead.clear();
    return Plain(test::Redrive(*outbox_, DeadFilter{}, kNow));
  }

  Result<void> Prune() {
    intended.attempts = 2;
    return Plain(outbox_->maintenance().PruneHistory(FromUnixMs(0), 2, 100));
  }

  Result<void> Shrink() { return Plain(outbox_->maintenance().Shrink(1'000, 0)); }

  template <typename T>
  static Result<void> Plain(const Result<T>& result) {
    if (!result) return Failure(result.error());
    return {};
  }

  std::filesystem::path file_;
  std::optional<Outbox> outbox_;
  std::vector<std::function<Result<void>()>> steps_;
  Jobs held_;
  int made_ = 0;
};

}  // namespace outboxd::test
