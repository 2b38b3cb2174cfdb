#include "core/time.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

namespace outboxd {
namespace {

struct Case {
  std::string_view text;
  std::optional<std::int64_t> unix_ms;
};

void Check(const std::vector<Case>& cases, std::optional<Timestamp> (*parse)(std::string_view)) {
  for (const Case& one : cases) {
    CAPTURE(one.text);
    const std::optional<Timestamp> at = parse(one.text);
    CHECK(at.has_value() == one.unix_ms.has_value());
    if (at && one.unix_ms) CHECK(ToUnixMs(*at) == *one.unix_ms);
  }
}

TEST_CASE("time: an instant is written with milliseconds in UTC") {
  CHECK(FormatRfc3339(FromUnixMs(0)) == "1970-01-01T00:00:00.000Z");
  CHECK(FormatRfc3339(FromUnixMs(1'795'489'827'123)) == "2026-11-24T03:10:27.123Z");
  CHECK(FormatRfc3339(FromUnixMs(951'782'400'007)) == "2000-02-29T00:00:00.007Z");
  CHECK(FormatRfc3339(FromUnixMs(-1)) == "1969-12-31T23:59:59.999Z");
  CHECK(FormatRfc3339(FromUnixMs(253'402'300'799'999)) == "9999-12-31T23:59:59.999Z");
}

TEST_CASE("time: RFC 3339 date-times of every offset and precision are read") {
  Check(
      {
          {"1970-01-01T00:00:00Z", 0},
          {"2026-11-24T03:10:27.123Z", 1'795'489'827'123},
          {"2026-11-24t03:10:27.123z", 1'795'489'827'123},
          {"2026-11-24 03:10:27Z", 1'795'489'827'000},
          {"2026-11-24T03:10:27.1Z", 1'795'489'827'100},
          {"2026-11-24T03:10:27.12Z", 1'795'489'827'120},
          {"2026-11-24T03:10:27.1239999999999999999999999999Z", 1'795'489'827'123},
          {"2026-11-24T05:10:27+02:00", 1'795'489'827'000},
          {"2026-11-23T21:40:27-05:30", 1'795'489'827'000},
          {"2026-11-24T03:10:27-00:00", 1'795'489'827'000},
          {"2000-02-29T00:00:00Z", 951'782'400'000},
          {"1969-12-31T23:59:59.999Z", -1},
          {"0000-01-01T00:00:00Z", -62'167'219'200'000},
          {"9999-12-31T23:59:59Z", 253'402'300'799'000},
          {"2016-12-31T23:59:60Z", 1'483'228'800'000},
          {"2017-01-01T00:59:60.5+01:00", 1'483'228'800'500},
      },
      ParseRfc3339);
}

TEST_CASE("time: what is not an RFC 3339 date-time is refused") {
  Check(
      {
          {"", std::nullopt},
          {"0", std::nullopt},
          {"now", std::nullopt},
          {"2026-11-24", std::nullopt},
          {"2026-11-24T03:10:27", std::nullopt},
          {"2026-11-24T03:10Z", std::nullopt},
          {"2026-11-24T03:10:27.Z", std::nullopt},
          {"2026-11-24T03:10:27Zx", std::nullopt},
          {"2026-11-24T03:10:27Z ", std::nullopt},
          {" 2026-11-24T03:10:27Z", std::nullopt},
          {"2026-11-24T03:10:27+0200", std::nullopt},
          {"2026-11-24T03:10:27+02", std::nullopt},
          {"2026-11-24T03:10:27+24:00", std::nullopt},
          {"2026-11-24T03:10:27+02:60", std::nullopt},
          {"2026-11-24T03:10:27*02:00", std::nullopt},
          {"2026-11-24T24:00:00Z", std::nullopt},
          {"2026-11-24T03:60:00Z", std::nullopt},
          {"2026-11-24T03:10:61Z", std::nullopt},
          {"2026-11-24T03:10:60Z", std::nullopt},
          {"2026-13-24T03:10:27Z", std::nullopt},
          {"2026-00-24T03:10:27Z", std::nullopt},
          {"2026-02-29T03:10:27Z", std::nullopt},
          {"2026-11-31T03:10:27Z", std::nullopt},
          {"2026-11-00T03:10:27Z", std::nullopt},
          {"+2026-11-24T03:10:27Z", std::nullopt},
          {"-026-11-24T03:10:27Z", std::nullopt},
          {"99999999999999999999-11-24T03:10:27Z", std::nullopt},
          {"2026-11-24_03:10:27Z", std::nullopt},
          {std::string_view("2026-11-24T03:10:27\0Z", 21), std::nullopt},
      },
      ParseRfc3339);
}

TEST_CASE("time: any instant survives being written and read") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::int64_t> any(-62'167'219'200'000, 253'402'300'799'999);
  for (int i = 0; i < 20'000; ++i) {
    const Timestamp at = FromUnixMs(any(random));
    CAPTURE(ToUnixMs(at));
    REQUIRE(ParseRfc3339(FormatRfc3339(at)) == at);
  }
}

TEST_CASE("time: no mutation of a date makes the readers fail other than by saying so") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::vector<std::string> dates = {"2026-11-24T03:10:27.123+02:00", "Sun, 06 Nov 1994 08:49:37 GMT",
                                          "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"};
  for (int i = 0; i < 20'000; ++i) {
    std::string text = dates[random() % dates.size()];
    for (auto k = random() % 3; k > 0; --k) text[random() % text.size()] = static_cast<char>(random() % 256);
    text.resize(random() % (text.size() + 1));
    (void)ParseRfc3339(text);
    (void)ParseHttpDate(text);
  }
}

TEST_CASE("time: the three date forms of HTTP are read") {
  Check(
      {
          {"Sun, 06 Nov 1994 08:49:37 GMT", 784'111'777'000},
          {"Sunday, 06-Nov-94 08:49:37 GMT", 784'111'777'000},
          {"Sun Nov  6 08:49:37 1994", 784'111'777'000},
          {"Wed Nov 16 08:49:37 1994", 784'975'777'000},
          {"Saturday, 01-Jan-00 00:00:00 GMT", 946'684'800'000},
          {"Wednesday, 01-Jan-69 00:00:00 GMT", 3'124'224'000'000},
          {"Thursday, 01-Jan-70 00:00:00 GMT", 0},
          {"Tue, 29 Feb 2028 23:59:59 GMT", 1'835'481'599'000},
          {"Mon, 06 Nov 1994 08:49:37 GMT", 784'111'777'000},  // the wrong day's name
      },
      ParseHttpDate);
}

TEST_CASE("time: what is not an HTTP date is refused") {
  Check(
      {
          {"", std::nullopt},
          {"0", std::nullopt},
          {"-1", std::nullopt},
          {"Sun", std::nullopt},
          {"Sunday", std::nullopt},
          {"Sun, ", std::nullopt},
          {"Sun, 06 Nov 1994 08:49:37", std::nullopt},
          {"Sun, 06 Nov 1994 08:49:37 UTC", std::nullopt},
          {"Sun, 06 Nov 1994 08:49:37 GMT ", std::nullopt},
          {"Sun, 6 Nov 1994 08:49:37 GMT", std::nullopt},
          {"Sun, 06 nov 1994 08:49:37 GMT", std::nullopt},
          {"Sun, 31 Feb 1994 08:49:37 GMT", std::nullopt},
          {"Sun, 06 Nov 1994 24:49:37 GMT", std::nullopt},
          {"Sun, 06 Nov 94 08:49:37 GMT", std::nullopt},
          {"Sunday, 06-Nov-1994 08:49:37 GMT", std::nullopt},
          {"Xyz, 06 Nov 1994 08:49:37 GMT", std::nullopt},
          {"Sun Nov 6 08:49:37 1994", std::nullopt},
          {"Sun Nov  6 08:49:37 94", std::nullopt},
          {"1994-11-06T08:49:37Z", std::nullopt},
      },
      ParseHttpDate);
}

}  // namespace
}  // namespace outboxd
