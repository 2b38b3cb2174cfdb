// storage/operator_work.h — what an operator changes in the outbox: redrive, amend, drop, cancel, forget.
//
// A walk goes once through the rows, so that none is met twice. Each call is a step: it looks at some
// thousand rows and changes at most `rows_max`, so that accepting never waits long. Repeat with the same walk
// until `more` is false. Each step is a transaction of its own.
//
// Threads: belongs to the thread of its Outbox.
// Errors: those of storage/outbox.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "core/user_shares.h"
#include "storage/counters.h"
#include "storage/filter.h"
#include "storage/outbox_file.h"

namespace outboxd {

class OperatorWork {
 public:
  // `file` outlives it.
  explicit OperatorWork(OutboxFile& file) : file_(&file) {}

  struct Walk {
    std::size_t table = 0;  // of kCountedTables
    Sequence after{};       // of its key
    std::uint64_t redrives = 0;
  };
  struct Step {
    std::vector<Sequence> sequences;  // the rows changed, in their order
    bool more = false;
  };
  // But none with a number that no job can have (a damaged row).
  Result<Step> Redrive(const DeadFilter& filter, Walk& walk, Timestamp now, std::size_t rows_max);
  // A dead letter goes back with a corrected line, whose connection and type are those it has; the old line
  // is kept in `amended`. kNotFound: there is no such dead letter.
  struct Amendment {
    Sequence sequence{};
    std::string job;  // its id
    std::string connection;
    std::string line;
    std::string customer;  // of the line; empty: it names none
  };
  Result<Step> Amend(const Amendment& amendment, Timestamp now);
  Result<Step> Drop(const DeadFilter& filter, Walk& walk, std::size_t rows_max);
  // Waiting jobs, dead letters and history of a customer, erased (overwritten on disk). Counts add up over
  // the calls.
  Result<Step> Forget(const std::string& customer, const std::optional<std::string>& connection, Walk& walk,
                      std::size_t rows_max, Counts& counts);
  // Of one waiting job, which is a dead letter then. Its connection.
  Result<std::string> Cancel(Sequence sequence, Timestamp now);

 private:
  struct Examined {
    std::vector<std::pair<Sequence, std::string>> matches;  // with their connections
    Sequence through{};
    bool at_end = false;
  };
  struct Erased {
    std::vector<Sequence> sequences;
    std::uint64_t rows = 0;  // attempts, of history
    Sequence through{};
    bool at_end = false;
  };
  Result<Examined> Examine(const CountedTable& table, const SqlCondition& condition, Sequence after,
                           std::size_t rows_max);
  struct Owner {
    User user;
    std::uint64_t bytes = 0;
  };
  Result<Statement> PrepareRevival();
  Result<void> ReplaceLine(const Amendment& amendment, Timestamp now);
  Result<void> ForgetAmended(const std::string& customer, const std::optional<std::string>& connection);
  Result<Owner> OwnerOf(const CountedTable& table, Sequence sequence);
  Result<void> ForgetUser(const CountedTable& table, Sequence sequence);
  template <typename BeforeEach>
  Result<Erased> Erase(const CountedTable& table, const SqlCondition& condition, Sequence after,
                       std::size_t rows_max, BeforeEach before_each);
  template <typename BeforeEach>
  Result<Step> EraseDead(const DeadFilter& filter, const SqlCondition& condition, Walk& walk,
                         std::size_t rows_max, BeforeEach before_each);
  template <typename Work>
  Result<Erased> Overwriting(const Work& erase);
  struct Whose {
    std::string customer;
    std::optional<std::string> connection;
  };
  Result<Erased> EraseRows(const CountedTable& table, const Whose& whose, Sequence after,
                           std::size_t rows_max);
  Result<Erased> EraseAttempts(const Whose& whose, Sequence after, std::size_t rows_max);
  Result<std::uint64_t> EraseFromPack(const Statement& pack, const Whose& whose);

  OutboxFile* file_;
  std::uint64_t redrives_ = 0;  // steps that brought rows back into the outbox
};

}  // namespace outboxd
