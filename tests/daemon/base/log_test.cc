#include "daemon/base/log.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>

using namespace outboxd;

TEST_CASE("log: a line is the event and its fields in the order given") {
  CHECK(FormatLogLine("accepted", {}) == "accepted");
  CHECK(FormatLogLine("accepted", {{"job", "01JDB3"}, {"lines", 3}}) == "accepted job=01JDB3 lines=3");
}

TEST_CASE("log: numbers of every kind and booleans are written as they are") {
  const std::uint64_t huge = UINT64_MAX;
  CHECK(
      FormatLogLine(
          "n",
          {{"a", -5}, {"b", huge}, {"c", 0.25}, {"d", true}, {"e", false}, {"f", std::int64_t{INT64_MIN}}}) ==
      "n a=-5 b=18446744073709551615 c=0.25 d=true e=false f=-9223372036854775808");
}

TEST_CASE("log: a value is quoted when it would not read back as one word") {
  struct Row {
    std::string value, shown;
  };
  const std::array rows = {
      Row{"word", "word"},
      Row{"", R"("")"},
      Row{"two words", R"("two words")"},
      Row{"a=b", R"("a=b")"},
      Row{R"(say "no")", R"("say \"no\"")"},
      Row{R"(ends in \)", R"("ends in \\")"},
      Row{R"(\x1b)", R"("\\x1b")"},
      Row{"https://track.customer.io/api", "https://track.customer.io/api"},
      Row{"Zoë", "Zoë"},
  };
  for (const Row& row : rows) CHECK(FormatLogLine("e", {{"k", row.value}}) == "e k=" + row.shown);
}

TEST_CASE("log: bytes from outside can neither forge a line nor reach a terminal") {
  CHECK(FormatLogLine("e", {{"k", std::string("a\nb\x1b[2J")}}) == R"(e k="a\x0ab\x1b[2J")");
  CHECK(FormatLogLine("e", {{"k", std::string("\0", 1)}}) == R"(e k="\x00")");
  CHECK(FormatLogLine("e", {{"k", std::string("\xff")}}) == R"(e k="\xff")");
}

TEST_CASE("log: levels below the one set are not enabled") {
  const std::array levels = {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError};
  for (const LogLevel set : levels) {
    SetLogLevel(set);
    for (const LogLevel asked : levels) CHECK(LogEnabled(asked) == (asked >= set));
  }
  SetLogLevel(LogLevel::kInfo);
}

TEST_CASE("log: stderr is the journal only when device and inode both match") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  struct stat status{};
  REQUIRE(::fstat(ends[1], &status) == 0);
  const std::string device = std::to_string(status.st_dev);
  const std::string inode = std::to_string(status.st_ino);
  CHECK(IsJournalStream(ends[1], (device + ":" + inode).c_str()));
  CHECK_FALSE(IsJournalStream(ends[1], (device + ":" + inode + "0").c_str()));
  CHECK_FALSE(IsJournalStream(ends[1], ("1" + device + ":" + inode).c_str()));
  CHECK_FALSE(IsJournalStream(ends[1], ""));
  CHECK_FALSE(IsJournalStream(ends[1], nullptr));
  ::close(ends[0]);
  ::close(ends[1]);
}
