#include "core/given_time.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/member_values.h"

namespace outboxd {
namespace {

struct Read {
  GivenTime given;
  std::string_view text;
  bool is_line_time = false;
};

Read ReadAs(std::string_view json) {
  static std::string object;
  object = "{\"t\": " + std::string(json) + "}";
  const std::vector<Member> members = members::Inside(object);
  REQUIRE(members.size() == 1);
  const Member& member = members.front();
  const std::string_view raw = std::string_view(object).substr(member.raw.offset, member.raw.length);
  Read read{ReadGivenTime(member, raw), {}, IsLineTime(member, raw)};
  read.text = std::string_view(object).substr(read.given.text.offset, read.given.text.length);
  return read;
}

TEST_CASE(
    "given time: Unix seconds stand, milliseconds and fractions are cut, RFC 3339 is named, the rest is no "
    "time") {
  for (const char* json : {"0", "1700000000", R"("1700000000")", "253402300799", "-5", "1.7e9", "1E9"}) {
    CAPTURE(json);
    CHECK(ReadAs(json).given.form == TimeForm::kSeconds);
  }
  for (const char* json :
       {"1700000000123", R"("1700000000123")", "1700000000.75", R"("1700000000.75")", "1700000000123.5"}) {
    CAPTURE(json);
    CHECK(ReadAs(json).given.form == TimeForm::kOther);
    CHECK(ReadAs(json).text == "1700000000");
  }
  const Read text = ReadAs(R"("2026-01-31T09:30:00Z")");
  CHECK(text.given.form == TimeForm::kOther);
  CHECK(text.text == R"("2026-01-31T09:30:00Z")");
  for (const char* json : {R"("soon")", R"("")", R"("\u0031700000000")", R"("01")", "17000000001234", "null",
                           "true", "[1]", "{}"}) {
    CAPTURE(json);
    CHECK(ReadAs(json).given.form == TimeForm::kNone);
  }
}

TEST_CASE("given time: a line gives Unix seconds, with a fraction or without, or RFC 3339 text") {
  for (const char* json :
       {"0", "1700000000", "1700000000.999", "253402300799", R"("2026-01-31T09:30:00+01:00")"})
    CHECK_MESSAGE(ReadAs(json).is_line_time, json);
  for (const char* json : {"-1", "-0", "1e9", "253402300800", "1700000000000", R"("1700000000")", R"("soon")",
                           "null", "true", "[]"})
    CHECK_MESSAGE(!ReadAs(json).is_line_time, json);
}

}  // namespace
}  // namespace outboxd
