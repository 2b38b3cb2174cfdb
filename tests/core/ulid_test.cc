#include "core/ulid.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace outboxd {
namespace {

constexpr std::uint64_t kSequenceMax = (std::uint64_t{1} << 40) - 1;
constexpr std::int64_t kUnixMsMax = (std::int64_t{1} << 48) - 1;

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char byte) { return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte + 32) : byte; });
  return text;
}

TEST_CASE("ulid: the specification's examples are read") {
  // https://github.com/ulid/spec
  const std::optional<Ulid> example = Ulid::Parse("01ARZ3NDEKTSV4RRFFQ69G5FAV");
  REQUIRE(example);
  CHECK(example->ToText() == "01ARZ3NDEKTSV4RRFFQ69G5FAV");
  CHECK(ToUnixMs(example->Time()) == 1'469'922'850'259);
  CHECK(ToUnixMs(Ulid::Parse("01ARYZ6S41TSV4RRFFQ69G5FAV").value().Time()) == 1'469'918'176'385);
  CHECK(ToUnixMs(Ulid::Parse("7ZZZZZZZZZZZZZZZZZZZZZZZZZ").value().Time()) == kUnixMsMax);
  CHECK(Ulid::Parse("00000000000000000000000000") == Ulid());
}

TEST_CASE("ulid: either case is the same id") {
  CHECK(Ulid::Parse("01arz3ndektsv4rrffq69g5fav") == Ulid::Parse("01ARZ3NDEKTSV4RRFFQ69G5FAV"));
  CHECK(Ulid::Parse("01ArZ3NdEkTsV4RrFfQ69g5FaV") == Ulid::Parse("01ARZ3NDEKTSV4RRFFQ69G5FAV"));
}

TEST_CASE("ulid: what is none is refused") {
  std::vector<std::string> bad = {
      "",
      "0",
      "01ARZ3NDEKTSV4RRFFQ69G5FA",    // 25
      "01ARZ3NDEKTSV4RRFFQ69G5FAVX",  // 27
      "01ARZ3NDEKTSV4RRFFQ69G5FAV ",
      " 1ARZ3NDEKTSV4RRFFQ69G5FAV",
      "01ARZ3NDEK-SV4RRFFQ69G5FAV",
      "01ARZ3NDEK\xc3\xa9V4RRFFQ69G5FAV",
      "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",  // more than 128 bits
      "80000000000000000000000000",
      "G0000000000000000000000000",
      "ZZZZZZZZZZZZZZZZZZZZZZZZZZ",
      std::string(26, '\0'),
      std::string(26, '\xff'),
  };
  for (const char letter : std::string_view("ILOUilou")) {
    for (const std::size_t at : {0U, 1U, 13U, 25U}) {
      std::string text = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
      text[at] = letter;
      bad.push_back(text);
    }
  }
  for (const std::string& text : bad) {
    CAPTURE(text);
    CHECK(!Ulid::Parse(text));
  }
}

TEST_CASE("ulid: the smallest and the largest parts come back") {
  for (const std::int64_t unix_ms :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{1'795'489'827'123}, kUnixMsMax}) {
    for (const std::uint64_t sequence : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 24,
                                         (std::uint64_t{1} << 24) - 1, kSequenceMax}) {
      for (const std::uint64_t random : {std::uint64_t{0}, ~std::uint64_t{0}}) {
        const Ulid id = Ulid::Make(FromUnixMs(unix_ms), Sequence{sequence}, random);
        CHECK(ToUnixMs(id.Time()) == unix_ms);
        CHECK(ToNumber(id.SequencePart()) == sequence);
        CHECK(Ulid::Parse(id.ToText()) == id);
      }
    }
  }
}

TEST_CASE("ulid: the parts do not touch each other") {
  CHECK(Ulid::Make(FromUnixMs(0), Sequence{0}, ~std::uint64_t{0}).ToText() == "000000000000000000ZZZZZZZZ");
  CHECK(Ulid::Make(FromUnixMs(0), Sequence{kSequenceMax}, 0).ToText() == "0000000000ZZZZZZZZ00000000");
  CHECK(Ulid::Make(FromUnixMs(kUnixMsMax), Sequence{0}, 0).ToText() == "7ZZZZZZZZZ0000000000000000");
}

TEST_CASE("ulid: round trips keep every part, whatever the parts") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    const auto unix_ms = static_cast<std::int64_t>(random() >> 16);
    const Sequence sequence{random() >> (24 + random() % 40)};
    const Ulid id = Ulid::Make(FromUnixMs(unix_ms), sequence, random());
    const std::string text = id.ToText();
    CAPTURE(text);
    REQUIRE(text.size() == Ulid::kTextLength);
    REQUIRE(ToUnixMs(id.Time()) == unix_ms);
    REQUIRE(id.SequencePart() == sequence);
    REQUIRE(Ulid::Parse(text) == id);
    REQUIRE(Ulid::Parse(Lower(text)) == id);
  }
}

TEST_CASE("ulid: text sorts by time, then by sequence, whatever the random part") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    const auto earlier_ms = static_cast<std::int64_t>(random() % kUnixMsMax);
    const Sequence lower{random() % kSequenceMax};
    const Sequence higher{ToNumber(lower) + 1 + random() % (kSequenceMax - ToNumber(lower))};
    const std::string first = Ulid::Make(FromUnixMs(earlier_ms), lower, random()).ToText();
    REQUIRE(first < Ulid::Make(FromUnixMs(earlier_ms), higher, random()).ToText());
    REQUIRE(first <
            Ulid::Make(FromUnixMs(earlier_ms + 1), Sequence{random() % kSequenceMax}, random()).ToText());
  }
}

}  // namespace
}  // namespace outboxd
