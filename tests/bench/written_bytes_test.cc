// What a job costs the disk, measured on the real daemon. Bytes are the same on every machine, which times
// are not: this is the part of script/bench that can fail a build.
#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>

#include "tests/support/daemon_under_test.h"
#include "tests/support/give_up.h"

namespace outboxd {
namespace {

// Of a job that comes alone: one page of 4 KiB into the WAL when it is accepted, every ninth time a new page
// of the table and four that name it, its share of what settles several, and checkpoints. Measured 7.2
// to 7.4; a seventh more is room for another column, not for another table or commit. Lower it with every
// change that makes a job cheaper.
constexpr double kKibAJobMax = 8.5;
constexpr int kWarmUpJobs = 20;  // the first ones make the files
constexpr int kJobs = 300;
// Longer than an outcome waits for the next job to share its commit. A machine that is too slow for this pace
// shares more commits and writes less, so that it cannot fail the test.
constexpr std::chrono::milliseconds kPace{25};

// What the process has handed to the kernel for its files; what it sends into sockets is not in it.
// `write_bytes` of the same file would be nearer to the disk, but is counted by folios, whose size is the
// file system's affair.
std::uint64_t WrittenBytesOf(pid_t process) {
  std::ifstream counts("/proc/" + std::to_string(process) + "/io");
  std::string name;
  std::uint64_t value = 0;
  while (counts >> name >> value) {
    if (name == "wchar:") return value;
  }
  GiveUp("the kernel does not count what a process writes");
}

std::string OrderPlaced(int number) {
  std::string line = R"({"type":"track","id":")" + std::to_string(number * 7919 % 10'000);
  line += R"(","name":"order_placed","data":{"order":)" + std::to_string(number) + R"(,"note":")";
  return line + std::string(350 - line.size() - 3, 'n') + R"("}})";
}

void DeliverOneByOne(const DaemonUnderTest& daemon, SimUnderTest& sim, int first, int count) {
  LineClient producer = daemon.Producer();
  const auto start = std::chrono::steady_clock::now();
  for (int number = 0; number < count; ++number) {
    std::this_thread::sleep_until(start + number * kPace);
    const std::string reply = producer.Ask(OrderPlaced(first + number));
    if (!reply.starts_with(R"({"ok":true)")) GiveUp("refused: " + reply);
  }
  sim.AwaitEffects(static_cast<std::uint64_t>(first + count));
}

}  // namespace

TEST_CASE("written bytes: a job that comes alone does not write more than its bound") {
  if (geteuid() != 0) {
    MESSAGE("skipped: what outboxd writes is to be seen by root alone");
    return;
  }
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  DeliverOneByOne(daemon, sim, 0, kWarmUpJobs);
  const std::uint64_t before = WrittenBytesOf(daemon.Pid());
  DeliverOneByOne(daemon, sim, kWarmUpJobs, kJobs);
  daemon.AwaitDrained();
  const double kib = static_cast<double>(WrittenBytesOf(daemon.Pid()) - before) / 1024 / kJobs;
  MESSAGE("KiB written a job: ", kib);
  CHECK(kib > 1);  // or nothing was measured
  CHECK(kib <= kKibAJobMax);
  daemon.Terminate();
}

}  // namespace outboxd
