// A benchmark whose instruments are wrong is worse than none.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/job.h"
#include "core/job_line.h"
#include "core/json.h"
#include "tests/bench/event.h"
#include "tests/bench/histogram.h"
#include "tests/bench/pace.h"
#include "tests/bench/sink_http.h"

namespace outboxd::bench {
namespace {

struct Seen {
  std::string target;
  std::uint64_t items;
  bool closes;
  bool operator==(const Seen&) const = default;
};

std::vector<Seen> ReadInPieces(const std::string& bytes, std::size_t piece_bytes, bool& is_http) {
  std::vector<Seen> seen;
  SinkReader reader;
  bool wants_continue = false;
  is_http = true;
  for (std::size_t at = 0; at < bytes.size() && is_http; at += piece_bytes) {
    const auto take = [&](const SinkRequest& request) {
      seen.push_back({std::string(request.target), request.items, request.closes});
    };
    is_http = reader.Take(std::string_view(bytes).substr(at, piece_bytes), take, wants_continue);
  }
  return seen;
}

std::string Post(const std::string& target, const std::string& body, const std::string& more = "") {
  return "POST " + target + " HTTP/1.1\r\nHost: x\r\n" + more +
         "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

TEST_CASE("bench sink: requests are found however the bytes are cut") {
  const std::string filler(3000, 'x');
  const std::string bytes = Post("/api/v1/customers/a/events", "{}") + "GET /_stats HTTP/1.1\r\n\r\n" +
                            Post("/api/v2/batch", R"({"batch":[{"a":{"b":[{}]}},{"t":"}]{\"[{"},{}]})") +
                            Post("/api/v1/events", filler, "Connection: close\r\n");
  const std::vector<Seen> expected = {{"/api/v1/customers/a/events", 0, false},
                                      {"/_stats", 0, false},
                                      {"/api/v2/batch", 3, false},
                                      {"/api/v1/events", 0, true}};
  for (std::size_t piece_bytes = 1; piece_bytes <= bytes.size(); ++piece_bytes) {
    bool is_http = false;
    CHECK(ReadInPieces(bytes, piece_bytes, is_http) == expected);
    CHECK(is_http);
  }
}

TEST_CASE("bench sink: what has no length it can trust is refused") {
  bool is_http = true;
  ReadInPieces("nonsense\r\n\r\n", 100, is_http);
  CHECK_FALSE(is_http);
  ReadInPieces("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 100, is_http);
  CHECK_FALSE(is_http);
  ReadInPieces("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 100, is_http);
  CHECK_FALSE(is_http);
  ReadInPieces(std::string(100'000, 'a'), 100, is_http);
  CHECK_FALSE(is_http);
}

TEST_CASE("bench histogram: a percentile is at most one bucket above the exact one") {
  const std::uint32_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  std::vector<std::int64_t> values;
  Histogram histogram;
  for (int i = 0; i < 10'000; ++i) {
    const auto value = static_cast<std::int64_t>(random() >> (random() % 30));
    values.push_back(value);
    histogram.Add(value);
  }
  std::sort(values.begin(), values.end());
  for (const double share : {0.001, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const std::int64_t exact = values[static_cast<std::size_t>(std::ceil(share * 10'000)) - 1];
    CHECK(histogram.Percentile(share) >= exact);
    CHECK(static_cast<double>(histogram.Percentile(share)) <= static_cast<double>(exact) * 1.04 + 1);
  }
  CHECK(histogram.Longest() == values.back());
  CHECK(Histogram().Percentile(0.5) == 0);
}

TEST_CASE("bench pace: events are due evenly, and errors do not add up") {
  const Pace pace(3, 1'000);
  CHECK(pace.DueNs(0) == 1'000);
  CHECK(pace.DueNs(1) == 333'334'333);
  CHECK(pace.DueNs(3) == kNsASecond + 1'000);
  CHECK(pace.DueNs(3'000'000) == 1'000'000 * kNsASecond + 1'000);
}

TEST_CASE("bench pace: nobody waits for what is due") {
  CHECK(WaitUntil(5 * kNsASecond / 2, 0).tv_sec == 2);
  CHECK(WaitUntil(5 * kNsASecond / 2, 0).tv_nsec == kNsASecond / 2);
  const timespec late = WaitUntil(0, kNsASecond);
  CHECK(late.tv_sec == 0);
  CHECK(late.tv_nsec == 0);
}

TEST_CASE("bench event: every line is valid JSON of the size asked for and its customer is known") {
  for (const bool is_mixed : {false, true}) {
    const EventMaker maker({350, 50, "c", is_mixed});
    std::set<std::string> customers;
    for (std::uint64_t number = 0; number < 1000; ++number) {
      std::string line;
      maker.Append(line, number);
      CHECK(line.size() == 351);
      const Result<JsonValue> parsed = JsonValue::Parse(line);
      REQUIRE(parsed.has_value());
      CHECK((*parsed)["id"].String() == maker.Customer(number));
      customers.insert(maker.Customer(number));
    }
    CHECK(customers.size() == 50);
  }
  CHECK_THROWS(EventMaker({10, 1, "c", false}));
}

TEST_CASE("bench event: one that claims keeps its own lane and that of the events it claims") {
  EventOptions options;
  options.claims = "stuck";
  const EventMaker maker(options);
  std::string line;
  maker.Append(line, 7);
  line.pop_back();
  const auto job = ParseStoredLine(line);
  REQUIRE(job.has_value());
  const LaneList own(std::vector{MakeLaneKey("default", maker.Customer(7)), MakeLaneKey("default", "stuck")});
  CHECK(LanesOf(*job) == std::span<const LaneKey>(own));
}

}  // namespace outboxd::bench
