// tests/support/outbox_use.h — short ways to drive an Outbox in a test, and to check that what it counts is
// there.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/job_line.h"
#include "storage/history_pack.h"
#include "storage/outbox.h"
#include "storage/outbox_reader.h"

namespace outboxd::test {

using Jobs = std::vector<std::unique_ptr<QueuedJob>>;

inline std::string TrackLine(const std::string& customer, const std::string& name = "purchase",
                             const std::string& connection = "default") {
  return R"({"type":"track","id":")" + customer + R"(","name":")" + name + R"(","connection":")" +
         connection + R"("})";
}

inline std::unique_ptr<QueuedJob> NewJob(std::string line) {
  auto job = ParseJobLine(std::move(line));
  REQUIRE_MESSAGE(job, (job ? "" : job.error().message));
  auto queued = std::make_unique<QueuedJob>();
  queued->job = std::move(*job);
  return queued;
}

inline Result<Jobs> Accept(Outbox& outbox, const std::vector<std::string>& lines, Timestamp now) {
  Jobs jobs;
  WriteBatch batch;
  for (const std::string& line : lines) batch.accepted.push_back(jobs.emplace_back(NewJob(line)).get());
  RETURN_IF_ERROR(outbox.Write(batch, now));
  return jobs;
}

inline Result<std::vector<StoredJob>> ReadDeferred(OutboxReader& reader, std::string_view connection) {
  std::vector<StoredJob> all;
  RETURN_IF_ERROR(
      reader.ReadDeferred(connection, [&](StoredJob stored) { all.push_back(std::move(stored)); }));
  return all;
}

// Whole walks, in steps of `rows_max`.
inline Result<std::vector<Sequence>> Redrive(Outbox& outbox, const DeadFilter& filter, Timestamp now,
                                             std::size_t rows_max = 100) {
  std::vector<Sequence> all;
  OperatorWork::Walk walk;
  for (bool more = true; more;) {
    ASSIGN_OR_RETURN(const OperatorWork::Step step,
                     outbox.operator_work().Redrive(filter, walk, now, rows_max));
    all.insert(all.end(), step.sequences.begin(), step.sequences.end());
    more = step.more;
  }
  return all;
}

inline Result<Counts> Forget(Outbox& outbox, const std::string& customer,
                             const std::optional<std::string>& connection = std::nullopt,
                             std::size_t rows_max = 100) {
  Counts counts;
  OperatorWork::Walk walk;
  for (bool more = true; more;) {
    ASSIGN_OR_RETURN(const OperatorWork::Step step,
                     outbox.operator_work().Forget(customer, connection, walk, rows_max, counts));
    more = step.more;
  }
  return counts;
}

// The outcome of an attempt that was answered with `status` (0: nothing left).
inline Outcome OutcomeOf(std::unique_ptr<QueuedJob> job, OutcomeKind kind, int status,
                         Timestamp now = FromUnixMs(5'000)) {
  Outcome outcome;
  outcome.job = std::move(job);
  outcome.kind = kind;
  if (status != 0) {
    ++outcome.job->attempts;
    outcome.attempt.emplace();
    outcome.attempt->sent = now;
    outcome.attempt->duration = Milliseconds(12);
    outcome.attempt->status = status;
    outcome.attempt->answer = "{}";
    outcome.attempt->result = kind == OutcomeKind::kDelivered ? Fate::kDelivered : Fate::kRejected;
  }
  if (kind == OutcomeKind::kDeferred) outcome.job->due = now + Milliseconds(1'000);
  if (kind != OutcomeKind::kDelivered) outcome.reason = "400 Bad Request";
  if (kind == OutcomeKind::kDead) outcome.cause = "400 Bad Request: {}";
  return outcome;
}

inline Result<void> Settle(Outbox& outbox, const Outcome& outcome, Timestamp now) {
  WriteBatch batch;
  batch.outcomes.push_back(&outcome);
  return outbox.Write(batch, now);
}

// What the outbox counts, by connection, is what its tables hold.
inline void CheckCounts(const Outbox& outbox, const std::filesystem::path& file) {
  auto database = Database::Open(file, OpenMode::kReadOnly);
  REQUIRE(database);
  for (const auto& [table, count] :
       {std::pair("outbox", &Counts::jobs), std::pair("dead_letters", &Counts::dead),
        std::pair("attempts", &Counts::attempts)}) {
    const std::string of_table = std::string("FROM ") + table;
    std::int64_t total = 0;
    for (const auto& [connection, counts] : outbox.CountsByConnection()) {
      const std::string of_connection = of_table + " WHERE connection = '" + connection + "'";
      CAPTURE(of_connection);
      const auto rows = database->Scalar("SELECT count(*) " + of_connection);
      REQUIRE(rows);
      CHECK(*rows == static_cast<std::int64_t>(counts.*count));
      const std::string counter = table == std::string("outbox")     ? "jobs"
                                  : table == std::string("attempts") ? "attempts"
                                                                     : "dead";
      const std::string uncounted = table == std::string("outbox") ? "(SELECT count(*) " + of_connection +
                                                                         " AND seq > (SELECT "
                                                                         "ifnull(max(through), 0) FROM "
                                                                         "counters))"
                                                                   : "0";
      CHECK(database->Scalar("SELECT " + uncounted + " + ifnull((SELECT " + counter +
                             " FROM counters WHERE connection = '" + connection + "'), 0)") == *rows);
      total += *rows;
    }
    CHECK(database->Scalar("SELECT count(*) " + of_table) == total);
  }
}

// For Database::BackupTo().
inline bool NeverGivesUp() {
  return false;
}

inline std::int64_t Ask(const std::filesystem::path& file, const std::string& sql) {
  auto database = Database::Open(file, OpenMode::kReadOnly);
  REQUIRE(database);
  const auto value = database->Scalar(sql);
  REQUIRE_MESSAGE(value, (value ? "" : value.error().message));
  return *value;
}

// As far as they can be read.
inline std::uint64_t CountAttempts(const std::filesystem::path& file) {
  auto database = Database::Open(file, OpenMode::kReadOnly);
  REQUIRE(database);
  auto packs = database->Prepare("SELECT id, first_ms, records FROM history");
  REQUIRE(packs);
  std::uint64_t count = 0;
  for (auto row = packs->Step(); row && *row; row = packs->Step())
    count += ReadPack(packs->Int(0), packs->Int(1), packs->Text(2)).size();
  return count;
}

inline std::string AskText(const std::filesystem::path& file, const std::string& sql) {
  auto database = Database::Open(file, OpenMode::kReadOnly);
  REQUIRE(database);
  auto statement = database->Prepare(sql);
  REQUIRE(statement);
  const auto row = statement->Step();
  REQUIRE(row);
  return *row ? std::string(statement->Text(0)) : std::string();
}

}  // namespace outboxd::test
