#include "core/units.h"

#include <doctest/doctest.h>

#include <array>

namespace outboxd {
namespace {

constexpr std::array<Unit, 3> kUnits = {{{"dozen", 12}, {"pair", 2}, {"", 1}}};

TEST_CASE("units: digits, then at once a unit") {
  CHECK(ParseWithUnit("3dozen", kUnits) == 36U);
  CHECK(ParseWithUnit("3", kUnits) == 3U);
  CHECK(ParseWithUnit("0pair", kUnits) == 0U);
  for (const char* text : {"", "dozen", "3 dozen", "-3", "3.5pair", "3dozens", "3Dozen"}) {
    CAPTURE(text);
    CHECK_FALSE(ParseWithUnit(text, kUnits));
  }
}

TEST_CASE("units: what an int64_t cannot hold is refused") {
  CHECK(ParseWithUnit("9223372036854775807", kUnits) == 9223372036854775807U);
  CHECK_FALSE(ParseWithUnit("9223372036854775808", kUnits));
  CHECK_FALSE(ParseWithUnit("9223372036854775807pair", kUnits));
  CHECK_FALSE(ParseWithUnit("99999999999999999999", kUnits));
}

TEST_CASE("units: shown in the first unit that divides") {
  CHECK(ShowWithUnit(36, kUnits) == "3dozen");
  CHECK(ShowWithUnit(14, kUnits) == "7pair");
  CHECK(ShowWithUnit(7, kUnits) == "7");
  CHECK(ShowWithUnit(0, kUnits) == "0");
}

}  // namespace
}  // namespace outboxd
