#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <set>

#include "core/json.h"
#include "ctl/byte_source.h"
#include "ctl/import_state.h"
#include "ctl/interrupt.h"
#include "ctl/line_reader.h"
#include "tests/ctl/fake_daemon.h"
#include "tests/ctl/import_fixture.h"

namespace outboxd::test {
namespace {

constexpr const char* kFull = R"({"ok":false,"error":{"code":"spool_full","message":"no room"}})";
constexpr const char* kInternal =
    R"({"ok":false,"error":{"code":"internal","message":"the outbox cannot be written"}})";
constexpr const char* kForbidden =
    R"({"ok":false,"error":{"code":"forbidden","message":"user 7 may not produce here"}})";
constexpr const char* kTooLarge = R"({"ok":false,"error":{"code":"too_large","message":"line too long"}})";

TEST_CASE("import: every line arrives in order, the state file is gone at the end") {
  ImportFixture daemon([](const std::string&) { return kOk; });
  const std::string file = daemon.folder.Write("in.ndjson", Lines(5000) + "\n  \n{\"n\":\"last\"}");
  const Ran ran = daemon.Run({file, "--json"});
  CHECK(ran.code == 0);
  const std::vector<std::string> lines = daemon.producer.Lines();
  REQUIRE(lines.size() == 5001);
  for (int i = 1; i <= 5000; ++i)
    CHECK(lines[static_cast<std::size_t>(i - 1)] == "{\"n\":" + std::to_string(i) + "}");
  CHECK(lines.back() == "{\"n\":\"last\"}");
  const JsonValue summary = *JsonValue::Parse(ran.out);
  CHECK(summary["done"].Bool());
  CHECK(summary["accepted"].Int() == 5001);
  CHECK(summary["refused"].Int() == 0);
  CHECK(summary["lines"].Int() == 5003);
  CHECK_FALSE(daemon.HasState());
}

TEST_CASE("import: reads standard input") {
  ImportFixture daemon([](const std::string&) { return kOk; });
  const Ran ran = daemon.Run({"-"}, {Lines(100)});
  CHECK(ran.code == 0);
  CHECK(daemon.producer.Lines().size() == 100);
  CHECK(ran.out.starts_with("100 accepted, 0 refused in "));
  CHECK(daemon.Run({"-", "--resume"}).code == 2);
}

TEST_CASE("import: refused lines are named with number and error and kept as they were") {
  ImportFixture daemon([](const std::string& line) { return Contains(line, "bad") ? kBad : kOk; });
  const std::string file =
      daemon.folder.Write("in.ndjson", "{\"a\":1}\n{\"bad\" :\x1b 1}\n{\"b\":1}\n{\"bad\":2}\n");
  const std::string rejects = (daemon.folder / "rejects").string();
  const Ran ran = daemon.Run({file, "--rejects", rejects});
  CHECK(ran.code == 1);
  CHECK(Contains(ran.err, "line 2 refused: id: needs \"id\" (invalid_job)\n"));
  CHECK(Contains(ran.err, "line 4 refused"));
  CHECK(TempFolder::Read(rejects) == "{\"bad\" :\x1b 1}\n{\"bad\":2}\n");
  CHECK(Contains(ran.out, "2 accepted, 2 refused"));
}

TEST_CASE("import: busy and full are waited out, the lines are sent again and none is lost or doubled") {
  std::set<std::string> accepted;
  int doubled = 0;
  int count = 0;
  ImportFixture daemon([&](const std::string& line) -> std::string {
    ++count;
    if (count > 3 && count < 8) return count % 2 == 0 ? kBusy : kFull;
    if (!accepted.insert(line).second) ++doubled;
    return kOk;
  });
  const std::string file = daemon.folder.Write("in.ndjson", Lines(50));
  const Ran ran = daemon.Run({file});
  CHECK(ran.code == 0);
  CHECK(accepted.size() == 50);
  CHECK(doubled == 0);
  CHECK(Contains(ran.err, "waiting: queue limit reached"));
}

TEST_CASE("import: once a line was busy, it is sent again before any new line") {
  std::vector<std::string> accepted;
  bool busy = true;
  ImportFixture daemon([&](const std::string& line) -> std::string {
    if (Contains(line, ":5}") && std::exchange(busy, false)) return kBusy;
    accepted.push_back(line);
    return kOk;
  });
  const std::string file = daemon.folder.Write("in.ndjson", Lines(100));
  CHECK(daemon.Run({file, "--window", "8"}).code == 0);
  REQUIRE(accepted.size() == 100);
  const auto again = std::find(accepted.begin(), accepted.end(), "{\"n\":5}");
  CHECK(again - accepted.begin() == 7);
}

TEST_CASE("import: when nothing moves for too long it gives up with 75 and can be resumed") {
  bool open = false;
  ImportFixture daemon(
      [&](const std::string& line) -> std::string { return open || !Contains(line, ":3}") ? kOk : kBusy; });
  const std::string file = daemon.folder.Write("in.ndjson", Lines(5));
  const Ran stuck = daemon.Run({file, "--wait", "0s", "--window", "1"});
  CHECK(stuck.code == 75);
  CHECK(Contains(stuck.err, "stopped after line 2; outboxctl import --resume " + file));
  CHECK(daemon.HasState());
  const Ran refused = daemon.Run({file});
  CHECK(refused.code == 2);
  CHECK(Contains(refused.err, "--resume"));
  open = true;
  const Ran resumed = daemon.Run({file, "--resume", "--json"});
  CHECK(resumed.code == 0);
  CHECK(JsonValue::Parse(resumed.out)->operator[]("accepted").Int() == 5);
  const std::vector<std::string> lines = daemon.producer.Lines();
  CHECK(std::vector<std::string>(lines.end() - 3, lines.end()) ==
        std::vector<std::string>{"{\"n\":3}", "{\"n\":4}", "{\"n\":5}"});
  CHECK_FALSE(daemon.HasState());
}

TEST_CASE(
    "import: a user who may not produce ends it with 1, no line counts as refused and all are sent by a "
    "resumed import") {
  int allowed = 3;
  ImportFixture daemon(
      [&](const std::string&) -> std::string { return allowed-- > 0 ? kOk : std::string(kForbidden) + "!"; });
  const std::string file = daemon.folder.Write("in.ndjson", Lines(100));
  const std::string rejects = (daemon.folder / "rejects").string();
  const Ran denied = daemon.Run({file, "--rejects", rejects, "--window", "20"});
  CHECK(denied.code == 1);
  CHECK(Contains(denied.err, "outboxctl: user 7 may not produce here\n"));
  CHECK(Contains(denied.err, "stopped after line 3; outboxctl import --resume " + file));
  CHECK_FALSE(Contains(denied.err, "sent again"));
  CHECK(Contains(denied.out, "3 accepted, 0 refused"));
  CHECK(TempFolder::Read(rejects).empty());
  CHECK(daemon.HasState());
  allowed = 1000;
  const Ran resumed = daemon.Run({file, "--resume", "--json"});
  CHECK(resumed.code == 0);
  CHECK(JsonValue::Parse(resumed.out)->operator[]("accepted").Int() == 100);
  CHECK(daemon.Different().size() == 100);
}

TEST_CASE("import: lines that the daemon could not write are sent again in their order before any new line") {
  std::vector<std::string> accepted;
  int broken = 8;
  ImportFixture daemon([&](const std::string& line) -> std::string {
    if (accepted.size() == 4 && broken-- > 0) return kInternal;
    accepted.push_back(line);
    return kOk;
  });
  const std::string file = daemon.folder.Write("in.ndjson", Lines(100));
  const Ran ran = daemon.Run({file, "--window", "8"});
  CHECK(ran.code == 0);
  CHECK(Contains(ran.err, "waiting: the outbox cannot be written"));
  REQUIRE(accepted.size() == 100);
  for (std::size_t i = 0; i < accepted.size(); ++i)
    CHECK(accepted[i] == "{\"n\":" + std::to_string(i + 1) + "}");
}

TEST_CASE(
    "import: an outbox that cannot be written for too long ends it with 75, and no line is left out by a "
    "resumed import") {
  bool broken = true;
  ImportFixture daemon([&](const std::string& line) -> std::string {
    return broken && Contains(line, ":3}") ? kInternal : kOk;
  });
  const std::string file = daemon.folder.Write("in.ndjson", Lines(5));
  const Ran stuck = daemon.Run({file, "--wait", "0s", "--window", "1"});
  CHECK(stuck.code == 75);
  CHECK(Contains(stuck.err, "the outbox cannot be written"));
  broken = false;
  CHECK(daemon.Run({file, "--resume"}).code == 0);
  CHECK(daemon.Different().size() == 5);
}

TEST_CASE("import: an interrupt stops it with 130 at a place from which it goes on") {
  int count = 0;
  ImportFixture daemon([&](const std::string&) -> std::string {
    if (++count == 10) SetInterrupted(true);
    return kOk;
  });
  const std::string file = daemon.folder.Write("in.ndjson", Lines(1000));
  const Ran stopped = daemon.Run({file, "--window", "4"});
  CHECK(stopped.code == 130);
  CHECK(Contains(stopped.err, "--resume"));
  CHECK(daemon.producer.Lines().size() < 100);
  SetInterrupted(false);
  CHECK(daemon.Run({file, "--resume"}).code == 0);
  CHECK(daemon.producer.Lines().size() == 1000);
  CHECK(daemon.Different().size() == 1000);
}

TEST_CASE("import: a file that was changed is not resumed") {
  ImportFixture daemon(
      [](const std::string& line) -> std::string { return Contains(line, ":3}") ? kBusy : kOk; });
  const std::string file = daemon.folder.Write("in.ndjson", Lines(5));
  CHECK(daemon.Run({file, "--wait", "0s", "--window", "1"}).code == 75);
  daemon.folder.Write("in.ndjson", "{\"other\":1}\n" + Lines(5));
  const Ran ran = daemon.Run({file, "--resume"});
  CHECK(ran.code == 1);
  CHECK(Contains(ran.err, "not the one"));
}

TEST_CASE("import: told to resume where nothing was interrupted, it says that it begins anew") {
  ImportFixture daemon([](const std::string&) { return kOk; });
  const Ran ran = daemon.Run({daemon.folder.Write("in.ndjson", Lines(5)), "--resume"});
  CHECK(ran.code == 0);
  CHECK(Contains(ran.err, "no interrupted import of this file is on record"));
}

TEST_CASE(
    "import: a broken connection is opened again, the unanswered lines are sent again and that is said") {
  int count = 0;
  ImportFixture daemon([&](const std::string&) -> std::string { return ++count == 20 ? "" : kOk; });
  const std::string file = daemon.folder.Write("in.ndjson", Lines(100));
  const Ran ran = daemon.Run({file});
  CHECK(ran.code == 0);
  CHECK(daemon.Different().size() == 100);
  CHECK(Contains(ran.err, "sent again"));
}

TEST_CASE(
    "import: after a line that is too large the connection is opened again and nothing counts as doubtful") {
  ImportFixture daemon([](const std::string& line) -> std::string {
    return Contains(line, ":20}") ? std::string(kTooLarge) + "!" : kOk;
  });
  const std::string file = daemon.folder.Write("in.ndjson", Lines(100));
  const Ran ran = daemon.Run({file});
  CHECK(ran.code == 1);
  CHECK(daemon.producer.Lines().size() == 100);
  CHECK(Contains(ran.err, "line 20 refused: line too long (too_large)"));
  CHECK_FALSE(Contains(ran.err, "sent again"));
}

TEST_CASE("import: a daemon that is gone for good ends with 69") {
  const TempFolder folder;
  const std::string file = folder.Write("in.ndjson", Lines(100));
  std::optional<FakeProducer> producer;
  producer.emplace(folder / "producer.sock", [&, count = 0](const std::string&) mutable -> std::string {
    if (++count < 20) return kOk;
    std::filesystem::remove(folder / "producer.sock");
    return "";
  });
  const Ran ran =
      RunCtl({"--producer", (folder / "producer.sock").string(), "import", file, "--wait", "100ms"});
  CHECK(ran.code == 69);
  CHECK(std::filesystem::exists(folder / "in.ndjson.outboxd-import"));
}

TEST_CASE("line reader: lines, their numbers and offsets, whatever the pieces they come in") {
  int pipe[2];
  REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
  DescriptorBytes input(pipe[0]);
  LineReader reader(input, 100, 7);
  InputLine line;
  CHECK(*reader.Next(line, Milliseconds(0)) == ReadStatus::kNothingYet);
  REQUIRE(::write(pipe[1], "ab", 2) == 2);
  CHECK(*reader.Next(line, Milliseconds(0)) == ReadStatus::kNothingYet);
  REQUIRE(::write(pipe[1], "c\n\nlast", 7) == 7);
  ::close(pipe[1]);
  REQUIRE(*reader.Next(line, std::nullopt) == ReadStatus::kLine);
  CHECK(line.text == "abc");
  CHECK(line.number == 8);
  CHECK(line.end_offset == 104);
  REQUIRE(*reader.Next(line, std::nullopt) == ReadStatus::kLine);
  CHECK(line.text.empty());
  REQUIRE(*reader.Next(line, std::nullopt) == ReadStatus::kLine);
  CHECK(line.text == "last");
  CHECK(line.end_offset == 109);
  CHECK(*reader.Next(line, std::nullopt) == ReadStatus::kEnd);
  ::close(pipe[0]);
}

TEST_CASE("line reader: an endless line is passed over in bounded memory") {
  const TempFolder folder;
  const std::string file = folder.Write("long", std::string(3 * kReaderLineBytesMax, 'x') + "\nshort\n" +
                                                    std::string(kReaderLineBytesMax + 1, 'y'));
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  DescriptorBytes input(fd);
  LineReader reader(input);
  InputLine line;
  REQUIRE(*reader.Next(line, std::nullopt) == ReadStatus::kLine);
  CHECK(line.too_long);
  CHECK(line.text.empty());
  CHECK(line.end_offset == 3 * kReaderLineBytesMax + 1);
  REQUIRE(*reader.Next(line, std::nullopt) == ReadStatus::kLine);
  CHECK_FALSE(line.too_long);
  CHECK(line.text == "short");
  CHECK(line.end_offset == 3 * kReaderLineBytesMax + 7);
  REQUIRE(*reader.Next(line, std::nullopt) == ReadStatus::kLine);
  CHECK(line.too_long);
  CHECK(*reader.Next(line, std::nullopt) == ReadStatus::kEnd);
  ::close(fd);
}

TEST_CASE("import state: what was saved is loaded, garbage and another file are refused") {
  const TempFolder folder;
  const std::string file = folder.Write("in", std::string(10'000, 'x'));
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const ImportStateFile state(file, fd);
  CHECK_FALSE(state.Load()->has_value());
  REQUIRE(state.Save({9000, 9, 8, 1}).has_value());
  const ImportState loaded = **state.Load();
  CHECK(loaded.offset == 9000);
  CHECK(loaded.lines == 9);
  CHECK(loaded.accepted == 8);
  CHECK(loaded.refused == 1);
  folder.Write("in", std::string(8'000, 'x'));
  CHECK(state.Load().error().kind == ErrorKind::kConflict);
  folder.Write("in", std::string(20'000, 'x'));
  CHECK(state.Load().has_value());
  folder.Write("in", std::string(20'000, 'y'));
  CHECK(state.Load().error().kind == ErrorKind::kConflict);
  folder.Write("in.outboxd-import", "{");
  CHECK(state.Load().error().kind == ErrorKind::kConflict);
  state.Remove();
  CHECK_FALSE(state.Load()->has_value());
  ::close(fd);
}

}  // namespace
}  // namespace outboxd::test
