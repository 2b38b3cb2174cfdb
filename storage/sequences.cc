#include "storage/sequences.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "core/check.h"
#include "core/result.h"
#include "core/ulid.h"
#include "storage/database.h"

namespace outboxd {
namespace {

constexpr std::uint64_t kReserveAhead = 100'000;
constexpr std::uint64_t kSequenceMax = (std::uint64_t{1} << 40) - 1;  // an id has room for 40 bits

}  // namespace

Result<Sequences> Sequences::Load(Database& database) {
  ASSIGN_OR_RETURN(const std::int64_t reserved, database.Scalar("SELECT reserved FROM sequence"));
  ASSIGN_OR_RETURN(const std::int64_t used,
                   database.Scalar("SELECT max((SELECT ifnull(max(seq), 0) FROM outbox), (SELECT "
                                   "ifnull(max(seq), 0) FROM dead_letters), "
                                   "(SELECT ifnull(max(seq), 0) FROM attempts))"));
  if (reserved <= used || reserved > static_cast<std::int64_t>(kSequenceMax)) {
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
  return StoreReserved(std::max(next_ + count, std::min(next_ + count + kReserveAhead, kSequenceMax)));
}

Result<void> Sequences::ReserveOne() {
  return StoreReserved(reserved_ + 1);
}

Result<void> Sequences::StoreReserved(std::uint64_t reserved) {
  if (reserved > kSequenceMax) {
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
  CHECK(reserved_ <= kSequenceMax);
}

}  // namespace outboxd
