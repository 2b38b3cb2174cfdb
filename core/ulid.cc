#include "core/ulid.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/time.h"

namespace outboxd {
namespace {

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::uint64_t kMask40 = (std::uint64_t{1} << 40) - 1;
constexpr std::uint64_t kMask48 = (std::uint64_t{1} << 48) - 1;
constexpr std::int8_t kNone = -1;

// Crockford's base32 as the ULID specification takes it: case-insensitive, without I, L, O and U.
constexpr std::array<std::int8_t, 256> kDigits = [] {
  std::array<std::int8_t, 256> digits{};
  digits.fill(kNone);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    const char upper = kAlphabet[i];
    digits[static_cast<unsigned char>(upper)] = static_cast<std::int8_t>(i);
    if (upper >= 'A') digits[static_cast<unsigned char>(upper - 'A' + 'a')] = static_cast<std::int8_t>(i);
  }
  return digits;
}();

}  // namespace

Ulid Ulid::Make(Timestamp at, Sequence sequence, std::uint64_t random) {
  const std::uint64_t milliseconds = static_cast<std::uint64_t>(ToUnixMs(at)) & kMask48;
  const std::uint64_t number = ToNumber(sequence) & kMask40;
  Ulid ulid;
  ulid.high_ = milliseconds << 16 | number >> 24;
  ulid.low_ = number << 40 | (random & kMask40);
  return ulid;
}

std::optional<Ulid> Ulid::Parse(std::string_view text) {
  if (text.size() != kTextLength) return std::nullopt;
  Ulid ulid;
  for (const char character : text) {
    const std::int8_t digit = kDigits[static_cast<unsigned char>(character)];
    if (digit == kNone) return std::nullopt;
    if (ulid.high_ >> 59 != 0) return std::nullopt;  // more than 128 bits
    ulid.high_ = ulid.high_ << 5 | ulid.low_ >> 59;
    ulid.low_ = ulid.low_ << 5 | static_cast<std::uint64_t>(digit);
  }
  return ulid;
}

// 26 digits of 5 bits: 12 from the low word, one across both, 13 from the high one.
std::array<char, Ulid::kTextLength> Ulid::ToChars() const {
  std::array<char, kTextLength> text{};
  std::uint64_t low = low_;
  for (std::size_t i = kTextLength; i-- > 14;) {
    text[i] = kAlphabet[low & 31];
    low >>= 5;
  }
  std::uint64_t high = high_ << 4 | low;
  text[0] = kAlphabet[high_ >> 61];
  for (std::size_t i = 14; i-- > 1;) {
    text[i] = kAlphabet[high & 31];
    high = i == 13 ? high_ >> 1 : high >> 5;
  }
  return text;
}

std::string Ulid::ToText() const {
  const std::array<char, kTextLength> text = ToChars();
  return {text.data(), text.size()};
}

Timestamp Ulid::Time() const {
  return FromUnixMs(static_cast<std::int64_t>(high_ >> 16));
}

Sequence Ulid::SequencePart() const {
  return Sequence{(high_ & 0xffff) << 24 | low_ >> 40};
}

}  // namespace outboxd
