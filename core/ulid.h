// core/ulid.h — job ids: ULIDs (https://github.com/ulid/spec) that also carry the job's sequence number.
//
// Layout of the 128 bits: 48 bits Unix milliseconds, 40 bits sequence, 40 bits random. To the outside it is
// any ULID; inside, a job is found by its id without an index on the hot table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/time.h"

namespace outboxd {

// Position in the order of acceptance; never reused. 1 .. 2^40-1.
enum class Sequence : std::uint64_t {};
constexpr std::uint64_t ToNumber(Sequence sequence) {
  return static_cast<std::uint64_t>(sequence);
}

class Ulid {
 public:
  static constexpr std::size_t kTextLength = 26;

  Ulid() = default;
  // Takes the low 40 bits of `random`.
  static Ulid Make(Timestamp at, Sequence sequence, std::uint64_t random);
  // Crockford base32, upper or lower case; nullopt when it is not a ULID (length, alphabet, first digit above
  // 7).
  static std::optional<Ulid> Parse(std::string_view text);

  std::string ToText() const;
  std::array<char, kTextLength> ToChars() const;  // the same without an allocation
  Timestamp Time() const;
  Sequence SequencePart() const;

  friend bool operator==(const Ulid&, const Ulid&) = default;

 private:
  std::uint64_t high_ = 0;
  std::uint64_t low_ = 0;
};

}  // namespace outboxd
