// tests/support/outbox_rows.h — an outbox on a temporary file with rows written straight into its tables, for
// tests of what reads them.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/ulid.h"
#include "storage/database.h"
#include "storage/history_pack.h"
#include "storage/schema.h"

namespace outboxd::test {

struct OutboxLine {
  std::uint64_t sequence = 1;
  std::string connection = "default", type = "track", customer = "42";
  std::int64_t accepted_ms = 1'000;
  std::int64_t attempts = 0, failures = 0, refusals = 0;
  std::optional<std::int64_t> due_ms, parked, counted_ms;
  std::string reason, suspicion;
  std::string line = R"({"type":"track","id":"42","name":"purchase"})";
};

struct DeadLine {
  std::uint64_t sequence = 1;
  std::string connection = "default", type = "track", customer = "42";
  std::int64_t accepted_ms = 1'000, dead_ms = 2'000;
  std::string death = "rejected";
  std::optional<std::int64_t> status = 400;
  std::string reason = "400 Bad Request", cause = "400 bad name", answer = R"({"meta":{"error":"bad name"}})";
  std::int64_t attempts = 1;
  std::string line = R"({"type":"track","id":"42","name":"purchase"})";
};

struct AttemptLine {
  std::uint64_t sequence = 1;
  std::int64_t attempt = 1;
  std::string connection = "default", type = "track", customer = "42";
  std::int64_t sent_ms = 1'500, duration_ms = 12;
  std::string result = "delivered";
  std::optional<std::int64_t> status = 200;
  std::string error, answer = "{}";
  std::string name, ref;
  std::optional<std::int64_t> uid;
  std::int64_t accepted_ms = 1'000;
};

class OutboxRows {
 public:
  OutboxRows() {
    std::string pattern = (std::filesystem::temp_directory_path() / "outboxd-rows-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    auto database = Database::Open(File(), OpenMode::kReadWrite);
    REQUIRE(database);
    database_.emplace(std::move(*database));
    REQUIRE(database_->Execute("PRAGMA journal_mode=WAL"));
    for (const char* migration : schema::kMigrations) REQUIRE(database_->Execute(migration));
  }
  ~OutboxRows() {
    database_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  OutboxRows(const OutboxRows&) = delete;
  OutboxRows& operator=(const OutboxRows&) = delete;

  std::filesystem::path File() const { return folder_ / "outbox.db"; }
  Database& Handle() { return *database_; }

  // The id of the job with this sequence, in every table.
  static std::string JobId(std::uint64_t sequence) {
    return Ulid::Make(FromUnixMs(1'000), Sequence{sequence}, 7).ToText();
  }

  void Add(const OutboxLine& row) {
    const std::string job = JobId(row.sequence);
    auto statement = database_->Prepare(
        "INSERT INTO outbox (seq, job, connection, type, customer, accepted_ms, attempts, due_ms, parked, "
        "reason, line, failures, suspicion, refusals, counted_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    REQUIRE(statement);
    REQUIRE(statement->Run(static_cast<std::int64_t>(row.sequence), job, row.connection, row.type,
                           TextOrNull{row.customer}, row.accepted_ms, row.attempts, row.due_ms, row.parked,
                           TextOrNull{row.reason}, row.line, row.failures, TextOrNull{row.suspicion},
                           row.refusals, row.counted_ms));
  }

  void Add(const DeadLine& row) {
    const std::string job = JobId(row.sequence);
    auto statement = database_->Prepare(
        "INSERT INTO dead_letters (seq, job, connection, type, customer, accepted_ms, dead_ms, death, "
        "status, reason, cause, answer,"
        " attempts, line) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    REQUIRE(statement);
    REQUIRE(statement->Run(static_cast<std::int64_t>(row.sequence), job, row.connection, row.type,
                           TextOrNull{row.customer}, row.accepted_ms, row.dead_ms, row.death, row.status,
                           row.reason, row.cause, TextOrNull{row.answer}, row.attempts, row.line));
  }

  // In a pack of its own.
  void Add(const AttemptLine& row) { AddPack({row}); }

  // Returns its id.
  std::int64_t AddPack(const std::vector<AttemptLine>& lines) {
    std::uint64_t highest = 0;
    std::int64_t first_ms = lines.front().sent_ms;
    for (const AttemptLine& line : lines) {
      highest = std::max(highest, line.sequence);
      first_ms = std::min(first_ms, line.sent_ms);
    }
    last_pack_ = std::max(last_pack_ + 1, static_cast<std::int64_t>(highest));
    PackBuilder pack;
    pack.Begin(last_pack_, FromUnixMs(first_ms));
    std::vector<AttemptRow> attempts;  // The pack borrows their texts.
    for (const AttemptLine& line : lines) attempts.push_back(RowOf(line));
    for (const AttemptRow& attempt : attempts) REQUIRE(pack.Add(RecordOf(attempt)));
    auto statement = database_->Prepare(
        "INSERT INTO history (id, first_ms, last_ms, rows, records) VALUES (?, ?, ?, ?, ?)");
    REQUIRE(statement);
    REQUIRE(statement->Run(pack.id(), ToUnixMs(pack.first()), ToUnixMs(pack.last()),
                           static_cast<std::int64_t>(pack.size()), pack.Finish()));
    return pack.id();
  }

  static AttemptRow RowOf(const AttemptLine& line) {
    AttemptRow row;
    row.sequence = Sequence{line.sequence};
    row.attempt = static_cast<std::uint32_t>(line.attempt);
    row.job = JobId(line.sequence);
    row.connection = line.connection;
    row.type = line.type;
    row.customer = line.customer;
    row.result = line.result;
    row.error = line.error;
    row.answer = line.answer;
    row.name = line.name;
    row.ref = line.ref;
    row.sent = FromUnixMs(line.sent_ms);
    row.accepted = FromUnixMs(line.accepted_ms);
    row.duration = Milliseconds(line.duration_ms);
    row.status = line.status;
    row.uid = line.uid;
    return row;
  }

 private:
  std::filesystem::path folder_;
  std::optional<Database> database_;
  std::int64_t last_pack_ = 0;
};

}  // namespace outboxd::test
