#include "ctl/gunzip.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <string>

#include "tests/ctl/import_fixture.h"

namespace outboxd::test {
namespace {

constexpr std::size_t kPieceMax = 262144;

// All that comes out of `packed`, given in pieces of `step` bytes; "damaged" for what is.
std::string Unpacked(const std::string& packed, std::size_t step, bool& is_whole) {
  Gunzip gunzip;
  std::string text;
  for (std::size_t at = 0; at < packed.size(); at += step) {
    gunzip.Give(packed.substr(at, step));
    while (!gunzip.WantsBytes()) {
      const std::size_t before = text.size();
      if (!gunzip.Unpack(text)) return "damaged";
      REQUIRE(text.size() - before <= kPieceMax);
    }
  }
  CHECK(gunzip.packed_bytes() == packed.size());
  is_whole = gunzip.IsWhole();
  return text;
}

TEST_CASE("gunzip: members one behind the other come out whole, in whatever pieces they are given") {
  const std::string packed = Gzip(Lines(1000)) + Gzip("") + Gzip("last") + std::string(1024, '\0');
  for (const std::size_t step : {std::size_t{1}, std::size_t{2}, std::size_t{100}, packed.size()}) {
    CAPTURE(step);
    bool is_whole = false;
    CHECK(Unpacked(packed, step, is_whole) == Lines(1000) + "last");
    CHECK(is_whole);
  }
}

TEST_CASE("gunzip: what was cut off is not whole, wherever that was") {
  const std::string packed = Gzip(Lines(20));
  for (std::size_t length = 1; length < packed.size(); ++length) {
    CAPTURE(length);
    bool is_whole = true;
    CHECK(Lines(20).starts_with(Unpacked(packed.substr(0, length), length, is_whole)));
    CHECK_FALSE(is_whole);
  }
}

TEST_CASE("gunzip: a small file that unpacks to a huge one comes in small pieces") {
  const std::string zeros(64 << 20, '\0');
  const std::string packed = Gzip(zeros);
  REQUIRE(packed.size() < zeros.size() / 500);
  bool is_whole = false;
  CHECK(Unpacked(packed, packed.size(), is_whole).size() == zeros.size());
  CHECK(is_whole);
}

TEST_CASE("gunzip: of a damaged piece nothing is given") {
  bool is_whole = false;
  std::string packed = Gzip(Lines(20));
  packed[packed.size() - 6] ^= 1;  // of its checksum
  CHECK(Unpacked(packed, packed.size(), is_whole) == "damaged");
  CHECK(Unpacked(Gzip("a") + "no member", 1000, is_whole) == "damaged");

  Gunzip gunzip;
  gunzip.Give(packed);
  std::string text = "before";
  const Result<void> unpacked = gunzip.Unpack(text);
  REQUIRE_FALSE(unpacked);
  CHECK(unpacked.error().message == "incorrect data check");
  CHECK(text == "before");
  CHECK(gunzip.packed_bytes() == 0);
}

}  // namespace
}  // namespace outboxd::test
