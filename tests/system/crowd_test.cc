// Crowds and floods at the producer socket: what they cost is bounded, and a producer who behaves is served meanwhile.
#include <doctest/doctest.h>

#include <cstring>

#include "tests/system/scene.h"

namespace outboxd {
namespace {

constexpr std::size_t kMegabyte = 1'000'000;

// A producer who behaves.
class Neighbour {
 public:
  explicit Neighbour(const DaemonUnderTest& daemon) : producer_(daemon.Producer()) { CheckServed(); }
  void CheckServed() { REQUIRE(Parsed(producer_.Ask(Event("neighbour", ++served_)))["ok"].Bool()); }

 private:
  LineClient producer_;
  std::int64_t served_ = 0;
};

// The most memory the daemon ever had. That of a sanitized one says nothing.
void CheckPeak(const DaemonUnderTest& daemon, std::size_t bytes_max) {
  const std::string status = ReadFile("/proc/" + std::to_string(daemon.Pid()) + "/status");
  const std::size_t at = status.find("VmHWM:");
  REQUIRE(at != std::string::npos);
  const std::size_t peak_bytes = 1024 * std::stoul(status.substr(at + std::strlen("VmHWM:")));
  MESSAGE("the peak was ", peak_bytes / kMegabyte, " MB");
  if (!kSanitized) CHECK(peak_bytes < bytes_max);
}

TEST_CASE("producer: a write of nothing but newlines is answered newline by newline, and others are served in between") {
  constexpr std::size_t kLines = 64 * 1024;
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  Neighbour neighbour(daemon);
  LineClient flood = daemon.Producer();
  REQUIRE(flood.Send(std::string(kLines, '\n')));
  for (std::size_t i = 0; i < kLines; ++i) {
    const std::optional<std::string> reply = flood.ReadLine();
    REQUIRE(reply);
    REQUIRE(reply->starts_with(R"({"ok":false,"error":{"code":"invalid_json")"));
    if (i % 4096 == 0) neighbour.CheckServed();
  }
  CHECK(Parsed(flood.Ask(Event("flood", 1)))["ok"].Bool());
  CheckPeak(daemon, 40 * kMegabyte);
}

TEST_CASE("producer: a crowd that reads no reply and ends no line does not use up the memory, and others are served") {
  constexpr int kMembers = kSanitized ? 100 : 300;
  const std::string newlines(150'000, '\n');
  const std::string endless(500'000, ' ');
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  Neighbour neighbour(daemon);
  std::vector<LineClient> crowd;
  for (int i = 0; i < kMembers; ++i) {
    crowd.push_back(daemon.Producer());
    crowd.back().Send(i % 2 == 0 ? newlines : endless);
    if (i % 10 == 0) neighbour.CheckServed();
  }
  neighbour.CheckServed();
  CheckPeak(daemon, 200 * kMegabyte);
  CHECK(Await([&] { return daemon.Log().find("producer dropped: it holds the most of limits.producer_bytes") != std::string::npos; }));
}

TEST_CASE("producer: when unfinished lines use up their memory, who holds most is told busy, and the others go on") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"limits.line_bytes", "100kB"}, {"limits.producer_bytes", "150kB"}});
  LineClient most = daemon.Producer();
  LineClient less = daemon.Producer();
  const std::string line = Event("1", 1);
  REQUIRE(most.Send(std::string(90'000, ' ')));
  REQUIRE(less.Send(std::string(80'000, ' ')));
  CHECK(most.ReadLine().value_or("").find("\"busy\"") != std::string::npos);
  CHECK(most.ReadToEnd().empty());
  CHECK(most.Ended());
  REQUIRE(less.SendLine(line));
  CHECK(Parsed(less.ReadLine().value())["ok"].Bool());
}

}  // namespace
}  // namespace outboxd
