// storage/inspection.h — read-only questions about the outbox, for people and scripts.
//
// Threads: an Inspection belongs to one thread at a time; any number may be open beside the clerk's writing
// connection.
// Transactions: each question reads in a transaction of its own and ends it before it returns, so that the
// WAL of a busy outbox can be checkpointed. A row that settles between two questions (or between the two
// halves of a list) is simply not there.
// Errors: those of storage/database.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/job.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "storage/database.h"
#include "storage/filter.h"
#include "storage/history_pack.h"

namespace outboxd {

struct JobRow {
  Sequence sequence{};
  std::string job, connection, type, customer, reason;
  std::optional<std::string> ref;
  Timestamp accepted{};
  std::optional<Timestamp> redriven, due;
  std::optional<std::int64_t> parked;  // the lane key it waits for on disk
  // Of the producer's process; nullopt when accepted before that was recorded.
  std::optional<std::int64_t> uid;
  std::uint32_t attempts = 0, failures = 0, refusals = 0;
  Suspicion suspicion = Suspicion::kNone;
  std::optional<Timestamp> counted;  // the last of `refusals`, or the last charge of a job alone
  std::uint64_t bytes = 0;           // of the line
  std::string line;                  // only from Job()
};

struct DeadRow {
  Sequence sequence{};
  std::string job, connection, type, customer, death, reason, cause;
  std::optional<std::string> ref;
  Timestamp accepted{}, dead{};
  std::optional<std::int64_t> status, uid;
  std::uint32_t attempts = 0;
  std::string line, answer;  // only with Detail::kFull
};

struct DeadGroup {
  std::string cause, death, example;  // example: the id of the group's first job
  std::optional<std::int64_t> status;
  std::uint64_t count = 0;
  Timestamp first{}, last{};  // deaths
};

// Absent members match everything. `from` and `to`: when it was sent, the first included, the second not.
struct AttemptFilter {
  std::optional<std::string> customer, connection, name, ref, result;
  std::optional<std::int64_t> uid;
  std::optional<Timestamp> from, to;

  bool Matches(const AttemptRow& row) const;
};

enum class Detail { kRow, kFull };

struct PageRequest {
  Sequence after{};  // rows beyond this one
  std::size_t rows_max = 100;
  std::size_t examined_max = 200'000;  // then the page is cut short
  std::size_t bytes_max = 8 << 20;     // the same for the lines of dead letters in full
};

template <typename Row>
struct Page {
  std::vector<Row> rows;         // by sequence
  std::optional<Sequence> next;  // `after` of the next page; absent on the last
  std::size_t examined = 0;
};

class Inspection {
 public:
  // The outbox must exist, with the schema in place.
  static Result<Inspection> Open(const std::filesystem::path& file);

  Result<Page<JobRow>> Jobs(const JobFilter& filter, const PageRequest& request);
  Result<std::optional<JobRow>> Job(Sequence sequence);

  // The earliest job of this customer before `sequence` that waits for a next attempt of its own: what a
  // parked job really waits for.
  Result<std::optional<JobRow>> DeferredBefore(const std::string& connection, const std::string& customer,
                                               Sequence sequence);
  // The earliest other job parked on the same lane before `sequence`.
  Result<std::optional<JobRow>> ParkedBefore(std::int64_t parked, Sequence sequence);

  Result<Page<DeadRow>> DeadRows(const DeadFilter& filter, const PageRequest& request, Detail detail);
  Result<std::optional<DeadRow>> Dead(Sequence sequence);
  // Largest first, at most 1000.
  Result<std::vector<DeadGroup>> DeadGroups();

  // Every attempt of one job, oldest first. Looks through the history since the job was accepted.
  Result<std::vector<AttemptRow>> Attempts(const Ulid& job);
  // In the order of their recording. `after` and `next` are of packs (storage/history_pack.h), whose attempts
  // all stand on one page, so a page may be longer than asked for. `examined` counts attempts that were read,
  // and packs that were passed over.
  Result<Page<AttemptRow>> Attempts(const AttemptFilter& filter, const PageRequest& request);

 private:
  struct Found {
    std::vector<Sequence> sequences;
    std::optional<Sequence> next;
    std::size_t examined = 0;
  };
  explicit Inspection(Database database) : database_(std::move(database)) {}
  Result<Found> Scan(std::string_view rows, const SqlCondition& condition, const PageRequest& request,
                     std::optional<Sequence> only);
  Result<std::optional<JobRow>> FirstJob(std::string_view query, const SqlCondition& values);

  Database database_;
};

}  // namespace outboxd
