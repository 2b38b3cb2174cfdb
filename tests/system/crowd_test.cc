// Crowds at the producer socket, storms of connections, floods of tiny lines and stray descriptors: what they
// cost is bounded, and a producer who behaves is served meanwhile.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "tests/support/many_descriptors.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

constexpr std::size_t kMegabyte = 1'000'000;
constexpr rlim_t kDescriptors = 11'000;

// A producer who behaves.
class Neighbour {
 public:
  explicit Neighbour(const DaemonUnderTest& daemon) : producer_(daemon.Producer()) { CheckServed(); }
  void CheckServed() { REQUIRE(Parsed(producer_.Ask(Event("neighbour", ++served_)))["ok"].Bool()); }
  std::int64_t Served() const { return served_; }

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
  if (!kSanitized) CHECK(peak_bytes < bytes_max);
}

// Beside these the daemon may have one to the simulated API for each request in flight.
constexpr std::size_t kInFlight = 8;
// Of libcurl's own: two for each pool of connections, which each of two workers has.
constexpr std::size_t kOfPools = 4;
const ConfigValues kFewInFlight = {{"connections.default.max_in_flight", std::to_string(kInFlight)}};

std::size_t OpenDescriptors(DaemonUnderTest& daemon) {
  const std::string metrics = daemon.Admin().Get("/metrics").body;
  const std::size_t at = metrics.find("\nprocess_open_fds ");
  REQUIRE(at != std::string::npos);
  const auto count = static_cast<std::size_t>(std::stod(metrics.substr(metrics.find(' ', at + 1))));
  REQUIRE(count > 0);  // zero: none is left to count them with
  return count;
}

struct Crowd {
  std::vector<LineClient> members;
  std::size_t served = 0, told_busy = 0;
};

// All connect, then each hands over an event, then each reads its reply.
Crowd Assemble(const DaemonUnderTest& daemon, std::size_t count) {
  Crowd crowd;
  for (std::size_t i = 0; i < count; ++i) crowd.members.push_back(daemon.Producer());
  for (std::size_t i = 0; i < count; ++i) crowd.members[i].SendLine(Event("m" + std::to_string(i), 1));
  for (LineClient& member : crowd.members) {
    const std::optional<std::string> reply = member.ReadLine(kLongPatience);
    if (!reply) continue;
    const JsonValue json = Parsed(*reply);
    if (json["ok"].Bool()) ++crowd.served;
    if (json["error"]["code"].String() == "busy") ++crowd.told_busy;
  }
  return crowd;
}

TEST_CASE(
    "producer: of ten thousand at once as many as the config allows are served, the others are told busy") {
  constexpr std::size_t kMembers = kSanitized ? 3'000 : 10'000;
  constexpr std::size_t kClients = kMembers * 4 / 5;
  if (!testing::MayOpenDescriptors(kDescriptors)) {
    MESSAGE("skipped: this system does not let a process open ", kDescriptors, " descriptors");
    return;
  }
  const std::string limit = std::to_string(kDescriptors);
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, kFewInFlight, Launch::kLater);
  daemon.SetConfig("limits.clients", std::to_string(kClients));
  daemon.SetWrapper({"prlimit", "--nofile=" + limit + ":" + limit});
  daemon.Start();
  Neighbour neighbour(daemon);
  const std::size_t before = OpenDescriptors(daemon);
  {
    const Crowd crowd = Assemble(daemon, kMembers);
    CHECK(crowd.served + crowd.told_busy == kMembers);
    // The last tenth is for other users. The neighbour is one of them.
    CHECK(crowd.served == kClients - kClients / 10 - 1);
    neighbour.CheckServed();
    CHECK(daemon.Producer().ReadLine().value_or("").find("busy") != std::string::npos);
  }
  CHECK(Await([&] { return OpenDescriptors(daemon) <= before + kInFlight + kOfPools; }));
  daemon.Accept(Event("late", 1));
  daemon.AwaitDrained(kLongPatience);
  CheckNumbered(sim, "neighbour", neighbour.Served());
  CheckFlawless(sim.Report());
  CheckPeak(daemon, 80 * kMegabyte);
}

TEST_CASE(
    "producer: a storm of clients that connect and vanish leaves nothing behind, and what was a whole line "
    "is delivered") {
  constexpr int kVisits = kSanitized ? 3'000 : 20'000;
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, kFewInFlight);
  Neighbour neighbour(daemon);
  const std::size_t before = OpenDescriptors(daemon);
  std::int64_t whole = 0;
  for (int visit = 0; visit < kVisits; ++visit) {
    LineClient visitor = daemon.Producer();
    if (visit % 4 == 1) visitor.Send(R"({"type":"tr)");
    if (visit % 4 == 2) visitor.Send("\n");
    if (visit % 20 == 3) visitor.SendLine(Event("v" + std::to_string(whole++), 1));
    if (visit % 200 == 0) neighbour.CheckServed();
  }
  daemon.Accept(Event("late", 1));  // those before it in the socket's backlog are accepted
  CHECK(Await([&] { return OpenDescriptors(daemon) <= before + kInFlight + kOfPools; }));
  daemon.AwaitDrained(kLongPatience);
  CHECK(sim.Report().effects == static_cast<std::uint64_t>(whole + 1 + neighbour.Served()));
  CheckFlawless(sim.Report());
  CheckPeak(daemon, 60 * kMegabyte);
}

TEST_CASE(
    "producer: a write of nothing but newlines is answered newline by newline, and others are served in "
    "between") {
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

TEST_CASE(
    "producer: a crowd that reads no reply and ends no line does not use up the memory, and others are "
    "served") {
  constexpr int kMembers = kSanitized ? 160 : 400;
  const std::string newlines(150'000, '\n');
  const std::string endless(500'000, ' ');
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  Neighbour neighbour(daemon);
  std::vector<LineClient> crowd;
  for (int i = 0; i < kMembers; ++i) {
    crowd.push_back(daemon.Producer());
    crowd.back().Send(i % 8 == 0 ? newlines : endless);
    if (i % 10 == 0) neighbour.CheckServed();
  }
  neighbour.CheckServed();
  CheckPeak(daemon, 200 * kMegabyte);
  CHECK(Await([&] {
    return daemon.Log().find("producer dropped: it holds the most of limits.producer_bytes") !=
           std::string::npos;
  }));
}

TEST_CASE(
    "producer: when unfinished lines use up their memory, who holds most is told busy, and the others go "
    "on") {
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

// Sends `bytes` with a copy of `passed`.
void SendWithDescriptor(const LineClient& client, std::string_view bytes, int passed) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &passed, sizeof(int));
  REQUIRE(sendmsg(client.Descriptor(), &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
}

TEST_CASE("producer: descriptors passed along with a line are not kept, on either socket") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  std::array<int, 2> pipe_ends{};
  REQUIRE(pipe2(pipe_ends.data(), O_CLOEXEC) == 0);
  LineClient producer = daemon.Producer();
  LineClient operator_client(daemon.AdminSocket());
  const std::string line = Event("1", 1) + "\n";
  for (int i = 0; i < 100; ++i) SendWithDescriptor(producer, "\n", pipe_ends[1]);
  SendWithDescriptor(producer, std::string_view(line).substr(0, 10), pipe_ends[1]);
  SendWithDescriptor(producer, std::string_view(line).substr(10), pipe_ends[1]);
  SendWithDescriptor(operator_client, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", pipe_ends[1]);
  close(pipe_ends[1]);
  for (int i = 0; i < 100; ++i) CHECK_FALSE(Parsed(producer.ReadLine().value())["ok"].Bool(true));
  CHECK(Parsed(producer.ReadLine().value())["ok"].Bool());
  CHECK(operator_client.ReadLine().value().find("200") != std::string::npos);
  // The other end is hung up once nobody has this one.
  pollfd other_end{pipe_ends[0], 0, 0};
  CHECK(poll(&other_end, 1, 10'000) == 1);
  CHECK((other_end.revents & POLLHUP) != 0);
  close(pipe_ends[0]);
  CHECK(Parsed(producer.Ask(Event("1", 2)))["ok"].Bool());
}

}  // namespace
}  // namespace outboxd
