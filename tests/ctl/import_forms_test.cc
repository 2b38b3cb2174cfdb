// outboxctl import: the forms in which people bring their lines, from a file and through a pipe.
#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "ctl/import_input.h"
#include "ctl/interrupt.h"
#include "ctl/line_reader.h"
#include "tests/ctl/fake_daemon.h"
#include "tests/ctl/import_fixture.h"

namespace outboxd::test {
namespace {

// Lines that do not pack well, so that an import is still reading while it is stopped.
std::string RandomLines(int count) {
  std::mt19937 random(15);
  std::string text;
  for (int i = 1; i <= count; ++i) {
    text += "{\"n\":" + std::to_string(i) + ",\"x\":\"";
    for (int j = 0; j < 20; ++j) text += std::to_string(random());
    text += "\"}\n";
  }
  return text;
}

TEST_CASE("import: a gzip file is imported like its lines, whatever its name") {
  ImportFixture daemon;
  const std::string text = "\xEF\xBB\xBF" + Lines(3000);
  const std::string file = daemon.folder.Write("in.ndjson", Gzip(text) + Gzip("{\"n\":\"last\"}"));
  const Ran ran = daemon.Run({file, "--json"});
  CHECK(ran.code == 0);
  CHECK(ran.err.empty());
  const std::vector<std::string> lines = daemon.producer.Lines();
  REQUIRE(lines.size() == 3001);
  for (int i = 1; i <= 3000; ++i)
    CHECK(lines[static_cast<std::size_t>(i - 1)] == "{\"n\":" + std::to_string(i) + "}");
  CHECK(lines.back() == "{\"n\":\"last\"}");
  CHECK(JsonValue::Parse(ran.out)->operator[]("lines").Int() == 3001);
  CHECK_FALSE(daemon.HasState());
}

TEST_CASE("import: a gzip file goes on after the line where it stopped, and not once it is another file") {
  int count = 0;
  ImportFixture daemon([&](const std::string&) -> std::string {
    if (++count == 1000) SetInterrupted(true);
    return kOk;
  });
  const std::string packed = Gzip(RandomLines(20'000));
  const std::string file = daemon.folder.Write("in.ndjson", packed);
  const Ran stopped = daemon.Run({file, "--window", "4"});
  CHECK(stopped.code == 130);
  CHECK(Contains(stopped.err, "--resume"));
  CHECK(Contains(TempFolder::Read(daemon.folder / "in.ndjson.outboxd-import"), "\"packed\":"));
  SetInterrupted(false);
  CHECK(daemon.Run({file}).code == 2);
  daemon.folder.Write("in.ndjson", Gzip("{\"n\":0}\n" + RandomLines(20'000)));
  const Ran other = daemon.Run({file, "--resume"});
  CHECK(other.code == 1);
  CHECK(Contains(other.err, "not the one"));
  daemon.folder.Write("in.ndjson", packed);
  const Ran resumed = daemon.Run({file, "--resume", "--json"});
  CHECK(resumed.code == 0);
  CHECK(JsonValue::Parse(resumed.out)->operator[]("accepted").Int() == 20'000);
  CHECK(daemon.producer.Lines().size() == 20'000);
  CHECK(daemon.Different().size() == 20'000);
  CHECK_FALSE(daemon.HasState());
}

TEST_CASE(
    "import: of a gzip file that was cut off the whole lines are taken, and its rest once it is there") {
  ImportFixture daemon;
  const std::string packed = Gzip(RandomLines(5000));
  const std::string half = packed.substr(0, packed.size() / 2);
  const std::string file = daemon.folder.Write("in.ndjson", half);
  const Ran cut = daemon.Run({file});
  CHECK(cut.code == 1);
  CHECK(Contains(cut.err, "outboxctl: " + file + ": the gzip data ends too early, after its byte " +
                              std::to_string(half.size()) + "\n"));
  const std::vector<std::string> lines = daemon.producer.Lines();
  REQUIRE(lines.size() > 1000);
  REQUIRE(lines.size() < 5000);
  for (const std::string& line : lines) CHECK(line.ends_with("\"}"));
  CHECK(Contains(cut.err, "stopped after line " + std::to_string(lines.size()) +
                              "; outboxctl import --resume " + file + " goes on there\n"));
  daemon.folder.Write("in.ndjson", packed);
  CHECK(daemon.Run({file, "--resume"}).code == 0);
  CHECK(daemon.producer.Lines().size() == 5000);
  CHECK(daemon.Different().size() == 5000);
}

TEST_CASE("import: damage in a gzip file ends it with 1 and says how far it came") {
  ImportFixture daemon;
  std::string packed = Gzip(RandomLines(5000));
  packed[packed.size() - 8] ^= 1;  // of the checksum
  const std::string file = daemon.folder.Write("in.ndjson", packed);
  const Ran ran = daemon.Run({file, "--json"});
  CHECK(ran.code == 1);
  CHECK(Contains(ran.err, ": the gzip data is damaged (incorrect data check) after its byte "));
  CHECK(Contains(ran.err, "stopped after line " + std::to_string(daemon.producer.Lines().size()) + ";"));
  CHECK_FALSE(JsonValue::Parse(ran.out)->operator[]("done").Bool());
  packed = Gzip(Lines(100));
  packed[packed.size() - 8] ^= 1;
  const std::size_t lines = daemon.producer.Lines().size();
  const Ran small = daemon.Run({daemon.folder.Write("small", packed)});
  CHECK(small.code == 1);
  CHECK(Contains(small.err, "damaged (incorrect data check) after its byte 0\n"));
  CHECK(daemon.producer.Lines().size() == lines);
}

TEST_CASE("import: a line that is too long is passed over in a gzip file too") {
  ImportFixture daemon;
  const std::string file = daemon.folder.Write(
      "in.ndjson", Gzip("{\"n\":1}\n" + std::string(3 * kReaderLineBytesMax, 'x') + "\n{\"n\":2}\n"));
  const Ran ran = daemon.Run({file});
  CHECK(ran.code == 1);
  CHECK(Contains(ran.err, "line 2 refused: longer than any line the daemon takes (too_large)"));
  CHECK(daemon.Different() == std::set<std::string>{"{\"n\":1}", "{\"n\":2}"});
}

TEST_CASE("import: a pipe brings gzip, a byte order mark and lines that end with CR LF") {
  ImportFixture daemon([](const std::string& line) { return Contains(line, "bad") ? kBad : kOk; });
  const std::string rejects = (daemon.folder / "rejects").string();
  const std::string text = "\xEF\xBB\xBF{\"n\":1}\r\n\r\n{\"bad\":2}\r\n{\"n\":3}";
  for (const std::string& input : {text, Gzip(text)}) {
    std::filesystem::remove(rejects);
    const Ran ran = daemon.Run({"-", "--rejects", rejects}, {input});
    CHECK(ran.code == 1);
    CHECK(Contains(ran.err, "line 3 refused: id: needs"));
    CHECK(TempFolder::Read(rejects) == "{\"bad\":2}\r\n");  // as it came
  }
  const std::vector<std::string> once = {"{\"n\":1}\r", "{\"bad\":2}\r", "{\"n\":3}"};
  std::vector<std::string> twice = once;
  twice.insert(twice.end(), once.begin(), once.end());
  CHECK(daemon.producer.Lines() == twice);
}

TEST_CASE("import: what is not lines is told before anything is sent or made, of a file and of a pipe") {
  ImportFixture daemon;
  const std::string rejects = (daemon.folder / "rejects").string();
  const std::pair<std::string, const char*> kForms[] = {
      {std::string("\xFF\xFE{\0\n\0", 6), "text in UTF-16, not one job a line"},
      {std::string("\0{\0\"", 4), "text in UTF-16, not one job a line"},
      {"\n[\n{\"type\":1}]\n", "a JSON array, not one job a line"},
      {"\xEF\xBB\xBF{\r\n  \"type\": 1\r\n}", "JSON over several lines, not one job a line"},
      {Gzip("[" + std::string(100'000, ' ')), "a JSON array, not one job a line"},
      {Gzip(Gzip("{}")), "compressed by gzip twice, not one job a line"}};
  for (const auto& [input, what] : kForms) {
    CAPTURE(what);
    const Ran piped = daemon.Run({"-", "--rejects", rejects}, {input});
    CHECK(piped.code == 2);
    CHECK(Contains(piped.err, std::string("standard input is ") + what + ": … | "));
    const std::string file = daemon.folder.Write("in.ndjson", input);
    const Ran ran = daemon.Run({file, "--rejects", rejects});
    CHECK(ran.code == 2);
    CHECK(Contains(ran.err, file + " is " + what));
    CHECK_FALSE(std::filesystem::exists(rejects));
  }
  CHECK(daemon.producer.Lines().empty());
}

TEST_CASE("import input: a pipe is examined as its beginning comes in, and nothing of it is lost") {
  for (const std::string& bytes : {std::string("\n{}\n"), Gzip("\n{}\n" + Lines(2000))}) {
    std::array<int, 2> ends{};
    REQUIRE(pipe(ends.data()) == 0);
    ImportInput input(ends[0], "-");
    std::size_t given = 0;
    for (; !*input.Examine(Milliseconds(0)); ++given) {
      REQUIRE(given < bytes.size());
      REQUIRE(write(ends[1], &bytes[given], 1) == 1);
    }
    CHECK(given <= bytes.size());
    REQUIRE(write(ends[1], &bytes[given], bytes.size() - given) ==
            static_cast<ssize_t>(bytes.size() - given));
    close(ends[1]);
    LineReader reader(input);
    InputLine line;
    REQUIRE(*reader.Next(line, std::nullopt) == ReadStatus::kLine);
    CHECK(line.text.empty());
    REQUIRE(*reader.Next(line, std::nullopt) == ReadStatus::kLine);
    CHECK(line.text == "{}");
    int more = 0;
    while (*reader.Next(line, std::nullopt) == ReadStatus::kLine) ++more;
    CHECK(more == (bytes.size() > 100 ? 2000 : 0));
    close(ends[0]);
  }
}

}  // namespace
}  // namespace outboxd::test
