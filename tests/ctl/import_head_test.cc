#include "ctl/import_head.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "ctl/byte_source.h"
#include "ctl/line_reader.h"

namespace outboxd {
namespace {

TEST_CASE("import head: what is not lines is named, with the command that makes lines of it") {
  CHECK(WhyNotLines("\x1F\x8B\x08", "f.gz", Packing::kGzip).find("gzip twice") != std::string::npos);
  CHECK(WhyNotLines("PK\x03\x04", "f", Packing::kNone).find("unzip -p f |") != std::string::npos);
  CHECK(WhyNotLines(std::string_view("{\0\"\0", 4), "f", Packing::kNone).find("iconv -f UTF-16LE") !=
        std::string::npos);
  CHECK(WhyNotLines(std::string_view("\xFF\xFE{\0", 4), "f", Packing::kNone)
            .find("iconv -f UTF-16 -t UTF-8 f |") != std::string::npos);
  CHECK(WhyNotLines("\xFE\xFF", "f", Packing::kNone).find("UTF-16") != std::string::npos);
  CHECK(WhyNotLines("\n [\n{\"type\":1}]", "f", Packing::kNone)
            .find("is a JSON array, not one job a line: jq -c '.[]' f |") != std::string::npos);
  CHECK(WhyNotLines("\xEF\xBB\xBF{\r\n  \"type\": 1\r\n}", "f", Packing::kNone).find("jq -c . f |") !=
        std::string::npos);
}

TEST_CASE("import head: what may be lines is left to the daemon, which names each wrong one") {
  for (const char* head :
       {"", "\n", "{}", "{", "{\"type\":\"track\"}\n{", "\xEF\xBB\xBF{\"type\":1}\n", "no\n"}) {
    CAPTURE(head);
    CHECK(WhyNotLines(head, "f", Packing::kNone).empty());
  }
}

TEST_CASE("import head: the command fits what is read: a file, a packed one or standard input") {
  CHECK(WhyNotLines("[", "f", Packing::kNone) ==
        "f is a JSON array, not one job a line: jq -c '.[]' f | outboxctl import -");
  CHECK(WhyNotLines("[", "f", Packing::kGzip) ==
        "f is a JSON array, not one job a line: zcat f | jq -c '.[]' | outboxctl import -");
  CHECK(WhyNotLines("[", "-", Packing::kNone) ==
        "standard input is a JSON array, not one job a line: … | jq -c '.[]' | outboxctl import -");
  CHECK(WhyNotLines("[", "-", Packing::kGzip) ==
        "standard input is a JSON array, not one job a line: … | zcat | jq -c '.[]' | outboxctl import -");
}

TEST_CASE("import head: it suffices once its first line that is not blank is there, or 4096 bytes") {
  CHECK_FALSE(SufficesAsHead(""));
  CHECK_FALSE(SufficesAsHead(" \r\n\n {"));
  CHECK(SufficesAsHead("\n{\n"));
  CHECK_FALSE(SufficesAsHead(std::string(4095, ' ')));
  CHECK(SufficesAsHead(std::string(4096, ' ')));
}

TEST_CASE("line reader: a byte order mark before the first line is no part of it, and counts as read") {
  for (const std::string bytes : {"\xEF\xBB\xBF{}\n\xEF\xBB\xBFx\n", "\xEF\xBB\xBF{}"}) {
    std::array<int, 2> ends{};
    REQUIRE(pipe(ends.data()) == 0);
    REQUIRE(write(ends[1], bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    close(ends[1]);
    DescriptorBytes bytes_of_pipe(ends[0]);
    LineReader reader(bytes_of_pipe);
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
