#include "ctl/format.h"

#include <doctest/doctest.h>

#include <sstream>

#include "ctl/progress.h"

namespace outboxd {
namespace {

TEST_CASE("format: counts, sizes and rates are readable") {
  CHECK(FormatCount(0) == "0");
  CHECK(FormatCount(999) == "999");
  CHECK(FormatCount(1000) == "1,000");
  CHECK(FormatCount(-1234567) == "-1,234,567");
  CHECK(FormatBytes(0) == "0 B");
  CHECK(FormatBytes(1023) == "1023 B");
  CHECK(FormatBytes(1024) == "1.0 KiB");
  CHECK(FormatBytes(1024ULL * 1024 - 1) == "1.0 MiB");
  CHECK(FormatBytes(20ULL << 30) == "20.0 GiB");
  CHECK(FormatRate(0) == "0/s");
  CHECK(FormatRate(0.44) == "0.4/s");
  CHECK(FormatRate(1180.4) == "1,180/s");
  CHECK(FormatPercent(0.4567) == "45.7%");
}

TEST_CASE("format: times in UTC are RFC 3339") {
  CHECK(FormatTime(FromUnixMs(1'700'000'000'123), Zone::kUtc) == "2023-11-14T22:13:20.123Z");
}

TEST_CASE("format: times within a text are written as those beside it") {
  const Timestamp at = FromUnixMs(1'700'000'000'123);
  const std::string text = "due at 2023-11-14T22:13:20.123Z (in 3s), not 2023-99-14T22:13:20.123Z.";
  CHECK(FormatTimesIn(text, Zone::kUtc) == text);
  CHECK(FormatTimesIn(text, Zone::kLocal) ==
        "due at " + FormatTime(at, Zone::kLocal) + " (in 3s), not 2023-99-14T22:13:20.123Z.");
  CHECK(FormatTimesIn("", Zone::kLocal).empty());
}

TEST_CASE("format: a time is read as RFC 3339, as the clock shows it, or as how long ago it was") {
  const Timestamp now = FromUnixMs(1'700'000'000'123);  // 22:13:20
  const auto read = [&](const char* text) {
    const Result<Timestamp> at = ReadTime(text, now, Zone::kUtc);
    return at ? FormatRfc3339(*at) : at.error().message;
  };
  CHECK(read("2023-11-14T14:03:27+01:00") == "2023-11-14T13:03:27.000Z");
  CHECK(read("2023-11-14 14:03:27") == "2023-11-14T14:03:27.000Z");
  CHECK(read("2023-11-14 14:03") == "2023-11-14T14:03:00.000Z");
  CHECK(read("2023-11-13") == "2023-11-13T00:00:00.000Z");
  CHECK(read("14:03") == "2023-11-14T14:03:00.000Z");
  CHECK(read("14:03:27") == "2023-11-14T14:03:27.000Z");
  CHECK(read("2h") == "2023-11-14T20:13:20.123Z");
  for (const char* text : {"", "noon", "14:03x", "25:00", "2023-11-14 14", "-1h"})
    CHECK(read(text).starts_with("\"" + std::string(text) + "\" is not a time; write it as 14:03, "));
  CHECK(ReadTime(FormatTime(now, Zone::kLocal), now, Zone::kLocal) == FromUnixMs(1'700'000'000'000));
}

TEST_CASE("format: durations are read with their units, a plain number is seconds") {
  CHECK(ReadDuration("500ms")->count() == 500);
  CHECK(ReadDuration("30")->count() == 30'000);
  CHECK(ReadDuration("10m")->count() == 600'000);
  CHECK(ReadDuration("3650d")->count() == 3650LL * 86'400'000);
  for (const char* text : {"", "s", "-1s", "1.5s", "10 s", "1w", "99999999999999999999s", "3651d"}) {
    CAPTURE(text);
    REQUIRE_FALSE(ReadDuration(text));
    CHECK(ReadDuration(text).error().message ==
          "\"" + std::string(text) + "\" is not a duration; write it as 500ms, 30s, 10min, 72h or 7d");
  }
}

TEST_CASE("progress: the bar shows the part that is done, the rate and the time left") {
  ProgressView view;
  view.accepted = 1234;
  view.refused = 7;
  view.bytes = 50;
  view.bytes_total = 100;
  view.lines_per_s = 51'000;
  view.left = Milliseconds(12'000);
  CHECK(FormatProgress(view, 68) == "[======>      ] 50.0%, 1,234 accepted, 7 refused, 51,000/s, 12s left");
  CHECK(FormatProgress(view, 200) ==
        "[============>           ] 50.0%, 1,234 accepted, 7 refused, 51,000/s, 12s left");
  CHECK(FormatProgress(view, 40) == "50.0%, 1,234 accepted, 7 refused, 51,00…");
  CHECK(FormatProgress(view, 0) == "50.0%, 1,234 accepted, 7 refused, 51,000/s, 12s left");
  view.bytes = 100;
  view.left.reset();
  CHECK(FormatProgress(view, 62) == "[================] 100.0%, 1,234 accepted, 7 refused, 51,000/s");
  view.waiting = "queue limit reached";
  CHECK(FormatProgress(view, 0) == "100.0%, 1,234 accepted, 7 refused, waiting: queue limit reached");
  view.bytes_total.reset();
  CHECK(FormatProgress(view, 200) == "1,234 accepted, 7 refused, waiting: queue limit reached");
}

TEST_CASE("progress: without a terminal a line comes every five seconds, with rate and time left") {
  std::ostringstream out;
  std::ostringstream err;
  const Console console{out, err};
  const Progress::Instant start{};
  Progress progress(console, Progress::Style::kLines, start, 0, 0);
  ProgressView view;
  view.accepted = 1000;
  view.bytes = 100;
  view.bytes_total = 400;
  progress.Update(view, start + std::chrono::seconds(4));
  CHECK(err.str().empty());
  progress.Update(view, start + std::chrono::seconds(5));
  CHECK(err.str() == "25.0%, 1,000 accepted, 0 refused, 200/s, 15s left\n");
}

}  // namespace
}  // namespace outboxd
