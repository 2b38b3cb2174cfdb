#include "ctl/import_head.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "ctl/line_reader.h"

namespace outboxd {
namespace {

TEST_CASE("import head: what is not lines is named, with the command that makes lines of it") {
  CHECK(WhyNotLines("\x1F\x8B\x08", "f.gz") ==
        "f.gz is compressed by gzip, not one job a line: zcat f.gz | outboxctl import -");
  CHECK(WhyNotLines(std::string_view("\xFF\xFE{\0", 4), "f").find("iconv -f UTF-16 -t UTF-8 f |") !=
        std::string::npos);
  CHECK(WhyNotLines("\xFE\xFF", "f").find("UTF-16") != std::string::npos);
  CHECK(
      WhyNotLines("\n [\n{\"type\":1}]", "f").find("is a JSON array, not one job a line: jq -c '.[]' f |") !=
      std::string::npos);
  CHECK(WhyNotLines("\xEF\xBB\xBF{\r\n  \"type\": 1\r\n}", "f").find("jq -c . f |") != std::string::npos);
}

TEST_CASE("import head: what may be lines is left to the daemon, which names each wrong one") {
  for (const char* head :
       {"", "\n", "{}", "{", "{\"type\":\"track\"}\n{", "\xEF\xBB\xBF{\"type\":1}\n", "no\n"}) {
    CAPTURE(head);
    CHECK(WhyNotLines(head, "f").empty());
  }
}

TEST_CASE("line reader: a byte order mark before the first line is no part of it, and counts as read") {
  for (const std::string bytes : {"\xEF\xBB\xBF{}\n\xEF\xBB\xBFx\n", "\xEF\xBB\xBF{}"}) {
    std::array<int, 2> ends{};
    REQUIRE(pipe(ends.data()) == 0);
    REQUIRE(write(ends[1], bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    close(ends[1]);
    LineReader reader(ends[0]);
    InputLine line;
    REQUIRE(*reader.Next(line, std::nullopt) == ReadStatus::kLine);
    CHECK(line.text == "{}");
    CHECK(line.end_offset == std::min<std::size_t>(bytes.size(), 6));
    if (bytes.size() > 6) {
      REQUIRE(*reader.Next(line, std::nullopt) == ReadStatus::kLine);
      CHECK(line.text == "\xEF\xBB\xBFx");
    }
    close(ends[0]);
  }
}

}  // namespace
}  // namespace outboxd
