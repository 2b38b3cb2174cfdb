#include "storage/counters.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/result.h"
#include "core/ulid.h"
#include "storage/column.h"
#include "storage/database.h"
#include "storage/history_pack.h"

namespace outboxd {
namespace {

// How much may be left to be stored: what a start reads, and the view `users`, without anybody noticing.
constexpr std::uint64_t kUnstoredJobs = 1000;
constexpr std::uint64_t kUnstoredBytes = 1 << 20;

constexpr std::int64_t kSmallFileBytes = 4 << 20;  // counted whole at each start: a few milliseconds
// The highest that a waiting job is believed to remember: a counter raised to it has room to grow.
constexpr std::int64_t kDeliveriesRemembered = kDeliveriesMax / 2;

Result<void> CountAttempts(Database& database, Counters::Map& counted) {
  ASSIGN_OR_RETURN(Statement packs, database.Prepare("SELECT id, first_ms, records FROM history"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, packs.Step());
    if (!row) return {};
    for (const AttemptRow& attempt : ReadPack(packs.Int(0), packs.Int(1), packs.Text(2)))
      ++counted[attempt.connection].attempts;
  }
}

// Row by row: SQLite would sort all of them in memory to group them. They come in runs of one connection.
Result<Counters::Map> CountAll(Database& database) {
  Counters::Map counted;
  RETURN_IF_ERROR(CountAttempts(database, counted));
  for (const CountedTable& table : kCountedTables) {
    if (table.count == &Counts::attempts) continue;
    ASSIGN_OR_RETURN(Statement rows, database.Prepare("SELECT connection FROM " + std::string(table.name)));
    auto entry = counted.end();
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) break;
      const std::string_view connection = rows.Text(0);
      if (entry == counted.end() || entry->first != connection)
        entry = counted.try_emplace(std::string(connection)).first;
      ++(entry->second.*table.count);
    }
  }
  return counted;
}

// For each connection the highest number of deliveries that one of its waiting jobs remembers: there were at
// least so many. Row by row, like the counts.
Result<void> RaiseToRemembered(Database& database, Counters::Map& counts) {
  ASSIGN_OR_RETURN(Statement rows,
                   database.Prepare("SELECT connection, deliveries_at_failure FROM outbox WHERE "
                                    "typeof(deliveries_at_failure) = 'integer' AND deliveries_at_failure "
                                    "BETWEEN 1 AND ?"));
  rows.BindAll(kDeliveriesRemembered);
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    std::uint64_t& delivered = counts[std::string(rows.Text(0))].delivered;
    delivered = std::max(delivered, static_cast<std::uint64_t>(rows.Int(1)));
  }
}

// The counts that the rows give, beside `kept` for what they cannot tell.
Result<Counters::Map> CountAnew(Database& database, const Counters::Map& kept) {
  ASSIGN_OR_RETURN(Counters::Map counted, CountAll(database));
  for (const auto& [connection, counts] : kept) {
    if (counts.delivered > 0) counted[connection].delivered = counts.delivered;
  }
  RETURN_IF_ERROR(RaiseToRemembered(database, counted));
  return counted;
}

Counts Sum(const Counters::Map& counts) {
  Counts total;
  for (const auto& [connection, of_it] : counts) {
    for (const CountedTable& table : kCountedTables) total.*table.count += of_it.*table.count;
    total.delivered += of_it.delivered;
  }
  return total;
}

// The connections whose counts differ. One without any rows may have an entry or none.
std::vector<Recount> Difference(const Counters::Map& before, const Counters::Map& after) {
  std::vector<Recount> differing;
  for (const auto& [connection, counts] : after) {
    const auto found = before.find(connection);
    const Counts was = found == before.end() ? Counts{} : found->second;
    if (was != counts) differing.push_back({connection, was, counts});
  }
  for (const auto& [connection, counts] : before) {
    if (!after.contains(connection) && counts != Counts{}) differing.push_back({connection, counts, {}});
  }
  return differing;
}

struct Stored {
  Counters::Map counts;
  bool are_numbers = true;
  Sequence through{};  // 0: no row says
};

Result<Stored> ReadStored(Database& database) {
  ASSIGN_OR_RETURN(
      Statement rows,
      database.Prepare(
          "SELECT connection, jobs, dead, attempts, delivered, typeof(jobs) = 'integer' AND "
          "typeof(dead) = 'integer' AND typeof(attempts) = 'integer' AND min(jobs, dead, "
          "attempts) >= 0 AND max(jobs, dead, attempts) < 1 << 48, typeof(delivered) = 'integer' "
          "AND delivered BETWEEN 0 AND ?, through IS NULL OR (typeof(through) = 'integer' AND through >= 0 "
          "AND through < (SELECT reserved FROM sequence)), through FROM counters WHERE uid IS NULL"));
  rows.BindAll(kDeliveriesMax);
  Stored stored;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return stored;
    const bool has_delivered = rows.Int(6) != 0;
    stored.are_numbers = stored.are_numbers && rows.Int(5) != 0 && has_delivered && rows.Int(7) != 0;
    stored.through = std::max(stored.through, SequenceAt(rows, 8));
    const auto number = [&](int column) { return static_cast<std::uint64_t>(rows.Int(column)); };
    stored.counts[std::string(rows.Text(0))] =
        Counts{number(1), number(2), number(3), has_delivered ? number(4) : 0};
  }
}

// Whether as many rows can be there. Two seeks a table: rows are not counted. A page that cannot be read is
// no reason to refuse the whole file here: counters are believed then.
bool ArePossible(Database& database, const Counts& total) {
  for (const CountedTable& table : kCountedTables) {
    const std::string from = " FROM " + std::string(table.name) + ")";
    const std::string key(table.key);
    const std::string lowest = "(SELECT min(" + key + ")" + from;
    const Result<std::int64_t> span =
        database.Scalar("SELECT ifnull((SELECT max(" + key + ")" + from + " - " + lowest + " + 1, 0)");
    if (!span) continue;
    const bool has_one_a_sequence = table.count != &Counts::attempts;
    const std::uint64_t rows = total.*table.count;
    if ((rows == 0) != (*span == 0)) return false;
    if (has_one_a_sequence && rows > static_cast<std::uint64_t>(*span)) return false;
  }
  return true;
}

// A page that cannot be read is no reason here either.
bool DifferFromRows(Database& database, const Counters::Map& counts) {
  const Result<std::int64_t> bytes =
      database.Scalar("SELECT c.page_count * s.page_size FROM pragma_page_count c, pragma_page_size s");
  if (!bytes || *bytes > kSmallFileBytes) return false;
  const Result<Counters::Map> counted = CountAnew(database, counts);
  return counted && !Difference(counts, *counted).empty();
}

}  // namespace

Result<Counters> Counters::Load(Database& database) {
  Counters counters;
  ASSIGN_OR_RETURN(counters.store_,
                   database.Prepare("INSERT OR REPLACE INTO counters (connection, jobs, dead, "
                                    "attempts, delivered, through) VALUES (?, ?, ?, ?, ?, ?)"));
  ASSIGN_OR_RETURN(Stored stored, ReadStored(database));
  counters.counts_ = std::move(stored.counts);
  if (stored.are_numbers) {
    counters.loaded_through_ = stored.through;
    RETURN_IF_ERROR(counters.AddUncounted(database));
  }
  // Whatever the outbox holds now has a lower number than what it will be given.
  ASSIGN_OR_RETURN(const std::int64_t reserved, database.Scalar("SELECT reserved FROM sequence"));
  counters.accepted_.through = Sequence{static_cast<std::uint64_t>(std::max<std::int64_t>(reserved, 1) - 1)};
  counters.accepted_before_ = counters.accepted_;
  if (!counters.loaded_through_ || !ArePossible(database, counters.Total()) ||
      DifferFromRows(database, counters.counts_)) {
    RETURN_IF_ERROR(counters.CountRows(database));
    counters.EndChanges();
    counters.unstored_.clear();  // all of them will be stored
  }
  return counters;
}

// The rows above loaded_through_, which is given up where they are too many. A page that cannot be read is no
// reason here either.
Result<void> Counters::AddUncounted(Database& database) {
  ASSIGN_OR_RETURN(Statement rows, database.Prepare("SELECT connection, length(CAST(line AS BLOB)) FROM "
                                                    "outbox WHERE seq > ? ORDER BY seq LIMIT ?"));
  rows.BindAll(ToSql(*loaded_through_), static_cast<std::int64_t>(kUnstoredJobs + 1));
  for (;;) {
    const Result<bool> row = rows.Step();
    if (!row || !*row) break;
    AddAccepted(rows.Text(0), *loaded_through_, static_cast<std::uint64_t>(rows.Int(1)));
  }
  if (accepted_.jobs > kUnstoredJobs) {
    UndoChanges();
    accepted_ = {};
    loaded_through_.reset();
  }
  Keep();
  return {};
}

void Counters::Add(std::string_view connection, Count count, std::uint64_t rows) {
  Touch(connection).*count += rows;
}

void Counters::Subtract(std::string_view connection, Count count, std::uint64_t rows) {
  std::uint64_t& counted = Touch(connection).*count;
  if (rows > counted) is_wrong_ = true;
  counted -= rows;  // below zero it wraps around, until Store() or Undo()
}

void Counters::AddAccepted(std::string_view connection, Sequence sequence, std::uint64_t bytes) {
  Add(connection, &Counts::jobs);
  accepted_ = {sequence, accepted_.jobs + 1, accepted_.bytes + bytes};
}

bool Counters::MayWait() const {
  return !is_wrong_ && !is_new_ && accepted_.jobs <= kUnstoredJobs && accepted_.bytes <= kUnstoredBytes;
}

bool Counters::IsUnstored(Map::iterator entry) const {
  return std::find(unstored_.begin(), unstored_.end(), entry) != unstored_.end();
}

// The connection of the row before comes first: rows come in runs of one connection.
Counts& Counters::Touch(std::string_view connection) {
  if (!changes_.empty() && changes_.back().entry->first == connection) return changes_.back().entry->second;
  const auto touched = std::find_if(changes_.begin(), changes_.end(),
                                    [&](const Change& change) { return change.entry->first == connection; });
  if (touched != changes_.end()) {
    std::iter_swap(touched, std::prev(changes_.end()));
    return changes_.back().entry->second;
  }
  if (const auto found = counts_.find(connection); found != counts_.end()) {
    changes_.push_back({found, found->second});
  } else {
    changes_.push_back({counts_.emplace(connection, Counts{}).first, std::nullopt});
  }
  return changes_.back().entry->second;
}

Result<void> Counters::Store(Database& database) {
  if (is_wrong_) {
    RETURN_IF_ERROR(CountRows(database));
  }
  is_stored_ = true;
  if (is_new_) {
    RETURN_IF_ERROR(database.Execute("DELETE FROM counters WHERE uid IS NULL"));
    for (const auto& [connection, counts] : counts_) {
      RETURN_IF_ERROR(StoreOne(connection, counts));
    }
    return {};
  }
  for (const Change& change : changes_) {
    RETURN_IF_ERROR(StoreOne(change.entry->first, change.entry->second));
  }
  for (const Map::iterator entry : unstored_) {
    const bool is_stored = std::any_of(changes_.begin(), changes_.end(),
                                       [&](const Change& change) { return change.entry == entry; });
    if (!is_stored) RETURN_IF_ERROR(StoreOne(entry->first, entry->second));
  }
  return {};
}

Result<void> Counters::StoreOne(std::string_view connection, const Counts& counts) {
  return store_.Run(connection, static_cast<std::int64_t>(counts.jobs),
                    static_cast<std::int64_t>(counts.dead), static_cast<std::int64_t>(counts.attempts),
                    static_cast<std::int64_t>(counts.delivered), ToSql(accepted_.through));
}

Result<void> Counters::CountRows(Database& database) {
  ASSIGN_OR_RETURN(Map counted, CountAnew(database, counts_));
  std::vector<Recount> found = Difference(counts_, counted);  // both with what this transaction changes
  UndoChanges();
  found_ = std::move(found);
  replaced_ = std::exchange(counts_, std::move(counted));
  is_new_ = true;
  return {};
}

void Counters::Keep() {
  if (is_stored_) {
    unstored_.clear();
    accepted_ = {accepted_.through, 0, 0};
    is_new_ = false;
  } else {
    CHECK(!is_wrong_ && !replaced_);
    for (const Change& change : changes_) {
      if (!IsUnstored(change.entry)) unstored_.push_back(change.entry);
    }
  }
  EndChanges();
}

void Counters::EndChanges() {
  changes_.clear();
  is_wrong_ = false;
  is_stored_ = false;
  accepted_before_ = accepted_;
  replaced_.reset();
  std::move(found_.begin(), found_.end(), std::back_inserter(recounts_));
  found_.clear();
}

void Counters::UndoChanges() {
  for (const Change& change : changes_) {
    if (change.before) {
      change.entry->second = *change.before;
    } else {
      counts_.erase(change.entry);
    }
  }
  changes_.clear();
  is_wrong_ = false;
}

void Counters::Undo() {
  UndoChanges();
  is_stored_ = false;
  accepted_ = accepted_before_;
  found_.clear();
  if (replaced_) counts_ = std::move(*replaced_);  // unstored_ leads into it
  replaced_.reset();  // is_new_ stays: to write all of them once more does no harm
}

Counts Counters::Total() const {
  return Sum(counts_);
}

void Counters::CheckInvariants() const {
  CHECK(changes_.empty());
  CHECK(!is_wrong_);
  CHECK(!is_stored_);
  CHECK(accepted_ == accepted_before_);
  CHECK(!replaced_);
}

}  // namespace outboxd
