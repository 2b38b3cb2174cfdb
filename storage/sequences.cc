#include "storage/sequences.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "core/check.h"
#include "core/result.h"
#include "core/ulid.h"
#include "storage/database.h"
#include "storage/history_pack.h"

namespace outboxd {
namespace {

constexpr std::uint64_t kReserveAhead = 100'000;

std::string HighestIn(const std::string& table, const std::string& condition = "1") {
  return "(SELECT ifnull(max(seq), 0) FROM " + table + " WHERE " + condition + ")";
}

// Of the last rows of history, in which the last numbers are unless many jobs waited behind others.
Result<std::int64_t> HighestRecorded(Database& database) {
  ASSIGN_OR_RETURN(Statement packs, database.Prepare("SELECT id, first_ms, records FROM history ORDER BY id "
                                                     "DESC LIMIT 16"));
  std::int64_t highest = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, packs.Step());
    if (!row) return highest;
    for (const AttemptRow& attempt : ReadPack(packs.Int(0), packs.Int(1), packs.Text(2))) {
      const std::uint64_t number = ToNumber(attempt.sequence);
      if (number < Sequences::kEnd) highest = std::max(highest, static_cast<std::int64_t>(number));
    }
  }
}

}  // namespace

Result<Sequences> Sequences::Load(Database& database) {
  ASSIGN_OR_RETURN(const std::int64_t reserved, database.Scalar("SELECT reserved FROM sequence"));
  // A number that no job can have had says nothing, except that of a waiting job: new ones would stand before
  // it.
  const std::string possible = "typeof(seq) = 'integer' AND seq < " + std::to_string(kEnd);
  ASSIGN_OR_RETURN(const std::int64_t held, database.Scalar("SELECT max(" + HighestIn("outbox") + ", " +
                                                            HighestIn("dead_letters", possible) + ")"));
  ASSIGN_OR_RETURN(const std::int64_t recorded, HighestRecorded(database));
  const std::int64_t used = std::max(held, recorded);
  if (reserved <= used || reserved > static_cast<std::int64_t>(kEnd)) {
    return Fail(ErrorKind::kInternal, "the next sequence is " + std::to_string(reserved) +
                                          ", the last one used " + std::to_string(used));
  }
  Sequences sequences;
  sequences.next_ = sequences.reserved_ = static_cast<std::uint64_t>(reserved);
  ASSIGN_OR_RETURN(sequences.store_, database.Prepare("UPDATE sequence SET reserved = ?"));
  return sequences;
}

Result<void> Sequences::Reserve(std::uint64_t count) {
  if (next_ + count <= reserved_) return {};
  return StoreReserved(std::max(next_ + count, std::min(next_ + count + kReserveAhead, kEnd)));
}

Result<void> Sequences::ReserveOne() {
  return StoreReserved(reserved_ + 1);
}

Result<void> Sequences::StoreReserved(std::uint64_t reserved) {
  if (reserved > kEnd) {
    return Fail(ErrorKind::kInternal,
                "the outbox has no sequence numbers left; give outboxd a new outbox.path and hand over what "
                "waits in this one as docs/operations.md tells");
  }
  reserved_ = reserved;
  return store_.Run(static_cast<std::int64_t>(reserved));
}

Sequence Sequences::Take() {
  CHECK(next_ < reserved_);
  return Sequence{next_++};
}

void Sequences::GoBack(Position position) {
  CHECK(position.next <= next_);
  next_ = position.next;
  reserved_ = position.reserved;
}

void Sequences::CheckInvariants() const {
  CHECK(next_ >= 1);
  CHECK(next_ <= reserved_);
  CHECK(reserved_ <= kEnd);
}

}  // namespace outboxd
