#include "core/member_values.h"

#include <doctest/doctest.h>

#include "core/limits.h"

namespace outboxd::members {
namespace {

TEST_CASE("member values: a whole number fits 64 bits and has nothing around it") {
  CHECK(ReadInteger(ValueKind::kNumber, "0") == 0);
  CHECK(ReadInteger(ValueKind::kNumber, "-9223372036854775808") == INT64_MIN);
  CHECK_FALSE(ReadInteger(ValueKind::kNumber, "9223372036854775808"));
  CHECK_FALSE(ReadInteger(ValueKind::kNumber, "1.0"));
  CHECK_FALSE(ReadInteger(ValueKind::kNumber, "1e3"));
  CHECK_FALSE(ReadInteger(ValueKind::kNumber, ""));
  CHECK_FALSE(ReadInteger(ValueKind::kString, "1"));
}

TEST_CASE("member values: text has a least and a largest size, and no NUL byte") {
  CHECK(CheckText("x", 1).has_value());
  CHECK(CheckText("", 1).error().message == "must not be empty");
  CHECK(CheckText("xy", 1).error().message == "is 2 bytes; at most 1 are allowed");
  CHECK(CheckText(std::string("a\0b", 3), 3).error().message == "must not hold a NUL byte");
}

TEST_CASE("member values: an identifier is a string or an integer as its decimal text") {
  std::string into;
  CHECK(ReadIdentifier({{}, ValueKind::kNumber, {}, {}}, "-42", into).has_value());
  CHECK(into == "-42");
  CHECK(ReadIdentifier({{}, ValueKind::kString, {}, "a"}, "\"a\"", into).has_value());
  CHECK(into == "a");
  CHECK_FALSE(ReadIdentifier({{}, ValueKind::kNumber, {}, {}}, "1.5", into).has_value());
  CHECK_FALSE(ReadIdentifier({{}, ValueKind::kNull, {}, {}}, "null", into).has_value());
}

TEST_CASE("member values: what stands inside an object is listed in its order") {
  const std::vector<Member> inside = Inside(R"({"b":1,"a":{"c":2}})");
  REQUIRE(inside.size() == 2);
  CHECK(inside[0].key == "b");
  CHECK(inside[1].kind == ValueKind::kObject);
}

}  // namespace
}  // namespace outboxd::members
