// storage/counters.h — how many rows each connection has and how many jobs it has delivered.
//
// They are stored in the same transaction as what they count, except that one which only accepts jobs may
// leave them to a later one: each commit would write one more page. So the file has, beside them, the highest
// sequence that they include (`through`). A start counts the rows of the outbox above it on top; they are
// few.
//
// Counters that the file holds are checked, not trusted: those that cannot be right (no numbers, more jobs
// than sequence numbers, none beside rows, a subtraction below zero) are counted anew from the rows. So
// are they where `through` is not a sequence that was given, or more rows stand above it than are ever left
// to be stored. Counting reads the tables whole, so a file above 4 MB is otherwise believed. So is one with a
// page that a check cannot read. What was delivered left no row: a recount keeps the number, and raises it to
// the highest that a waiting job remembers.
//
// Threads: belongs to one thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/ulid.h"
#include "storage/database.h"

namespace outboxd {

struct Counts {
  std::uint64_t jobs = 0, dead = 0, attempts = 0;  // rows
  std::uint64_t delivered = 0;                     // only grows
  friend bool operator==(const Counts&, const Counts&) = default;
};

struct CountedTable {
  std::string_view name;
  std::string_view key;
  std::uint64_t Counts::* count;
};
// OperatorWork goes by this order. A row of `history` holds many attempts.
inline constexpr std::array<CountedTable, 3> kCountedTables = {{{"outbox", "seq", &Counts::jobs},
                                                                {"dead_letters", "seq", &Counts::dead},
                                                                {"history", "id", &Counts::attempts}}};

// Counters of one connection that did not match its rows. `before` is below zero, as a signed number, where
// more was subtracted than counted.
struct Recount {
  std::string connection;
  Counts before, after;
};

class Counters {
 public:
  using Count = std::uint64_t Counts::*;
  using Map = std::map<std::string, Counts, std::less<>>;

  // Reads them, without writing: what was counted anew reaches the file with the next transaction.
  static Result<Counters> Load(Database& database);

  // Within a transaction, which ends with Store(), unless MayWait(), and then Keep() once it is committed; or
  // with Undo(), which leaves to be stored what committed ones had left.
  void Add(std::string_view connection, Count count, std::uint64_t rows = 1);
  void Subtract(std::string_view connection, Count count, std::uint64_t rows = 1);
  // A new job, with the highest sequence so far.
  void AddAccepted(std::string_view connection, Sequence sequence, std::uint64_t bytes);
  // For one that has done nothing but AddAccepted().
  bool MayWait() const;
  Result<void> Store(Database& database);
  void Keep();
  void Undo();

  // Committed, and left to be stored.
  bool HasUnstored() const { return !unstored_.empty(); }
  // What those that the file held when they were loaded included. nullopt: that cannot be said.
  std::optional<Sequence> LoadedThrough() const { return loaded_through_; }

  const Map& ByConnection() const { return counts_; }
  Counts Total() const;
  // What was counted anew since the last call.
  std::vector<Recount> TakeRecounts() { return std::exchange(recounts_, {}); }

  // Between transactions. Aborts when broken.
  void CheckInvariants() const;

 private:
  struct Change {
    Map::iterator entry;
    std::optional<Counts> before;  // nullopt: there was no entry
  };
  struct Accepted {
    Sequence through{};                 // the highest one counted
    std::uint64_t jobs = 0, bytes = 0;  // since they were stored
    friend bool operator==(const Accepted&, const Accepted&) = default;
  };
  Counts& Touch(std::string_view connection);
  bool IsUnstored(Map::iterator entry) const;
  Result<void> AddUncounted(Database& database);
  Result<void> CountRows(Database& database);
  void UndoChanges();
  void EndChanges();
  Result<void> StoreOne(std::string_view connection, const Counts& counts);

  Map counts_;
  std::vector<Change> changes_;          // of this transaction, one a connection
  std::vector<Map::iterator> unstored_;  // changed in transactions that were committed without Store()
  Accepted accepted_, accepted_before_;  // now; before this transaction
  std::optional<Sequence> loaded_through_;
  bool is_stored_ = false;       // in this transaction
  bool is_wrong_ = false;        // found in this transaction
  std::optional<Map> replaced_;  // what a recount of this transaction replaced
  std::vector<Recount> found_;   // by that recount
  bool is_new_ = false;          // counts_ was counted anew and the file does not have it yet
  std::vector<Recount> recounts_;
  Statement store_;
};

}  // namespace outboxd
